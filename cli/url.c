/* Percent-encoding of paths and queries. */
#include "cli/url.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"

/* RFC 3986, 2.3, and the comma and colon, which are plain in segments and in queries. */
#define PLAIN                                                                                      \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"                           \
	"-._~,:"

static void add_encoded(struct strbuf *buf, const char *text)
{
	for (; *text; text++)
		if (strchr(PLAIN, *text))
			strbuf_add_bytes(buf, text, 1);
		else
			strbuf_addf(buf, "%%%02X", (uint8_t)*text);
}

/* A segment of "." or ".." would be resolved by whoever reads the URL. */
static void add_segment(struct strbuf *buf, const char *text)
{
	if (strcmp(text, ".") == 0)
		strbuf_add(buf, "%2E");
	else if (strcmp(text, "..") == 0)
		strbuf_add(buf, "%2E%2E");
	else
		add_encoded(buf, text);
}

static void add_path(struct strbuf *buf, const char *fmt, va_list ap)
{
	while (*fmt) {
		size_t plain = strcspn(fmt, "%");

		strbuf_add_bytes(buf, fmt, plain);
		fmt += plain;
		if (*fmt) {
			add_segment(buf, va_arg(ap, const char *));
			fmt += 2;
		}
	}
}

void url_path(struct strbuf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_path(buf, fmt, ap);
	va_end(ap);
}

char *url_of(const char *fmt, ...)
{
	struct strbuf buf = {0};
	va_list ap;

	va_start(ap, fmt);
	add_path(&buf, fmt, ap);
	va_end(ap);
	return strbuf_take(&buf);
}

void url_query(struct strbuf *buf, const char *name, const char *value)
{
	if (!value)
		return;
	strbuf_add(buf, buf->text && strchr(buf->text, '?') ? "&" : "?");
	add_encoded(buf, name);
	strbuf_add(buf, "=");
	add_encoded(buf, value);
}
