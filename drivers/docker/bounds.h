/* The limits of containers: dockerd is told what it can express, so that it knows, and the control
 * groups get all of them, also what takes a limit back; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Whether this node and Docker can bring them about; errors with the field. */
int bounds_check(const struct docker *docker, const struct driver_guest *guest, struct err *err);

/* Those that dockerd knows of a container, when they are others. */
int bounds_tell(struct docker_guest *g, const struct guest_limits *limits, struct err *err);

/* Sets them for a container that runs, or waits at its gate. */
int bounds_apply(const struct docker_guest *g, const struct driver_guest *guest, struct err *err);

/* Of a container that runs: all of them or, when one cannot be set, none. */
int bounds_change(struct docker_guest *g, const struct driver_guest *guest, struct err *err);
