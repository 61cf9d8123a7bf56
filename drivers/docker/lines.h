/* JSON objects, one a line, as dockerd streams them: progress and events; used inside
 * drivers/docker only. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/strbuf.h"

struct err;

#define LINES_MAX (1024 * 1024) /* bytes of a line */

/* Its failure ends the stream. `object` is borrowed. */
typedef int (*lines_fn)(void *data, json_t *object, struct err *err);

struct lines {
	lines_fn object;
	void *data;
	struct strbuf part; /* of a line that has not ended */
};

/* Takes the next bytes. ERR_DRIVER for a line that is too long or no JSON object; or what `object`
 * failed with. */
int lines_take(struct lines *lines, const char *bytes, size_t size, struct err *err);
/* At the end of the stream: ERR_DRIVER when a line is not whole. */
int lines_end(struct lines *lines, struct err *err);
void lines_finish(struct lines *lines);
