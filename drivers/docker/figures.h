/* What containers use, as their control groups count it. dockerd is not asked: a note of each run
 * says which process it is; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Notes the run whose first process that is. */
int figures_note(const struct docker_guest *g, pid_t pid, struct err *err);

/* As driver_ops.stats: of one that should run, or with `id` NULL of each that does. */
int figures_tell(const struct docker *docker, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err);
