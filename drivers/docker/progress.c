/* How far the work on an image is. */
#include "drivers/docker/progress.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/err.h"
#include "drivers/docker/reply.h"

#define PAUSE_NS   200000000L
#define LAYERS_MAX 1024

struct progress_layer {
	char id[80];
	uint64_t done, total; /* bytes fetched */
	char status[24];      /* what was said last */
	uint64_t at;
	UT_hash_handle hh;
};

static bool can_write(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP)) == POLLOUT;
}

void progress_tell(struct progress *p, uint64_t done, uint64_t total, const char *what, bool anyway)
{
	int64_t now = clock_monotonic_ns();
	char line[200];
	int size;

	if (p->fd < 0 || (!anyway && now - p->told_ns < PAUSE_NS) || !can_write(p->fd))
		return;
	size = snprintf(line, sizeof(line),
		"{\"done\":%" PRIu64 ",\"total\":%" PRIu64 ",\"what\":\"%.100s\"}\n", done, total,
		what);
	p->told_ns = now;
	/* Whoever reads it may have gone: that is seen elsewhere. */
	if (write(p->fd, line, (size_t)size) < 0)
		return;
}

int progress_cancelled(void *progress, struct err *err)
{
	const struct progress *p = progress;
	struct pollfd end = {.fd = p->fd};

	return poll(&end, 1, 0) == 1 && (end.revents & (POLLERR | POLLHUP))
		       ? err_set(err, ERR_CANCELLED, NULL, "the work on the image was cancelled")
		       : 0;
}

/* --- Pulls ----------------------------------------------------------------------------------- */

static struct progress_layer *layer_of(struct progress *p, const char *id)
{
	struct progress_layer *layer;

	HASH_FIND_STR(p->layers, id, layer);
	if (layer || strlen(id) >= sizeof(layer->id) || HASH_COUNT(p->layers) >= LAYERS_MAX)
		return layer;
	layer = calloc(1, sizeof(*layer));
	if (!layer)
		return NULL;
	snprintf(layer->id, sizeof(layer->id), "%s", id);
	HASH_ADD_STR(p->layers, id, layer);
	return layer;
}

static uint64_t bytes_at(const json_t *message, const char *path)
{
	int64_t bytes = reply_number_or_none(message, path);

	/* So that sums stay sums. */
	return bytes > 0 && bytes < INT64_MAX / LAYERS_MAX ? (uint64_t)bytes : 0;
}

static bool is_new(struct progress_layer *layer, const json_t *message, const char *status)
{
	uint64_t at = bytes_at(message, "progressDetail.current");

	if (at == layer->at && strncmp(status, layer->status, sizeof(layer->status) - 1) == 0)
		return false;
	layer->at = at;
	snprintf(layer->status, sizeof(layer->status), "%s", status);
	return true;
}

static void take_layer(struct progress *p, const json_t *message, const char *status)
{
	struct progress_layer *layer = layer_of(p, reply_text_or_none(message, "id"));

	if (!layer || !is_new(layer, message, status))
		return;
	p->news_ns = clock_monotonic_ns();
	if (strcmp(status, "Downloading") == 0) {
		layer->done = bytes_at(message, "progressDetail.current");
		layer->total = bytes_at(message, "progressDetail.total");
	} else if (strcmp(status, "Download complete") == 0 || strcmp(status, "Extracting") == 0) {
		layer->done = layer->total;
	}
}

static void tell_layers(struct progress *p, const char *what, bool anyway)
{
	uint64_t done = 0, total = 0;

	for (const struct progress_layer *l = p->layers; l; l = l->hh.next) {
		done += l->done;
		total += l->total;
	}
	progress_tell(p, done, total, what, anyway);
}

void progress_wait(struct progress *p, const char *what)
{
	tell_layers(p, what, true);
}

void progress_pull(struct progress *p, const json_t *message)
{
	const char *status = reply_text_or_none(message, "status");

	if (reply_text_or_none(message, "id")[0] == '\0')
		return;
	take_layer(p, message, status);
	tell_layers(p,
		strcmp(status, "Extracting") == 0 || strcmp(status, "Pull complete") == 0
			? "extracting"
			: "downloading",
		false);
}

uint64_t progress_stalled_ms(const struct progress *p, const json_t *message)
{
	if (strcmp(reply_text_or_none(message, "status"), "Downloading") != 0)
		return 0;
	return (uint64_t)(clock_monotonic_ns() - p->news_ns) / 1000000;
}

void progress_finish(struct progress *p)
{
	struct progress_layer *layer, *next;

	HASH_ITER (hh, p->layers, layer, next) {
		HASH_DEL(p->layers, layer);
		free(layer);
	}
}
