/* What guests have used, from the files of their control groups; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"

struct err;

/* As driver_ops.stats: of one that should run, or with `id` NULL of each that does. */
int lxc_guests_stats(const struct lxc *lxc, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err);
