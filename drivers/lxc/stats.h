/* What guests have used, from the files of their control groups; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"

struct err;

/* Of a guest as it was started, with its id; -ENOENT when it does not run. */
int lxc_guest_stats(const struct lxc *lxc, const char *id, struct driver_stats *ret);

/* Of each that runs: as driver_ops.stats. */
int lxc_guests_stats(
	const struct lxc *lxc, struct driver_stats **ret, size_t *ret_count, struct err *err);
