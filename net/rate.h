/* Rates of guests: how fast their links may carry, by the kernel's traffic control.
 *
 * What goes to a guest leaves by the node's end of its link, and is shaped there. What comes from
 * it arrives there, where nothing can be queued: it is handed to an ifb link of the guest's own,
 * shaped as it leaves that, and then goes on as if it had just come. Both are on the node's side;
 * root in the guest sees neither.
 *
 * A shaper is HTB with two classes below the limit: a tenth of it is kept for what the guest and
 * the node itself tell each other (ARP, DHCP, names, health checks), which goes first, and all of
 * it for the rest, which waits in a queue of a fifth of a second. So a flood, in either direction,
 * does not make a guest look dead.
 *
 * Ours are: what hangs on a guest's link under the numbers of rate.c, and ifb links called
 * rate_ifb_name() with the MAC of rate_ifb_mac(). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"
#include "net/tc.h"

struct err;
struct rates;

/* What holds one direction of a link to a limit. */
struct rate_plan {
	struct tc_class all, bulk, node;
	struct tc_match arp, address; /* into `node` */
	uint32_t queue;		      /* bytes that may wait in `bulk` */
};

enum rate_direction { RATE_TO_GUEST, RATE_FROM_GUEST };

/* For a limit above 0, in bytes a second. Pure. */
void rate_plan(
	uint64_t limit, enum rate_direction direction, uint32_t gateway, struct rate_plan *ret);

/* "cgi" and the guest's id. Pure. */
void rate_ifb_name(const char *guest_id, char ret[static NET_LINK_NAME_MAX + 1]);

/* Locally administered, "ci" and the last three octets of the gateway. Pure. */
void rate_ifb_mac(uint32_t gateway, uint8_t ret[static 6]);

/* The socket belongs to the network namespace of the calling thread. */
int rates_open(uint32_t gateway, struct rates **ret, struct err *err);
struct rates *rates_close(struct rates *rates);

/* Makes the guest's link as fast as it should be. Done again, or with other rates, it changes what
 * is different and drops no packet that waits. A link that is not there is success. ERR_UNSUPPORTED
 * when the kernel lacks what it takes. */
int rates_apply_guest(struct rates *rates, const struct net_guest *guest, struct err *err);

/* The same for all guests; ifb links of guests that are not among them, or have no limit, go. Adds
 * to *changes. A guest whose rates cannot be set is logged, and the others go on. */
int rates_apply_all(struct rates *rates, const struct net_guest *guests, size_t count,
	unsigned *changes, struct err *err);

/* Removes the guest's ifb link. Absent is success. */
int rates_remove_guest(struct rates *rates, const char *guest_id, struct err *err);
