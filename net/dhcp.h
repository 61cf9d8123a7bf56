/* DHCP and DNS for one bridge: a dnsmasq that outlives the agent, on files below run_dir/BRIDGE:
 *
 *   dnsmasq.conf  what dhcp_render_config says; dnsmasq is restarted when that changes
 *   dhcp/ID       a reservation for each guest
 *   names/ID      its names
 *   local         full names that no other DNS server is asked about
 *   leases, pid   dnsmasq's own
 *
 * dnsmasq notices new files in the folders by itself (inotify); after a removal, and for `local`,
 * it is told to look (SIGHUP). It drops root, so run_dir and what is above must be open to others
 * (mode 0755). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct err;
struct dhcp;

/* Copies the configuration; touches nothing. */
int dhcp_open(const struct net_config *config, struct dhcp **ret, struct err *err);
struct dhcp *dhcp_close(struct dhcp *dhcp);

/* Exactly these guests, in a dnsmasq that runs: adopted when it is alive on our configuration,
 * else started. Leases of others are given back. Adds to *changes what had to be done. */
int dhcp_apply(struct dhcp *dhcp, const struct net_guest *guests, size_t count, unsigned *changes,
	struct err *err);

/* Adds a guest; a lease that another one left on its address is given back first. */
int dhcp_add(struct dhcp *dhcp, const struct net_guest *guest, struct err *err);

/* Removes a guest and gives its lease back, so that its address can be another's at once. */
int dhcp_remove(struct dhcp *dhcp, const struct net_guest *guest, struct err *err);

/* Stops dnsmasq, if it is the one on our configuration, and removes the files. */
int dhcp_stop(struct dhcp *dhcp, struct err *err);

/* The configuration file. `ifindex` is the bridge's: dnsmasq binds to the device that bears the
 * name when it starts, so another bridge of that name needs another dnsmasq. Pure; the caller
 * frees it; NULL when memory ran out. */
char *dhcp_render_config(
	const struct net_config *config, const char *dir, const char *user, unsigned ifindex);

/* A guest's line in dhcp/, in names/ and in the file `local` (there it may be empty). Pure, as
 * above. */
char *dhcp_render_reservation(const struct net_guest *guest);
char *dhcp_render_names(const struct net_guest *guest, const char *domain);
char *dhcp_render_local(const struct net_guest *guest, const char *domain);
