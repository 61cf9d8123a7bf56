/* The node's network: one bridge for each driver's guests, their addresses, and the ports of the
 * node that lead to them. No port is ever wired to a guest directly: all goes through NAT here (or
 * a proxy), so that one guest can take over from another.
 *
 * This header is what the agent sees. Functions block for as long as a netlink round trip or the
 * start of a daemon takes, may be called from any thread, and may be repeated after a crash at any
 * point. Everything made is recognisable as ours: links are named by link_name(), firewall tables
 * are called "corpus", rules in Docker's chain for others have the comment "corpus", dnsmasq runs
 * on our configuration directory. Nothing else is touched. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/port.h"

struct err;
struct net;

#define NET_LINK_NAME_MAX 15 /* IFNAMSIZ - 1 */

struct net_config {
	const char *bridge;  /* "lxcbr1" */
	uint32_t gateway;    /* the bridge's address, host byte order: 10.5.0.1 */
	unsigned prefix;     /* 16 */
	const char *domain;  /* DNS domain of short names; NULL: none */
	const char *run_dir; /* for dnsmasq's configuration, leases, hosts and pid file */
	bool dhcp;	     /* run dnsmasq for addresses and names */
	bool docker_user;    /* let guests pass Docker's firewall, see docker_user.h */
};

/* What the network knows about one guest. */
struct net_guest {
	const char *id;	  /* link_name() derives the link from it */
	const char *name; /* FQDN: DNS and DHCP host name */
	uint32_t address; /* host byte order */
	uint8_t mac[6];
	uint64_t ingress; /* bytes a second towards it; 0: no limit */
	uint64_t egress;  /* bytes a second from it */
};

/* What went through a guest's link since it started, from the guest's side. */
struct net_guest_stats {
	char id[13]; /* of the guest */
	uint64_t received_bytes, received_packets, received_dropped;
	uint64_t sent_bytes, sent_packets, sent_dropped;
};

/* One published port and where it leads. */
struct net_port {
	enum port_proto proto;
	uint16_t host;
	uint32_t address;
	uint16_t guest;
};

/* Opens netlink sockets; changes nothing yet. */
int net_open(const struct net_config *config, struct net **ret, struct err *err);

/* Leaves all in place: guests outlive the agent. Accepts NULL, returns NULL. */
struct net *net_close(struct net *net);

/* Makes everything so, as often as it is called: forwarding on, the bridge up with its address, our
 * tables with exactly these guests and ports in them (one atomic transaction; nothing is dropped
 * that stays), dnsmasq running with exactly these reservations. Leftovers that bear our mark are
 * removed. `ret_changes` counts what had to be repaired (may be NULL). */
int net_apply(struct net *net, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count, unsigned *ret_changes, struct err *err);

/* Compares the network with what it was told so far (by net_apply, and each call after it), and
 * makes it so again. Safe beside all other calls. */
int net_repair(struct net *net, unsigned *ret_changes, struct err *err);

/* Whether something is known to stop guests' traffic though all of ours is in place: what
 * net_apply, net_repair, or the first guest's or last guest's coming and going met in Docker's
 * firewall. Waits for these. */
bool net_obstacle(struct net *net, struct err *ret);

/* A descriptor that becomes readable when somebody, or we, changed rules of the firewall; owned by
 * the network. When it is: whether somebody else changed what is ours, or Docker's chain for rules
 * of others, so that net_repair should be called. Neither blocks; both from one thread. */
int net_watch_fd(struct net *net, struct err *err);
bool net_watch_dispatch(struct net *net);

/* Removes bridge, tables, dnsmasq and our rules in Docker's chain: retirement of a node, and tests.
 */
int net_teardown(struct net *net, struct err *err);

/* Lets a guest take part: its reservation and name, and the filter that lets nothing through its
 * link but its own address and MAC. The driver makes the link itself, named by link_name(). Again
 * with another name: it has that one from now on. */
int net_attach(struct net *net, const struct net_guest *guest, struct err *err);

/* To be called when the guest's link is there, so after each start, and when its rates change: sets
 * the rates, without dropping what waits; and makes a guest that connects to its own published port
 * find itself, which on some nodes is the link's to allow. Repeatable; a link that is not there is
 * success; net_apply does the same for all. ERR_UNSUPPORTED: the kernel cannot set rates. */
int net_link_ready(struct net *net, const struct net_guest *guest, struct err *err);

/* Takes all of that away, with the lease, the connections in conntrack and a link that was left
 * behind. Absent is success. */
int net_detach(struct net *net, const struct net_guest *guest, struct err *err);

/* Publishes a port, or leads a published one to another guest, atomically: new connections go
 * there, established ones stay where they are; with `flush` they are cut (UDP flows always are,
 * since they would follow the old way for ever). Cost is independent of how many ports there are.
 */
int net_publish(struct net *net, const struct net_port *port, bool flush, struct err *err);

/* Absent is success. With `flush` established connections are cut, which is most of the cost; a
 * guest that goes takes its connections with it (net_detach), so its ports need not. */
int net_unpublish(
	struct net *net, enum port_proto proto, uint16_t host, bool flush, struct err *err);

/* All guests' links in one look: allocates an array that the caller frees with free(). */
int net_stats(struct net *net, struct net_guest_stats **ret, size_t *ret_count, struct err *err);

/* Whether some process of the node listens on that port already: ERR_CONFLICT naming the field. */
int net_port_available(
	struct net *net, enum port_proto proto, uint16_t host, const char *field, struct err *err);

/* Name of a guest's link on the node, from the guest's id. Pure. */
void link_name(const char *guest_id, char ret[static NET_LINK_NAME_MAX + 1]);
