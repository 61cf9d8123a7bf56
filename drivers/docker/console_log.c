/* What a container has said: from dockerd's log. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/console.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/frame.h"
#include "drivers/docker/reply.h"

#define HISTORY_MAX (2 * 1024 * 1024) /* what the driver has dockerd keep */
#define SEAM	    65536
#define LINES_MAX   100000 /* beyond it the whole log is asked for */
#define LOG_MS	    9000

/* The end of a log, as it comes. */
struct end {
	struct strbuf bytes;
	struct frames frames;
	size_t max;
	bool terminal;
};

/* Twice as much is kept, so that not each piece moves all of it. */
static int keep(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	struct end *e = data;

	(void)stream;
	strbuf_add_bytes(&e->bytes, bytes, size);
	if (e->bytes.failed)
		return -ENOMEM;
	if (e->bytes.used > 2 * e->max) {
		memmove(e->bytes.text, e->bytes.text + e->bytes.used - e->max, e->max);
		e->bytes.used = e->max;
	}
	return 0;
}

static int take(void *data, const char *bytes, size_t size, struct err *err)
{
	struct end *e = data;
	int r = e->terminal ? keep(e, FRAME_STDOUT, bytes, size)
			    : frames_take(&e->frames, bytes, size, keep, e, err);

	return r == -ENOMEM ? err_errno(err, ENOMEM, "no memory for a console") : r;
}

static int explain(const struct inside *in, const struct err *why, struct err *err)
{
	if (!strstr(why->message, "does not support reading")) {
		*err = *why;
		return err_errnum(why->code);
	}
	return err_set(err, ERR_UNSUPPORTED, NULL,
		"Docker keeps nothing that can be read of what guest %s says (its log driver is "
		"%.60s): it can only be followed",
		in->guest->name, reply_text_or_none(in->info, "HostConfig.LogConfig.Type"));
}

/* A line has a byte at least. */
int console_history(const struct inside *in, uint64_t max, struct strbuf *ret, struct err *err)
{
	struct end end = {.max = (max < HISTORY_MAX ? (size_t)max : HISTORY_MAX) + SEAM,
		.terminal = reply_is_true(in->info, "Config.Tty")};
	char lines[24] = "all";
	struct engine_request request = {.path = "/containers/{}/logs",
		.name = in->container,
		.query = {{"stdout", "1"}, {"stderr", "1"}, {"tail", lines}},
		.what = "read the console",
		.timeout_ms = LOG_MS,
		.sink = take,
		.data = &end};
	struct err why = {0};

	if (max < LINES_MAX)
		snprintf(lines, sizeof(lines), "%d", (int)max + SEAM / 64);
	if (engine_call(in->engine, &request, NULL, &why) < 0) {
		strbuf_finish(&end.bytes);
		return explain(in, &why, err);
	}
	*ret = end.bytes;
	return 0;
}

size_t console_overlap(const struct strbuf *history, const struct strbuf *live)
{
	size_t most = history->used < live->used ? history->used : live->used;

	for (size_t n = most; n > 0; n--)
		if (live->text[n - 1] == '\n' &&
			memcmp(history->text + history->used - n, live->text, n) == 0)
			return n;
	return 0;
}
