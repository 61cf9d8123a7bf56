/* Images that dockerd has; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/engine.h"
#include "drivers/docker/instance.h"
#include "drivers/docker/reference.h"

/* As driver_ops.image. */
int docker_image(struct driver *driver, const struct driver_image_work *work,
	struct driver_image **ret, size_t *ret_count, struct err *err);

/* Repositories of our own, of which nobody is told: what is kept of guests, and what is being
 * loaded. */
#define IMAGE_SNAPSHOTS "corpus-snapshot"
#define IMAGE_LAYERS	"corpus-layer"
#define IMAGE_LOADING	"corpus-load"

/* What a reference, or an id, means. ERR_NOT_FOUND (image). */
int image_find(struct engine *engine, const char *name, struct driver_image *ret, struct err *err);

/* Removes a name, and what nothing else needs. Absent is success. */
int image_remove(struct engine *engine, const char *name, struct err *err);

/* Those are images as their names say when they succeed. */
int image_pull(struct docker *docker, struct engine *engine, const struct driver_image_work *work,
	struct err *err);
int image_load(struct docker *docker, struct engine *engine, const struct driver_image_work *work,
	struct err *err);

/* What was refused with these words, with the code that they mean. */
int image_refused(const char *text, struct err *err);

/* What dockerd may say when it works on images, in a stream of messages: its errors come there,
 * too. As lines_fn; whatever `data` is. */
int image_message(void *data, json_t *message, struct err *err);
