/* Consoles of machines, their first serial ports: driver_ops.console. */
#pragma once

#include "drivers/driver.h"

struct err;

int kvm_console(struct driver *driver, const char *id, const struct driver_console *wanted,
	struct err *err);
