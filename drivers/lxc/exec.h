/* Commands inside guests; used inside drivers/lxc only. */
#pragma once

#include "drivers/definition.h"
#include "drivers/lxc/instance.h"

/* Of a guest that runs and is not frozen. */
int lxc_guest_exec(const struct lxc *lxc, const struct definition *definition,
	const struct driver_exec *exec, pid_t *ret_pid, struct err *err);
