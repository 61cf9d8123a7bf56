/* What dockerd answers, to be read from a pipe by whoever does something else meanwhile: a thread
 * has the request. Used inside drivers/docker only, in a process that ignores SIGPIPE. */
#pragma once

#include <pthread.h>

#include "base/err.h"
#include "drivers/docker/engine.h"

/* In its place until fetch_finish. With fetch_finish on a zeroed one, or one that never began. */
struct fetch {
	struct engine_request request; /* filled by the caller; the answer's own fields are not */
	int from;		       /* to read from: whole only if fetch_wait says so */
	int to;
	struct engine *engine;
	pthread_t thread;
	bool begun;
	int result;
	struct err why;
};

/* For so long, as engine_open has it. */
int fetch_begin(struct fetch *fetch, const char *socket, uint64_t timeout_ms, struct err *err);
/* After the end of what comes, or when nobody wants more: how the request ended, ERR_CANCELLED when
 * that was before all of it was read. May be repeated. */
int fetch_wait(struct fetch *fetch, struct err *err);
/* What was not read yet is not waited for. */
void fetch_finish(struct fetch *fetch);
