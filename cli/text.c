/* Escaping and measuring of UTF-8 text. */
#include "cli/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/strbuf.h"

/* Length of the UTF-8 sequence at `text` (RFC 3629) and its character; 0 when it is none. */
static size_t decode(const char *text, uint32_t *ret)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} FORMS[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	const uint8_t *bytes = (const uint8_t *)text;

	for (size_t extra = 0; extra < ARRAY_SIZE(FORMS); extra++) {
		uint32_t c = bytes[0] & (uint8_t)~FORMS[extra].mask;

		if ((bytes[0] & FORMS[extra].mask) != FORMS[extra].lead)
			continue;
		for (size_t i = 1; i <= extra; i++) {
			if ((bytes[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (bytes[i] & 0x3f);
		}
		if (c < FORMS[extra].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*ret = c;
		return extra + 1;
	}
	return 0;
}

static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || c == 0x061c ||
	       c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void add_harmful(struct strbuf *buf, uint32_t c)
{
	switch (c) {
	case '\n': strbuf_add(buf, "\\n"); break;
	case '\t': strbuf_add(buf, "\\t"); break;
	case '\r': strbuf_add(buf, "\\r"); break;
	default: strbuf_addf(buf, c < 0x80 ? "\\x%02x" : "\\u{%x}", c);
	}
}

void text_escape(struct strbuf *buf, const char *text)
{
	while (*text) {
		uint32_t c;
		size_t length = decode(text, &c);

		if (length == 0)
			strbuf_addf(buf, "\\x%02x", (uint8_t)*text);
		else if (is_harmful(c))
			add_harmful(buf, c);
		else
			strbuf_add_bytes(buf, text, length);
		text += length ? length : 1;
	}
}

char *text_escaped(const char *text)
{
	struct strbuf buf = {0};

	text_escape(&buf, text ? text : "");
	return strbuf_take(&buf);
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		uint32_t c;
		size_t length = decode(text, &c);
		int columns = length ? wcwidth((wchar_t)c) : 1;

		width += columns > 0 ? (size_t)columns : 0;
		text += length ? length : 1;
	}
	return width;
}
