/* Limits of a guest as writes to control group files. Planning them is pure; limits_apply.c carries
 * them out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/cgroup/cgroup.h"
#include "drivers/driver.h"

struct err;

/* Where the node has a controller: a host may have some in v1 and others in v2. */
enum limit_version { LIMIT_ABSENT, LIMIT_V1, LIMIT_V2 };

struct limits_host {
	enum limit_version memory, cpu, pids, io;
	uint64_t memory_now; /* v1: the limit that a running guest has, 0: none */
};

struct limit_write {
	const char *field; /* "limits.memory" */
	const char *controller;
	const char *file;
	char value[64];
	const char *undo; /* files with a line for each device: what takes back its line */
	bool later; /* not every kernel has the file, or it is about a device: it is no part of
		       the configuration, but set once the guest's groups are there */
	bool v2;
	bool none;    /* takes back a limit: a file that is not there holds none */
	bool or_next; /* where the file is not there, the next write is the same for other kernels
		       */
};

#define LIMIT_WRITES_MAX 12

void limits_host(const struct cgroups *cgroups, struct limits_host *ret);

/* Refuses limits that the node cannot bring about: ERR_UNSUPPORTED with the field. `disk` as in
 * struct driver_guest. */
int limits_check(const struct limits_host *host, const struct guest_limits *limits,
	const char *disk, struct err *err);

/* The writes that bring the limits about on a host of that kind, in their order; returns how many.
 * Those that need a controller that is not there are left out. With `live` they also take back
 * limits that were set before. */
size_t limits_plan(const struct limits_host *host, const struct guest_limits *limits,
	const char *disk, bool live, struct limit_write ret[static LIMIT_WRITES_MAX]);

/* Sets the limits of a running guest: all of them or, when one cannot be set, none. A memory limit
 * below what is used is ERR_INVALID (limits.memory), a limit that this kernel does not have
 * ERR_UNSUPPORTED. */
int limits_apply(const struct cgroup *group, const struct guest_limits *limits, const char *disk,
	struct err *err);

/* The part of them that is no part of the configuration, for a guest that has just started. */
int limits_apply_later(const struct cgroup *group, const struct guest_limits *limits,
	const char *disk, struct err *err);

/* Only io_weight, io_read and io_write of a running guest, for drivers whose engine sets all else;
 * errors as limits_apply. */
int limits_apply_io(const struct cgroup *group, const struct guest_limits *limits, const char *disk,
	struct err *err);

/* Whether a running guest uses more than this limit of memory: ERR_INVALID (limits.memory). 0 is
 * no limit. */
int limits_check_memory(const struct cgroup *group, uint64_t memory, struct err *err);
