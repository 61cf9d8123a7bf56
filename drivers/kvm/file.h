/* Files in machines: driver_ops.file. */
#pragma once

#include "drivers/driver.h"

struct err;

int kvm_file(struct driver *driver, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err);
