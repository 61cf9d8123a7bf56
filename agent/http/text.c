/* Percent-encoding. */
#include "agent/http/text.h"

#include <errno.h>

#include "base/utf8.h"

static bool is_utf8(const char *text)
{
	size_t n;

	for (; *text; text += n) {
		n = utf8_length(text);
		if (n == 0)
			return false;
	}
	return true;
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

		if (c <= 0x20 || c >= 0x7f) /* negative ones as well */
			return -EBADMSG;
		if (c == '%') {
			int high = end - in >= 2 ? hex_digit(in[0]) : -1;
			int low = end - in >= 2 ? hex_digit(in[1]) : -1;

			if (high < 0 || low < 0)
				return -EBADMSG;
			c = (char)(high << 4 | low);
			if ((unsigned char)c < 0x20 || c == 0x7f)
				return -EBADMSG;
			in += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		*to++ = c;
	}
	*to = '\0';
	return is_utf8(out) ? (int)(to - out) : -EBADMSG;
}
