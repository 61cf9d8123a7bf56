/* The disk of a machine that runs: driver_ops.disk. */
#pragma once

#include "drivers/driver.h"

struct err;

int kvm_disk(struct driver *driver, const char *id, const struct driver_disk_work *work,
	struct driver_disk_result *ret, struct err *err);
