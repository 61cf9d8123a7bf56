/* Layers: what guests wrote outside of their data, kept as images; used inside drivers/docker only.
 */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Images that are kept: of each guest one from which its container was made anew,
 * "corpus-layer:ID", and its snapshots, "corpus-snapshot:ID-NAME". */
#define LAYER_ID_MAX	    80
#define LAYER_REFERENCE_MAX 128

/* That of a snapshot. */
void layer_reference(const char *guest, const char *name, char ret[static LAYER_REFERENCE_MAX]);

/* What the image that all began as says how it is run, and the variables that an image or layer has
 * now: new references. ERR_NOT_FOUND. */
int layer_config(struct engine *engine, const char *image, json_t **ret_config,
	json_t **ret_variables, struct err *err);

/* Keeps a container's layer under that name; the id of the image goes to `ret`. */
int layer_keep(struct docker_guest *g, const char *container, const char *repository,
	const char *tag, char ret[static LAYER_ID_MAX], struct err *err);

/* Removes an image when it is a layer of ours, has no name and nobody needs it. */
void layer_forget(struct docker_guest *g, const char *image);

/* Removes all that is kept of the guest. */
int layer_remove_all(struct docker_guest *g, struct err *err);

/* driver_ops.layer */
int docker_layer(struct driver *driver, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err);
