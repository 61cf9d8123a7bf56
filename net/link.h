/* The bridge and the links on it, by rtnetlink; and the sysctls of the network namespace. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct err;
struct link_socket;

#define LINK_PREFIX "cg" /* of every guest's link, followed by LINK_DIGITS digits of its id */
#define LINK_DIGITS 12
#define LINK_ALIAS  "corpus" /* the mark of a bridge that is ours */

/* The socket belongs to the network namespace of the calling thread. */
int link_open(struct link_socket **ret, struct err *err);
struct link_socket *link_close(struct link_socket *socket);

/* Makes the bridge, marks it, gives it its address and brings it up. A bridge is ours when it bears
 * our alias, or the MAC that link_bridge_mac derives (it has that from its first moment, so that a
 * crash before the alias is set does not disown it). Another link of that name is ERR_CONFLICT.
 * Adds to *changes what had to be done. */
int link_bridge_apply(struct link_socket *socket, const struct net_config *config,
	unsigned *changes, struct err *err);

/* Removes the bridge if it is ours. Absent is success; a foreign one is left alone. */
int link_bridge_remove(
	struct link_socket *socket, const struct net_config *config, struct err *err);

/* Removes links on that bridge that bear a guest link's name and belong to none of `guests`. */
int link_remove_strays(struct link_socket *socket, const char *bridge,
	const struct net_guest *guests, size_t guests_count, unsigned *changes, struct err *err);

/* Lets a guest's link hand frames back to the guest they came from. Where bridged frames pass the
 * IP hooks (net.bridge.bridge-nf-call-iptables, on where Docker runs), a guest that connects to its
 * own published port is led back by the bridge itself, which otherwise never sends a frame out
 * where it came in. Elsewhere, and for a link that is not there, nothing is done. */
int link_hairpin_guest(struct link_socket *socket, const char *guest_id, struct err *err);

/* The same for all links of guests on that bridge. Adds to *changes. */
int link_hairpin_all(
	struct link_socket *socket, const char *bridge, unsigned *changes, struct err *err);

/* Removes a guest's link. Absent is success. */
int link_remove_guest(struct link_socket *socket, const char *guest_id, struct err *err);

/* Whether a link bears the name of some guest's. Pure. */
bool link_named_as_guest(const char *name);

/* The bridge's MAC: locally administered, "cg" and the last three octets of the gateway, so that
 * it neither changes with its ports nor from one boot to the next. Pure. */
void link_bridge_mac(uint32_t gateway, uint8_t ret[static 6]);

/* Forwarding on; on the bridge, loopback sources may be routed (a published port at 127.0.0.1) and
 * there is no IPv6. Adds to *changes what was different. */
int link_sysctls_apply(const char *bridge, unsigned *changes, struct err *err);
