/* Commands "in" fake guests: processes of the node that end with the guest, with the users of its
 * root tree; used inside drivers/fake only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/driver.h"

struct err;

struct fake_exec {
	pid_t guest;
	const char *rootfs;
	bool machine;	       /* rootfs is all that its commands see: they may well change it */
	const char *lock_file; /* locked for as long as something waits for a command */
};

int fake_exec_start(const struct driver_exec *exec, const struct fake_exec *where, pid_t *ret_pid,
	struct err *err);

/* Waits for the end of all that was started with that lock file. */
void fake_exec_wait_all(const char *lock_file);
