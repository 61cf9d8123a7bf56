/* What guests are, as status, list and the events see it; used inside drivers/docker only. */
#pragma once

#include <stdbool.h>

#include "drivers/docker/instance.h"

struct engine;
struct err;

/* UNKNOWN when dockerd does not say. ERR_NOT_FOUND for a guest that is not defined. */
int look_one(
	const struct docker *docker, const char *id, struct driver_status *ret, struct err *err);
/* By a connection that is there, NULL: UNKNOWN. False for a guest that is not defined. `*ret_again`
 * says that it is about to become something else of which no event tells; NULL: nobody asks. */
bool look_by(struct engine *engine, const struct docker *docker, const char *id,
	struct driver_status *ret, bool *ret_again);
bool look_is_defined(const struct docker *docker, const char *id);
/* All that are defined, as driver_ops.list. */
int look_all(const struct docker *docker, struct driver_status **ret, size_t *ret_count,
	struct err *err);
