/* Files of guests that this machine reaches, for driver_ops.file. A process of its own does what is
 * asked for: it goes where nothing but the guest is (into the user and mount namespaces of one that
 * runs; with its root as the root of everything, of one that does not), gives up all rights but
 * those about files, and only then looks at a path. Owners come out right by themselves inside: the
 * kernel maps them. What hangs (a file system in the guest's hands) hangs that process alone, which
 * is killed with its call. */
#pragma once

#include <sys/types.h>

#include "drivers/driver.h"

struct err;

struct visit {
	int init;	    /* pidfd of the guest's init; -1: it does not run */
	pid_t pid;	    /* of the same */
	const char *rootfs; /* of one that does not run */
};

/* Does it by a function that runs in a process of its own, where SIGPIPE is ignored: one that only
 * writes ends when nobody reads from it any more, and it ends with its caller. */
typedef int (*visit_fn)(
	void *data, const struct driver_file *file, struct driver_file_info *ret, struct err *err);

int visit_run(visit_fn visit, void *data, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err);

/* Does it in the guest, as tree_do. */
int visit_file(const struct visit *visit, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err);
