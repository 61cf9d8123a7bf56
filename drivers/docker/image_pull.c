/* Images from their registries. A dockerd that goes away in the middle is waited for, and asked
 * again: it goes on with what it has. What a registry refuses is not asked for a second time. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "drivers/docker/image.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/progress.h"
#include "drivers/docker/registries.h"

#define AUTH_HEADER "X-Registry-Auth: "

struct pull {
	struct docker *docker;
	struct reference reference;
	char *header;
	struct lines lines;
	struct progress progress;
};

static void pull_finish(struct pull *p)
{
	lines_finish(&p->lines);
	progress_finish(&p->progress);
	free(p->header);
}

static int on_message(void *data, json_t *message, struct err *err)
{
	struct pull *p = data;
	int r = image_message(NULL, message, err);

	if (r < 0)
		return r;
	progress_pull(&p->progress, message);
	if (progress_stalled_ms(&p->progress, message) < p->docker->stall_ms)
		return 0;
	return err_set(err, ERR_TIMEOUT, NULL,
		"cannot pull the image: its registry sends nothing of it any more");
}

static int on_bytes(void *data, const char *bytes, size_t size, struct err *err)
{
	struct pull *p = data;

	return lines_take(&p->lines, bytes, size, err);
}

static int on_progress_end(void *data, struct err *err)
{
	struct pull *p = data;

	return progress_cancelled(&p->progress, err);
}

/* --- Asking ---------------------------------------------------------------------------------- */

/* *ret_gone: dockerd went away meanwhile. */
static int ask(struct engine *engine, struct pull *p, bool *ret_gone, struct err *err)
{
	const struct reference *reference = &p->reference;
	char repository[REFERENCE_TEXT_MAX];
	struct engine_request request = {
		.method = "POST",
		.path = "/images/create",
		.query = {{"fromImage", reference_repository(reference, repository)},
			{"tag", reference->digest[0] ? reference->digest : reference->tag}},
		.what = "pull the image",
		.header = p->header,
		.stall_ms = p->docker->stall_ms,
		.sink = on_bytes,
		.also = p->progress.fd >= 0 ? on_progress_end : NULL,
		.also_fd = p->progress.fd,
		.data = p,
	};
	struct err failed = {0};
	int status = 0, r;

	request.ret_status = &status;
	request.ret_gone = ret_gone;
	r = engine_call(engine, &request, NULL, &failed);
	if (r == 0)
		r = lines_end(&p->lines, &failed);
	/* What one says that is stopped in good order, where it still can. */
	if (r < 0 && strstr(failed.message, "context canceled"))
		*ret_gone = true;
	/* dockerd answers with what the registry said as if it were its own. */
	if (r < 0 && status >= 400)
		return image_refused(failed.message, err);
	if (r < 0 && err)
		*err = failed;
	return r;
}

/* --- Going on -------------------------------------------------------------------------------- */

#define LOSSES_MAX 5   /* what ends dockerd each time is perhaps this pull */
#define PAUSE_MS   100 /* between looks for dockerd */

/* Waits for a moment, or until the work is given up. */
static int pause_between(struct pull *p, struct err *err)
{
	struct pollfd end = {.fd = p->progress.fd}; /* of its reader; -1: there is none */

	poll(&end, 1, PAUSE_MS);
	return end.revents ? progress_cancelled(&p->progress, err) : 0;
}

/* One that is there again. */
static int await_dockerd(struct pull *p, struct engine **ret, struct err *err)
{
	int64_t end = clock_monotonic_ns() + (int64_t)p->docker->away_ms * 1000000;
	struct err failed = {0};
	int r;

	progress_wait(&p->progress, "waiting for dockerd");
	for (;;) {
		r = pause_between(p, err);
		if (r < 0)
			return r;
		r = engine_open(p->docker->socket, 0, ret, &failed);
		if (r == 0 || failed.code != ERR_UNAVAILABLE || clock_monotonic_ns() >= end)
			break;
	}
	if (r < 0 && err)
		*err = failed;
	return r;
}

static int ask_until_done(struct pull *p, struct engine *first, struct err *err)
{
	AUTOENGINE struct engine *later = NULL;

	for (unsigned losses = 1;; losses++) {
		bool gone = false;
		int r = ask(later ? later : first, p, &gone, err);

		if (r == 0 || !gone)
			return r;
		if (losses == LOSSES_MAX)
			return err_set(err, ERR_DRIVER, NULL,
				"cannot pull the image: dockerd went away %u times meanwhile",
				losses);
		lines_finish(&p->lines);
		later = engine_close(later);
		r = await_dockerd(p, &later, err);
		if (r < 0)
			return r;
	}
}

int image_pull(struct docker *docker, struct engine *engine, const struct driver_image_work *work,
	struct err *err)
{
	CLEANUP(pull_finish)
	struct pull p = {.docker = docker, .progress.fd = work->progress_fd};
	AUTOFREE char *auth = NULL;
	int r = reference_parse(work->name, &p.reference, err);

	p.lines = (struct lines){.object = on_message, .data = &p};
	if (r == 0)
		r = registries_header(docker->registries, p.reference.registry, &auth, err);
	if (r < 0)
		return r;
	if (asprintf(&p.header, AUTH_HEADER "%s", auth) < 0) {
		p.header = NULL;
		return err_errno(err, ENOMEM, "no memory for a request");
	}
	return ask_until_done(&p, engine, err);
}
