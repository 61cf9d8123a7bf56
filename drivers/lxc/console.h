/* Consoles of guests; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"

int lxc_guest_console(const struct lxc *lxc, const char *id, const struct driver_console *wanted,
	struct err *err);
