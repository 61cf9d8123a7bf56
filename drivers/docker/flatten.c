/* One layer instead of many. dockerd gives the files of a container as a tar, and takes them back
 * as an image: both at once, so that nothing of it lies anywhere else. */
#include "drivers/docker/flatten.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/strbuf.h"
#include "drivers/docker/fetch.h"
#include "drivers/docker/image.h"
#include "drivers/docker/lines.h"

#define FLATTEN_MS 240000
#define TRAILER	   1024	 /* zeros that a tar ends with: POSIX, pax, "ustar Interchange Format" */
#define LINE_BYTES 65000 /* of a Dockerfile; dockerd reads lines of up to 65535 */

/* --- What it is told -------------------------------------------------------------------------- */

static void add_quoted(struct strbuf *buf, const char *text)
{
	strbuf_add(buf, "\"");
	for (const char *p = text; *p; p++) {
		if (strchr("\\\"$", *p))
			strbuf_add(buf, "\\");
		strbuf_add_bytes(buf, p, 1);
	}
	strbuf_add(buf, "\"");
}

/* Whether it could be said: a line is bounded, and knows no way to say that one ends. */
static bool add_label(struct strbuf *buf, const char *key, const char *value)
{
	size_t before = buf->used;

	if (!key[0] || !value || strpbrk(key, "\r\n") || strpbrk(value, "\r\n"))
		return false;
	strbuf_add(buf, "LABEL ");
	add_quoted(buf, key);
	strbuf_add(buf, "=");
	add_quoted(buf, value);
	strbuf_add(buf, "\n");
	if (buf->failed || buf->used - before <= LINE_BYTES)
		return true;
	buf->used = before;
	buf->text[before] = '\0';
	return false;
}

static void add_port(struct strbuf *buf, const char *port)
{
	if (strspn(port, "0123456789-/acdpstu") == strlen(port)) /* 80/tcp */
		strbuf_addf(buf, "EXPOSE %s\n", port);
}

int flatten_changes(const json_t *config, const json_t *labels, char **ret, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf buf = {0};
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(config, "ExposedPorts"), key, value)
		add_port(&buf, key);
	json_object_foreach (json_object_get(config, "Labels"), key, value)
		if (!json_object_get(labels, key))
			add_label(&buf, key, json_string_value(value));
	json_object_foreach ((json_t *)labels, key, value)
		if (!add_label(&buf, key, json_string_value(value)))
			return err_set(err, ERR_UNSUPPORTED, NULL,
				"what the image says is too long for a label of Docker's (%s)",
				key);
	*ret = strbuf_take(&buf);
	return *ret ? 0 : err_errno(err, ENOMEM, "no memory for an image");
}

/* --- From dockerd to dockerd ------------------------------------------------------------------ */

struct copy {
	struct fetch fetch;
	struct lines lines;
	size_t zeros; /* that what came so far ends with */
};

static void copy_finish(struct copy *copy)
{
	fetch_finish(&copy->fetch);
	lines_finish(&copy->lines);
}

static size_t zeros_behind(const char *bytes, size_t size)
{
	size_t n = 0;

	while (n < size && bytes[size - 1 - n] == 0)
		n++;
	return n;
}

/* What dockerd meets when it has begun to answer it says behind what it has written by then, and
 * ends as always. */
static int check_whole(struct copy *copy, struct err *err)
{
	int r = fetch_wait(&copy->fetch, err);

	if (r == 0 && copy->zeros < TRAILER)
		return err_set(err, ERR_DRIVER, NULL,
			"dockerd gave not all files of the container: its log says why");
	return r;
}

static ssize_t give(void *data, char *buf, size_t size, struct err *err)
{
	struct copy *copy = data;
	size_t zeros;
	ssize_t n;

	do
		n = read(copy->fetch.from, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, errno, "cannot read the container's files");
	if (n == 0)
		return check_whole(copy, err);
	zeros = zeros_behind(buf, (size_t)n);
	copy->zeros = zeros == (size_t)n ? copy->zeros + zeros : zeros;
	return n;
}

static int on_answer(void *data, const char *bytes, size_t size, struct err *err)
{
	struct copy *copy = data;

	return lines_take(&copy->lines, bytes, size, err);
}

static int import(struct docker_guest *g, struct copy *copy, const struct flatten_as *as,
	const char *changes, struct err *err)
{
	struct err failed = {0};
	int status = 0;
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/images/create",
			.query = {{"fromSrc", "-"}, {"repo", as->repository}, {"tag", as->tag},
				{"changes", changes}},
			.what = "make one layer of the container's",
			.timeout_ms = FLATTEN_MS,
			.source = give,
			.source_type = "application/x-tar",
			.source_fd = copy->fetch.from,
			.sink = on_answer,
			.data = copy,
			.ret_status = &status},
		NULL, &failed);

	if (r == 0)
		r = lines_end(&copy->lines, &failed);
	if (r < 0 && status >= 400)
		return image_refused(failed.message, err);
	if (r < 0 && err)
		*err = failed;
	return r;
}

int flatten_container(
	struct docker_guest *g, const char *container, const struct flatten_as *as, struct err *err)
{
	CLEANUP(copy_finish) struct copy copy = {.lines = {.object = image_message}};
	AUTOFREE char *changes = NULL;
	int r = flatten_changes(as->config, as->labels, &changes, err);

	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	copy.fetch.request = (struct engine_request){.path = "/containers/{}/export",
		.name = container,
		.what = "read the container's files"};
	r = fetch_begin(&copy.fetch, g->docker->socket, FLATTEN_MS, err);
	fault_point("driver.docker.flatten.begun");
	if (r == 0 && fault_point("driver.docker.flatten.failed"))
		return err_set(err, ERR_NO_ROOM, NULL, "there is no room to make one layer");
	return r == 0 ? import(g, &copy, as, changes, err) : r;
}
