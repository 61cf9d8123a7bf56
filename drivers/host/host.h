/* Runs a driver as a process of its own: what the main function of every corpus-driver-NAME calls.
 *
 * The process finds its end of the wire at descriptor 3, greets, then serves calls until the other
 * end closes. It stays single-threaded. By the driver's call_mode each call runs in a forked child,
 * several at once, and is killed at its deadline; or one after the other in the process itself,
 * where the agent's client is what watches over the deadline. Guests are none of its children. */
#pragma once

#include "drivers/driver.h"

/* The whole program; returns its exit status. */
int driver_host_main(const struct driver_ops *ops, int argc, char **argv);
