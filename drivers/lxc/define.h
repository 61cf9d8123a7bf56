/* What a guest has on the node: where its files are, and which facts can be written into liblxc's
 * configuration, which is rendered anew from its definition at each start; used inside drivers/lxc
 * only. */
#pragma once

#include "drivers/lxc/instance.h"

#define LXC_TITLE "LXC"

/* Refuses facts that cannot be written into a configuration. */
int define_check(const struct driver_guest *guest, struct err *err);

/* Removes the definition, and what else the driver keeps in its directories. */
int define_remove(const struct lxc_paths *paths, struct err *err);
