/* One layer instead of many: a copy of all files of a container that does not run, as an image;
 * used inside drivers/docker only.
 *
 * Docker packs them as it packs the layers that it keeps itself ("Export a container", "Create an
 * image" by import, Engine API): with owners, modes, times, links, devices and capabilities of
 * files, without sockets and other extended attributes. What is mounted into it is left out. */
#pragma once

#include <jansson.h>

#include "drivers/docker/guest.h"

struct err;

struct flatten_as {
	const char *repository, *tag;
	const json_t *config; /* Config of the image: what of it no container of ours is told */
	const json_t *labels; /* texts by their names */
};

/* Makes that image; it is whole, or not there. ERR_NO_ROOM. */
int flatten_container(struct docker_guest *g, const char *container, const struct flatten_as *as,
	struct err *err);

/* What the image is told, in words of a Dockerfile: those labels, and of its Config the ports and
 * others' labels, as far as they can be said so. ERR_UNSUPPORTED for a label that cannot. */
int flatten_changes(const json_t *config, const json_t *labels, char **ret, struct err *err);
