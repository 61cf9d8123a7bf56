/* Removing all that a guest has; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Of a guest that may not be defined: what bears its labels goes all the same. */
int destroy_all(struct docker_guest *g, struct err *err);

/* Volumes that none of its containers has any more: after a restore the data are another subvolume,
 * which has a volume of its own. What cannot be removed now goes with the next, or the guest. */
void destroy_unused_volumes(struct docker_guest *g);

/* Volumes of guests that are gone, which dockerd would not remove then. */
void destroy_remains(struct engine *engine, const struct docker *docker);
