/* The monitor of a running guest: the parent of its init, in which liblxc waits for its end. It is
 * a copy of the calling process that outlives it; at the end it keeps init's wait status and
 * clears up what liblxc leaves; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"
#include "drivers/lxc/runtime.h"

struct err;

/* Starts a guest whose configuration is written, and returns when its init has been executed.
 * -EIO when it does not start: liblxc's log, or monitor_read_exit, says why. */
int monitor_start(const struct lxc *lxc, const struct driver_guest *guest,
	const struct lxc_paths *paths, pid_t *ret_init, struct err *err);

/* The monitor of a start that was cut off: its pid is 0 when it is not known. */
void monitor_read_starting(const struct lxc_paths *paths, struct lxc_process *ret);

/* The wait status of an init that ended by itself, or -1. */
int monitor_read_exit(const struct lxc_paths *paths);

/* liblxc's idea of init's end as a wait status (wait(2)). An init that shut its guest down by
 * reboot(2) ended well, with status 0. */
int monitor_wait_status(int error_num);
