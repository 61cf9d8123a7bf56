/* Images from their registries. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "drivers/docker/image.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/progress.h"
#include "drivers/docker/registries.h"

#define AUTH_HEADER "X-Registry-Auth: "

struct pull {
	struct lines lines;
	struct progress progress;
};

static void pull_finish(struct pull *p)
{
	lines_finish(&p->lines);
	progress_finish(&p->progress);
}

static int on_message(void *data, json_t *message, struct err *err)
{
	struct pull *p = data;
	int r = image_message(NULL, message, err);

	if (r == 0)
		progress_pull(&p->progress, message);
	return r;
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

static int ask(struct docker *docker, struct engine *engine, const struct reference *reference,
	const char *header, struct pull *p, struct err *err)
{
	char repository[REFERENCE_TEXT_MAX];
	struct engine_request request = {
		.method = "POST",
		.path = "/images/create",
		.query = {{"fromImage", reference_repository(reference, repository)},
			{"tag", reference->digest[0] ? reference->digest : reference->tag}},
		.what = "pull the image",
		.header = header,
		.stall_ms = docker->stall_ms,
		.sink = on_bytes,
		.also = p->progress.fd >= 0 ? on_progress_end : NULL,
		.also_fd = p->progress.fd,
		.data = p,
	};
	struct err failed = {0};
	int status = 0, r;

	request.ret_status = &status;
	r = engine_call(engine, &request, NULL, &failed);
	if (r == 0)
		r = lines_end(&p->lines, &failed);
	/* dockerd answers with what the registry said as if it were its own. */
	if (r < 0 && status >= 400)
		return image_refused(failed.message, err);
	if (r < 0 && err)
		*err = failed;
	return r;
}

int image_pull(struct docker *docker, struct engine *engine, const struct driver_image_work *work,
	struct err *err)
{
	CLEANUP(pull_finish) struct pull p = {.progress.fd = work->progress_fd};
	AUTOFREE char *auth = NULL, *header = NULL;
	struct reference reference;
	int r = reference_parse(work->name, &reference, err);

	p.lines = (struct lines){.object = on_message, .data = &p};
	if (r == 0)
		r = registries_header(docker->registries, reference.registry, &auth, err);
	if (r < 0)
		return r;
	if (asprintf(&header, AUTH_HEADER "%s", auth) < 0)
		return err_errno(err, ENOMEM, "no memory for a request");
	return ask(docker, engine, &reference, header, &p, err);
}
