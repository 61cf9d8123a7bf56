/* JSON objects, one a line. */
#include "drivers/docker/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

static bool is_blank(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
			return false;
	return true;
}

static int take_line(struct lines *l, const char *text, size_t size, struct err *err)
{
	json_t *object;
	int r;

	if (is_blank(text, size))
		return 0;
	object = json_loadb(text, size, 0, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_set(err, ERR_DRIVER, NULL,
			"what dockerd tells line by line is not JSON: %.*s",
			size > 80 ? 80 : (int)size, text);
	}
	r = l->object(l->data, object, err);
	json_decref(object);
	return r;
}

static int keep_part(struct lines *l, const char *bytes, size_t size, struct err *err)
{
	if (l->part.used + size > LINES_MAX)
		return err_set(err, ERR_DRIVER, NULL,
			"dockerd tells a line of more than %d KiB, which nothing of it should be",
			LINES_MAX / 1024);
	strbuf_add_bytes(&l->part, bytes, size);
	return l->part.failed ? err_errno(err, ENOMEM, "no memory for what dockerd tells") : 0;
}

static int end_part(struct lines *l, struct err *err)
{
	struct strbuf line = l->part;
	int r;

	l->part = (struct strbuf){0};
	r = line.used > 0 ? take_line(l, line.text, line.used, err) : 0;
	strbuf_finish(&line);
	return r;
}

int lines_take(struct lines *l, const char *bytes, size_t size, struct err *err)
{
	int r = 0;

	while (r == 0 && size > 0) {
		const char *end = memchr(bytes, '\n', size);
		size_t length = end ? (size_t)(end - bytes) + 1 : size;

		r = keep_part(l, bytes, length, err);
		if (r == 0 && end)
			r = end_part(l, err);
		bytes += length;
		size -= length;
	}
	return r;
}

int lines_end(struct lines *l, struct err *err)
{
	return end_part(l, err);
}

void lines_finish(struct lines *l)
{
	strbuf_finish(&l->part);
}
