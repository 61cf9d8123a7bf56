/* A growing string. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct strbuf *buf, size_t more)
{
	size_t need = buf->used + more + 1;

	if (buf->failed)
		return false;
	if (!buf->text || need > buf->room) {
		size_t room = buf->room ? buf->room : 256;
		char *grown;

		while (room < need)
			room *= 2;
		grown = realloc(buf->text, room);
		if (!grown) {
			buf->failed = true;
			return false;
		}
		buf->text = grown;
		buf->room = room;
	}
	return true;
}

void strbuf_add_bytes(struct strbuf *buf, const void *data, size_t size)
{
	if (!reserve(buf, size))
		return;
	if (size > 0) /* else `data` may be NULL */
		memcpy(buf->text + buf->used, data, size);
	buf->used += size;
	buf->text[buf->used] = '\0';
}

void strbuf_add(struct strbuf *buf, const char *text)
{
	strbuf_add_bytes(buf, text, strlen(text));
}

void strbuf_add_u64(struct strbuf *buf, uint64_t number)
{
	char digits[20]; /* of UINT64_MAX */
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	strbuf_add_bytes(buf, digits + i, sizeof(digits) - i);
}

void strbuf_addf(struct strbuf *buf, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(buf, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(buf->text + buf->used, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->used += (size_t)n;
}

char *strbuf_take(struct strbuf *buf)
{
	char *text;

	if (!buf->text)
		strbuf_add(buf, "");
	if (buf->failed) {
		strbuf_finish(buf);
		return NULL;
	}
	text = buf->text;
	*buf = (struct strbuf){0};
	return text;
}

void strbuf_finish(struct strbuf *buf)
{
	free(buf->text);
	*buf = (struct strbuf){0};
}
