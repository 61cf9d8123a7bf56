/* What guests have used, from the files of their control groups; used inside drivers/lxc only. */
#pragma once

#include "drivers/cgroup/cgroup.h"
#include "drivers/lxc/instance.h"

struct err;

/* Fills all but the id of *ret; what the node does not count stays 0. `disk` as in struct
 * driver_guest: with NULL, io is that of the busiest disk. -ENOENT when the guest has no groups:
 * it does not run. */
int stats_read(
	const struct cgroups *cgroups, const char *id, const char *disk, struct driver_stats *ret);

/* The same of a guest as it was started, with its id; -ENOENT when it does not run. */
int lxc_guest_stats(const struct lxc *lxc, const char *id, struct driver_stats *ret);

/* Of each that runs: as driver_ops.stats. */
int lxc_guests_stats(
	const struct lxc *lxc, struct driver_stats **ret, size_t *ret_count, struct err *err);
