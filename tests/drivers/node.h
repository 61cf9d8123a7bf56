/* A node of one's own for tests with real guests: this process moves into network and mount
 * namespaces of its own, with a bridge, a /sys that fits, and a file system in memory with root
 * trees made of busybox. All of it goes with the process. */
#pragma once

#include "conformance/conformance.h"

#define NODE_BRIDGE "ctbr0"

/* Exits with a message when it cannot be had. */
void node_enter(void);
const char *node_dir(void);
/* With a driver's directories there. */
struct driver_config node_config(void);
const char *node_rootfs(enum rootfs_kind kind);
/* Makes one in `root`, with that script as its init; NULL: none. */
void node_make_rootfs(const char *root, const char *init);

/* NULL, or what is left of a guest: links, control groups, processes. */
const char *node_leftovers(const char *id, bool defined);
