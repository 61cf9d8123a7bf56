/* The firewall contract: what the network asks of a packet filter. One backend is chosen when the
 * network is opened; nft (nf_tables over netlink) is the one there is, and a backend that renders
 * for iptables-restore fits the same functions.
 *
 * What every backend makes so, for all bridges of the node together:
 *  - A connection to a published port at any address of the node, from outside, from the node
 *    itself (127.0.0.1 too) or from a guest, goes to the guest's port. Who answers locally is
 *    never decided per packet: established connections stay where they are.
 *  - Guests reach the outside with the node's address (masquerade), and published ports of their
 *    own node, their own included (hairpin).
 *  - From outside, a guest is reached through published ports only.
 *  - From a guest's link nothing passes but its own MAC with its own address: ARP and IPv4, DHCP
 *    requests to the node; no DHCP answers, no IPv6, no VLAN tags.
 *
 * Several networks (bridges) share one set of tables: a port may then move from a guest of one
 * bridge to one of another in one transaction. Each function touches only what belongs to the
 * network it is called for: ports whose target is in its address range, guests on its bridge.
 *
 * All functions are called under the network's lock, by one thread at a time for each struct
 * firewall, but for several struct firewall (one for each bridge) at the same time. All may be
 * repeated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct err;
struct firewall;

struct firewall_net {
	char bridge[NET_LINK_NAME_MAX + 1];
	uint32_t gateway; /* host byte order */
	unsigned prefix;
};

struct firewall_ops {
	const char *name; /* "nft" */

	/* Opens what is needed to talk to the kernel; changes nothing. ERR_UNSUPPORTED, saying
	 * what the kernel lacks. */
	int (*open)(const struct firewall_net *net, struct firewall **ret, struct err *err);
	struct firewall *(*close)(struct firewall *firewall); /* accepts NULL, returns NULL */

	/* Makes the rules, and exactly these guests and ports of this network, so. What stays is
	 * never absent meanwhile. Adds to *changes what had to be added or removed. */
	int (*apply)(struct firewall *firewall, const struct net_guest *guests, size_t guests_count,
		const struct net_port *ports, size_t ports_count, unsigned *changes,
		struct err *err);

	/* Removes what belongs to this network, and with the last network the rules. */
	int (*teardown)(struct firewall *firewall, struct err *err);

	/* Lets a guest's link pass, or no longer. Absent is success. */
	int (*allow)(struct firewall *firewall, const struct net_guest *guest, struct err *err);
	int (*forbid)(struct firewall *firewall, const struct net_guest *guest, struct err *err);

	/* Leads a port to a guest, wherever it led before, in one transaction. */
	int (*publish)(struct firewall *firewall, const struct net_port *port, struct err *err);

	/* Absent is success. */
	int (*unpublish)(
		struct firewall *firewall, enum port_proto proto, uint16_t host, struct err *err);

	/* Optional (NULL): whether the rules that apply() left are still as they were, by the
	 * cheapest question that the backend knows. True when it cannot tell. */
	bool (*intact)(struct firewall *firewall);

	/* Optional, both or neither: a descriptor that is readable when rules were changed, opened
	 * by the first call and owned by the firewall; and whether somebody else changed what is
	 * ours since the last call. Neither blocks. From one thread. */
	int (*watch_fd)(struct firewall *firewall, struct err *err);
	bool (*watch_dispatch)(struct firewall *firewall);
};

extern const struct firewall_ops firewall_nft;

/* Whether an address is in the network. */
static inline bool firewall_net_has(const struct firewall_net *net, uint32_t address)
{
	return (address ^ net->gateway) >> (32 - net->prefix) == 0;
}
