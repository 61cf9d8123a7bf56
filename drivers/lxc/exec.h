/* Commands inside guests; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"

int lxc_guest_exec(const struct lxc *lxc, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err);
