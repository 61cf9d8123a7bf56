/* What a driver is told about a guest, resolved: paths of its volume, names of its link. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "drivers/driver.h"
#include "net/net.h"

struct agent;
struct err;
struct guest;
struct storage;

/* `guest` points into the rest, into the guest and into the agent. */
struct driver_facts {
	struct driver_guest guest;
	struct driver_disk disk;
	struct driver_container container;
	char link[NET_LINK_NAME_MAX + 1];
	char rootfs[PATH_MAX], data[PATH_MAX];
	char path[PATH_MAX], base[PATH_MAX], kernel[PATH_MAX], initrd[PATH_MAX], nvram[PATH_MAX],
		seed[PATH_MAX], memory[PATH_MAX];
};

/* ERR_UNAVAILABLE while the pool is not open. */
int driver_facts_resolve(struct driver_facts *ret, const struct agent *agent,
	const struct guest *guest, struct err *err);

/* Whether the next start of the guest goes on from its saved memory. `storage` may be NULL. */
bool driver_facts_has_memory(const struct storage *storage, const struct guest *guest);
