/* Removing all that a guest has; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Of a guest that may not be defined: what bears its labels goes all the same. */
int destroy_all(struct docker_guest *g, struct err *err);

/* Volumes of guests that are gone, which dockerd would not remove then. */
void destroy_remains(struct engine *engine, const struct docker *docker);
