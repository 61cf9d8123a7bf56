/* Limits of a guest as writes to control group files; used inside drivers/lxc only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "drivers/lxc/cgroup.h"

struct err;

struct limit_write {
	const char *controller;
	const char *file;
	char value[48];
	bool optional; /* not every kernel has the file: it is then left out */
};

#define LIMIT_WRITES_MAX 8

/* The writes that bring the limits about on a host of that kind, in their order; returns how many.
 * Pure. With `live` they also take back limits that were set before. */
size_t limits_plan(const struct guest_limits *limits, bool v2, bool live,
	struct limit_write ret[static LIMIT_WRITES_MAX]);

/* Applies them to a running guest. */
int limits_apply(const struct cgroups *cgroups, const char *id, const struct guest_limits *limits,
	struct err *err);

/* The part of them that is left out of the configuration, to a guest that has just started. */
int limits_apply_optional(const struct cgroups *cgroups, const char *id,
	const struct guest_limits *limits, struct err *err);
