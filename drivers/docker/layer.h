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

/* Docker's limit of the layers that an image has, whatever its storage; with each container one
 * more is made below the next. Long before, they are made one. */
#define LAYERS_LIMIT 125
#define LAYERS_USUAL 100 /* struct docker, layers_most */

/* What is known of an image or layer. */
struct layer {
	json_t *config;	   /* what the image that all began as says how it is run */
	json_t *variables; /* that it has now */
	size_t layers;	   /* of which it consists */
};

/* ERR_NOT_FOUND. */
int layer_look(struct engine *engine, const char *image, struct layer *ret, struct err *err);
void layer_finish(struct layer *layer);

struct layer_wish {
	const char *repository, *tag; /* what it is to be called */
	size_t most;		      /* on so many layers it becomes one with them, */
	bool surely;		      /* or is not kept at all */
};

/* Keeps a container's layer under that name; the id of the image goes to `ret`. A container that
 * runs is to be held still by the caller. Layers that cannot be made one are a failure only of what
 * is wished so, or when there are LAYERS_LIMIT of them. */
int layer_keep(struct docker_guest *g, const char *container, const struct layer_wish *wish,
	char ret[static LAYER_ID_MAX], struct err *err);

/* Removes what was kept by that name. Absent is success. */
int layer_drop(struct docker_guest *g, const char *reference, struct err *err);

/* Removes an image when it is a layer of ours, has no name and nobody needs it. */
void layer_forget(struct docker_guest *g, const char *image);
/* The same of all layers of the guest: what was cut short has left some. */
void layer_tidy(struct docker_guest *g);

/* Removes all that is kept of the guest. */
int layer_remove_all(struct docker_guest *g, struct err *err);

/* driver_ops.layer */
int docker_layer(struct driver *driver, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err);
