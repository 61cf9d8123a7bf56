/* What every driver must pass: the rules of drivers/driver.h as tests. A driver's own test makes an
 * environment in which it can work, and runs the suite in it once in process and once with its
 * program. docs/WRITING-A-DRIVER.md shows how. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

enum rootfs_kind {
	ROOTFS_PLAIN,	 /* with an init that shuts down when asked to */
	ROOTFS_NO_INIT,	 /* without any */
	ROOTFS_STUBBORN, /* with an init that ignores it */
};

/* A point at which the driver is killed in a call, after which the call is repeated. */
struct crash_point {
	enum { CRASH_CREATE, CRASH_START, CRASH_STOP, CRASH_DESTROY } in;
	const char *point; /* see base/fault.h */
};

struct environment {
	const struct driver_ops *ops; /* one of the two is given */
	const char *program;
	struct driver_config config;
	bool privileged;    /* of all guests */
	const char *bridge; /* NULL: guests get no network */
	/* Makes a root file system and returns its path, which lives until the environment ends. */
	const char *(*rootfs)(enum rootfs_kind kind);
	/* NULL, or what is left of a guest on the host although it is stopped (`defined`) or
	 * destroyed: a text to print. */
	const char *(*leftovers)(const char *id, bool defined);
	bool no_memory_limits; /* the test's own node cannot limit memory, whatever the driver can
				*/
	/* What a command in a guest writes to for its console; NULL: there is none */
	const char *console_device;
	/* A directory in each running guest that holds less than a mebibyte; NULL: there is none */
	const char *small_directory;
	const struct crash_point *crash_points; /* ends with a NULL point; or NULL */
};

/* Runs the suite; returns the number of failed tests. */
int conformance_run(const char *name, const struct environment *environment);
