/* A container's link: a pair of veth, one end on the node's bridge and the other, eth0, in the
 * container's network namespace, by libnl-route; used inside drivers/docker only. */
#pragma once

#include "drivers/driver.h"

struct err;

/* Makes it so, however much of it there is already. `namespace` is an open /proc/PID/ns/net. */
int veth_attach(const struct driver_guest *guest, int namespace, struct err *err);
