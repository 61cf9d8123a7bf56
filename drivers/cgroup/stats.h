/* What guests have used, from the files of their control groups. */
#pragma once

#include "drivers/cgroup/cgroup.h"
#include "drivers/driver.h"

/* Fills all but the id of *ret; what the node does not count stays 0. `disk` as in struct
 * driver_guest: with NULL, io is that of the busiest disk. -ENOENT when there is no such group: the
 * guest does not run. */
int stats_read(const struct cgroup *group, const char *disk, struct driver_stats *ret);
