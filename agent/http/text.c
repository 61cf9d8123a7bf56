/* UTF-8 and percent-encoding. */
#include "agent/http/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Length of the well-formed sequence at the start (Unicode, table 3-7), or 0. */
static size_t sequence(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool text_is_utf8(const char *text, size_t size)
{
	size_t n;

	for (size_t i = 0; i < size; i += n) {
		n = sequence((const unsigned char *)text + i, size - i);
		if (n == 0)
			return false;
	}
	return true;
}

void text_make_utf8(char *text)
{
	size_t size = strlen(text), n;

	for (size_t i = 0; i < size; i += n) {
		n = sequence((const unsigned char *)text + i, size - i);
		if (n == 0) {
			text[i] = '?';
			n = 1;
		}
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_percent_decode(const char *in, const char *end, bool plus, char *out)
{
	char *to = out;

	while (in < end) {
		char c = *in++;

		if (c == '%') {
			int high = end - in >= 2 ? hex_digit(in[0]) : -1;
			int low = end - in >= 2 ? hex_digit(in[1]) : -1;

			if (high < 0 || low < 0)
				return -EBADMSG;
			c = (char)(high << 4 | low);
			in += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return -EBADMSG;
		*to++ = c;
	}
	*to = '\0';
	return text_is_utf8(out, (size_t)(to - out)) ? (int)(to - out) : -EBADMSG;
}
