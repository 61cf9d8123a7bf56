/* What people add to a container: JSON objects that are merged (RFC 7396) into the body of "create
 * a container" (docs.docker.com/engine/api); used inside drivers/docker only. Lists of mounts,
 * privileges and the like are added to those that are there. What would make the agent's picture of
 * the guest wrong, or hand it the node's Docker, is refused. */
#pragma once

#include <jansson.h>

struct driver_guest;
struct err;

/* All that is added to that guest, by `dir`/all.json, its own file there and its raw lines, a new
 * reference to a list of objects; NULL: nothing is. `socket` is dockerd's. ERR_INVALID with where
 * it stands. */
int merge_read(const char *dir, const struct driver_guest *guest, const char *socket, json_t **ret,
	struct err *err);

/* Merges what was read. */
int merge_apply(json_t *body, const json_t *additions, struct err *err);
