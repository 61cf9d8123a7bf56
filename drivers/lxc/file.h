/* Files of guests, running or not; used inside drivers/lxc only. */
#pragma once

#include "drivers/definition.h"
#include "drivers/lxc/instance.h"

int lxc_guest_file(const struct lxc_paths *paths, const struct definition *definition,
	const struct driver_file *file, struct driver_file_info *ret, struct err *err);
