/* What containers use, as their control groups count it. dockerd is not asked: a note of each run
 * says which process it is; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Notes the run whose first process that is. */
int figures_note(const struct docker_guest *g, pid_t pid, struct err *err);

/* Of one, -ENOENT when it does not run; and of each that runs, as driver_ops.stats. */
int figures_one(const struct docker *docker, const char *id, struct driver_stats *ret);
int figures_all(
	const struct docker *docker, struct driver_stats **ret, size_t *ret_count, struct err *err);
