/* What every driver must pass: the rules of drivers/driver.h as tests. A driver's own test makes an
 * environment in which it can work, and runs the suite in it once in process and once with its
 * program. docs/WRITING-A-DRIVER.md shows how. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

enum rootfs_kind {
	ROOTFS_PLAIN,	 /* with an init that shuts down when asked to */
	ROOTFS_NO_INIT,	 /* without any: it cannot be started */
	ROOTFS_STUBBORN, /* with an init that ignores it */
	ROOTFS_SLOW,	 /* with an init that hears it only some time after it has begun */
	ROOTFS_KINDS
};

/* A point at which the driver is killed in a call, after which the call is repeated. */
struct crash_point {
	enum { CRASH_CREATE, CRASH_START, CRASH_STOP, CRASH_DESTROY } in;
	const char *point; /* see base/fault.h */
};

/* Parts of the suite. */
enum {
	CONFORMANCE_LIFE = 1 << 0,
	CONFORMANCE_COMMANDS = 1 << 1,
	CONFORMANCE_CONSOLES = 1 << 2,
	CONFORMANCE_FILES = 1 << 3,
};

struct environment {
	const struct driver_ops *ops; /* one of the two is given */
	const char *program;
	struct driver_config config;
	bool privileged;    /* of all guests */
	const char *bridge; /* NULL: guests get no network */
	/* Makes a root file system and returns its path, which lives until the environment ends. */
	const char *(*rootfs)(enum rootfs_kind kind);
	/* Or, for guests that are machines, a disk of that guest's own, which lives as long. */
	const struct driver_disk *(*disk)(const char *id, enum rootfs_kind kind);
	/* Or, for guests that are made of images of programs, what that guest is made of. */
	const struct driver_container *(*container)(const char *id, enum rootfs_kind kind);
	/* Waits until a guest that was started can be asked for something; NULL: it can at once. */
	void (*ready)(const char *id);
	unsigned parts; /* those to run; 0: all */
	/* Guests that are only played by what is driven: they have no process, and obey. This ends
	 * one from outside; NULL: guests are real. */
	void (*end_played)(const char *id);
	/* Starting a guest takes long: tests of commands, consoles and files share one. */
	bool shared_guest;
	/* The driver's own tests, in the same guest; returns the number that failed. NULL: none */
	int (*own)(void);
	size_t console_bytes; /* more than the history of a console keeps; 0: some 10 MiB */
	/* What an error says of a guest that cannot be started; NULL: "init" */
	const char *broken_says;
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
