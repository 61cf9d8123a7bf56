/* Commands "in" fake guests: processes of the node that end with the guest; used inside
 * drivers/fake only. */
#pragma once

#include <sys/types.h>

#include "drivers/driver.h"

struct err;

/* Starts the command and what waits for its end, which holds a lock on `lock_file` for as long. */
int fake_exec_start(const struct driver_exec *exec, pid_t guest, const char *lock_file,
	pid_t *ret_pid, struct err *err);

/* Waits for the end of all that was started with that lock file. */
void fake_exec_wait_all(const char *lock_file);
