/* Commands in machines: driver_ops.exec. A process of its own, the carrier, takes what the command
 * reads and writes into the guest and out of it, by the guest's agent or by ssh; its pid is what is
 * returned. */
#pragma once

#include "drivers/driver.h"

struct err;

int kvm_exec(struct driver *driver, const char *id, const struct driver_exec *exec, pid_t *ret_pid,
	struct err *err);
