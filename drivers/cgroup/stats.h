/* What guests have used, from the files of their control groups. */
#pragma once

#include "drivers/cgroup/cgroup.h"
#include "drivers/driver.h"

struct err;

/* Fills all but the id of *ret; what the node does not count stays 0. `disk` as in struct
 * driver_guest: with NULL, io is that of the busiest disk. -ENOENT when there is no such group: the
 * guest does not run. */
int stats_read(const struct cgroup *group, const char *disk, struct driver_stats *ret);

/* The guests of a driver, for the answers of its driver_ops.stats. */
struct stats_guests {
	/* What one has used, with its id; negative when it does not run, or there is none. */
	int (*read)(const void *driver, const char *id, struct driver_stats *ret);
	const void *driver;
	const char *dir,
		*suffix; /* of each that runs, and perhaps others, there is dir/ID and suffix */
};

/* Of one that should run: else ERR_ILLEGAL_STATE. */
int stats_one(const struct stats_guests *guests, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err);

/* Of each that runs; one that ends meanwhile is left out. */
int stats_all(const struct stats_guests *guests, struct driver_stats **ret, size_t *ret_count,
	struct err *err);
