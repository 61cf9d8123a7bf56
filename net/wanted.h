/* What the network should be, as it was told by net_apply and all that came after: remembered here,
 * so that a repair can compare it with the kernel at any time, and never undoes what another thread
 * does just then. The caller locks. */
#pragma once

#include "net/net.h"

struct wanted {
	struct net_guest *guests; /* sorted by id; id and name are owned */
	size_t guests_count, guests_room;
	/* By protocol and host port, so that one costs the same however many there are; only the
	 * pages that hold some are ever in memory. Allocated with the first; address 0: none. */
	struct wanted_port {
		uint32_t address;
		uint16_t guest;
	} * ports[2];
};

/* Replaces everything. -ENOMEM leaves it empty. */
int wanted_set(struct wanted *wanted, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count);
void wanted_finish(struct wanted *wanted);

/* Adds, or replaces what had that id or that host port. */
int wanted_put_guest(struct wanted *wanted, const struct net_guest *guest);
int wanted_put_port(struct wanted *wanted, const struct net_port *port);

/* The guest of that id, or NULL. */
struct net_guest *wanted_find_guest(const struct wanted *wanted, const char *id);

/* All ports as an array that the caller frees; NULL without memory. */
struct net_port *wanted_list_ports(const struct wanted *wanted, size_t *ret_count);

/* Absent is fine. */
void wanted_drop_guest(struct wanted *wanted, const char *id);
void wanted_drop_port(struct wanted *wanted, enum port_proto proto, uint16_t host);
