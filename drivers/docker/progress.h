/* How far the work on an image is, told in lines (driver_image_work.progress_fd); used inside
 * drivers/docker only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

struct progress_layer;

struct progress {
	int fd;			       /* -1: nobody wants to know */
	struct progress_layer *layers; /* of a pull, by id */
	int64_t told_ns;	       /* when the last line was written */
	int64_t news_ns;	       /* when a layer was said to be elsewhere than before */
};

/* Writes a line, when none was written for a while, or `anyway`. It never waits: what the reader
 * does not take in time is left out. */
void progress_tell(
	struct progress *progress, uint64_t done, uint64_t total, const char *what, bool anyway);

/* A message of a pull as dockerd streams it: takes note, and tells how far all layers are. */
void progress_pull(struct progress *progress, const json_t *message);

/* For how long, by a message that was taken note of, a layer should come and nothing has happened
 * to any: with images in containerd's store dockerd says ten times in a second what it said before.
 */
uint64_t progress_stalled_ms(const struct progress *progress, const json_t *message);

/* The pull stands still where it is. */
void progress_wait(struct progress *progress, const char *what);

/* As engine_also_fn, of a struct progress: its other end was closed, ERR_CANCELLED. */
int progress_cancelled(void *progress, struct err *err);

void progress_finish(struct progress *progress);
