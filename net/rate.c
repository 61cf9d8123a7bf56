/* Rates of guests. */
#include "net/rate.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/link.h"

/* Numbers that mark what is ours on a guest's link. */
#define SHAPER	      0xc0620000u /* and its classes */
#define CLASS_ALL     (SHAPER | 1)
#define CLASS_BULK    (SHAPER | 2)
#define CLASS_NODE    (SHAPER | 3)
#define QUEUE	      0xc0630000u
#define REDIRECT_PRIO 0xc062

#define IFB_PREFIX LINK_PREFIX "i"

#define BURST_PARTS   50   /* one in so many of a second's bytes may pass at once */
#define BURST_MIN     3028 /* and two packets always */
#define BURST_MAX     (UINT32_C(1) << 28)
#define QUANTUM	      60000u
#define QUEUE_PARTS   5
#define QUEUE_MIN     131072u /* two packets of the largest kind that links of one node exchange */
#define QUEUE_MAX     16777216u
#define NODE_SHARE    10 /* the node's own part of the limit: one in so many */
#define SOURCE_OFFSET 12 /* of addresses in the header of IPv4 */
#define TARGET_OFFSET 16

struct rates {
	struct nfnl nl;
	uint32_t gateway;
};

DEFINE_CLEANUP(struct rates *, rates_close)

/* --- Planning -------------------------------------------------------------------------------- */

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

static struct tc_class class_plan(uint32_t id, uint32_t parent, uint64_t rate, uint64_t limit)
{
	return (struct tc_class){.id = id,
		.parent = parent,
		.rate = rate,
		.ceil = limit,
		.burst = (uint32_t)within(limit / BURST_PARTS, BURST_MIN, BURST_MAX),
		.quantum = QUANTUM};
}

void rate_plan(
	uint64_t limit, enum rate_direction direction, uint32_t gateway, struct rate_plan *ret)
{
	uint64_t node = limit / NODE_SHARE;

	*ret = (struct rate_plan){.all = class_plan(CLASS_ALL, TC_H_ROOT, limit, limit),
		.bulk = class_plan(CLASS_BULK, CLASS_ALL, limit - node, limit),
		.node = class_plan(CLASS_NODE, CLASS_ALL, node, limit),
		.arp = {.parent = SHAPER, .prio = 1, .protocol = ETH_P_ARP, .class = CLASS_NODE},
		.address = {.parent = SHAPER,
			.prio = 2,
			.protocol = ETH_P_IP,
			.value = gateway,
			.mask = UINT32_MAX,
			.offset = direction == RATE_TO_GUEST ? SOURCE_OFFSET : TARGET_OFFSET,
			.class = CLASS_NODE},
		.queue = (uint32_t)within(limit / QUEUE_PARTS, QUEUE_MIN, QUEUE_MAX)};
	ret->bulk.prio = 1;
	ret->bulk.leaf = QUEUE;
}

void rate_ifb_name(const char *guest_id, char ret[static NET_LINK_NAME_MAX + 1])
{
	snprintf(ret, NET_LINK_NAME_MAX + 1, IFB_PREFIX "%.*s", LINK_DIGITS, guest_id);
}

void rate_ifb_mac(uint32_t gateway, uint8_t ret[static 6])
{
	link_bridge_mac(gateway, ret);
	ret[2] = 'i';
}

/* --- Opening --------------------------------------------------------------------------------- */

int rates_open(uint32_t gateway, struct rates **ret, struct err *err)
{
	CLEANUP(rates_closep) struct rates *rates = calloc(1, sizeof(*rates));
	int r;

	if (!rates)
		return err_errno(err, ENOMEM, "cannot open traffic control");
	rates->gateway = gateway;
	r = nfnl_open_route(&rates->nl, err);
	if (r == 0)
		*ret = TAKE_PTR(rates);
	return r;
}

struct rates *rates_close(struct rates *rates)
{
	if (rates)
		nfnl_close(&rates->nl);
	free(rates);
	return NULL;
}

/* --- One direction --------------------------------------------------------------------------- */

/* How much of a plan is there already. */
struct shaper_seen {
	const struct rate_plan *plan;
	unsigned ours, right; /* classes */
	unsigned filters;
};

static bool same_class(const struct tc_class *a, const struct tc_class *b)
{
	return a->rate == b->rate && a->ceil == b->ceil && a->prio == b->prio &&
	       (!b->leaf || a->leaf == b->leaf);
}

static int see_class(void *data, const struct tc_class *class)
{
	struct shaper_seen *seen = data;
	const struct tc_class *planned[] = {&seen->plan->all, &seen->plan->bulk, &seen->plan->node};

	for (size_t i = 0; i < ARRAY_SIZE(planned); i++)
		if (class->id == planned[i]->id) {
			seen->ours++;
			seen->right += same_class(class, planned[i]);
		}
	return 0;
}

static int see_match(void *data, uint16_t prio, uint32_t class, int to)
{
	struct shaper_seen *seen = data;

	(void)to;
	seen->filters += (prio == seen->plan->arp.prio || prio == seen->plan->address.prio) &&
			 class == CLASS_NODE;
	return 0;
}

#define CLASSES 3
#define FILTERS 2

static int add_matches(struct nfnl *nl, int ifindex, const struct rate_plan *plan)
{
	const struct tc_match *matches[FILTERS] = {&plan->arp, &plan->address};
	int r = 0;

	for (size_t i = 0; i < FILTERS && r == 0; i++) {
		r = tc_match_remove(nl, ifindex, matches[i]);
		if (r == 0)
			r = tc_match_add(nl, ifindex, matches[i]);
	}
	return r;
}

/* Classes in the order in which they refer to each other; packets that wait stay where they are. */
static int set_classes(struct nfnl *nl, int ifindex, const struct rate_plan *plan)
{
	int r = tc_class_set(nl, ifindex, &plan->all);

	if (r == 0)
		r = tc_class_set(nl, ifindex, &plan->bulk);
	if (r == 0)
		r = tc_class_set(nl, ifindex, &plan->node);
	if (r == 0)
		r = tc_queue_set(nl, ifindex, CLASS_BULK, QUEUE, plan->queue);
	return r;
}

static int look_at_shaper(
	struct nfnl *nl, int ifindex, const struct rate_plan *plan, struct shaper_seen *ret)
{
	int r;

	*ret = (struct shaper_seen){.plan = plan};
	r = tc_each_class(nl, ifindex, see_class, ret);
	if (r == 0 && ret->ours > 0)
		r = tc_each_filter(nl, ifindex, SHAPER, see_match, ret);
	return r;
}

static int shape(struct nfnl *nl, int ifindex, const struct rate_plan *plan, unsigned *changes)
{
	struct shaper_seen seen;
	int r = look_at_shaper(nl, ifindex, plan, &seen);

	if (r < 0 || (seen.right == CLASSES && seen.filters == FILTERS))
		return r;
	if (seen.ours == 0) {
		/* One without classes, which a crash left, cannot be taken up. */
		r = tc_root_remove(nl, ifindex, SHAPER);
		if (r == 0)
			r = tc_shaper_add(nl, ifindex, SHAPER, CLASS_BULK);
		fault_point("net.rate.shaper");
	}
	if (r == 0 && seen.right < CLASSES)
		r = set_classes(nl, ifindex, plan);
	fault_point("net.rate.classes");
	if (r == 0 && seen.filters != FILTERS)
		r = add_matches(nl, ifindex, plan);
	*changes += r == 0;
	return r;
}

/* --- Handing what comes from a guest to its ifb ---------------------------------------------- */

struct redirect_seen {
	unsigned ours, others;
	int to;
};

static int see_redirect(void *data, uint16_t prio, uint32_t class, int to)
{
	struct redirect_seen *seen = data;

	(void)class;
	if (prio == REDIRECT_PRIO) {
		seen->ours++;
		seen->to = to;
	} else {
		seen->others++;
	}
	return 0;
}

static int redirect(struct nfnl *nl, int ifindex, int to, unsigned *changes)
{
	struct redirect_seen seen = {0};
	int r = tc_each_filter(nl, ifindex, TC_INGRESS_PARENT, see_redirect, &seen);

	if (r < 0 || (seen.ours == 1 && seen.to == to))
		return r;
	if (seen.ours > 0)
		r = tc_redirect_remove(nl, ifindex, REDIRECT_PRIO);
	if (r == 0)
		r = tc_ingress_add(nl, ifindex);
	fault_point("net.rate.hook");
	if (r == 0)
		r = tc_redirect_add(nl, ifindex, REDIRECT_PRIO, to);
	*changes += r == 0;
	return r;
}

/* The hook goes, too, unless others use it: one without filters does nothing. */
static int stop_redirect(struct nfnl *nl, int ifindex, unsigned *changes)
{
	struct redirect_seen seen = {0};
	int r = tc_each_filter(nl, ifindex, TC_INGRESS_PARENT, see_redirect, &seen);

	if (r == 0 && seen.ours > 0) {
		r = tc_redirect_remove(nl, ifindex, REDIRECT_PRIO);
		*changes += r == 0;
	}
	return r < 0 || seen.others > 0 ? r : tc_ingress_remove(nl, ifindex);
}

/* --- A guest --------------------------------------------------------------------------------- */

/* What of a guest there is; for one that was not looked at closely, what there may be. */
struct seat {
	char id[LINK_DIGITS + 1];
	int link, ifb; /* indexes; 0: none */
	bool shaped;   /* the link's root is ours */
	bool hooked;   /* there is something on the hook of what it receives */
};

static int to_guest(struct rates *rates, const struct net_guest *guest, const struct seat *seat,
	unsigned *changes)
{
	struct rate_plan plan;
	int r;

	if (guest->ingress > 0) {
		rate_plan(guest->ingress, RATE_TO_GUEST, rates->gateway, &plan);
		return shape(&rates->nl, seat->link, &plan, changes);
	}
	if (!seat->shaped)
		return 0;
	r = tc_root_remove(&rates->nl, seat->link, SHAPER);
	*changes += r == 0;
	return r;
}

static int make_ifb(struct rates *rates, const struct net_guest *guest, int *ret)
{
	char name[NET_LINK_NAME_MAX + 1];
	uint8_t mac[6];
	int r;

	rate_ifb_name(guest->id, name);
	rate_ifb_mac(rates->gateway, mac);
	r = tc_ifb_add(&rates->nl, name, mac);
	fault_point("net.rate.ifb");
	return r < 0 ? r : tc_link_index(&rates->nl, name, ret);
}

/* The ifb is shaped before anything is handed to it, and nothing is handed to it any more before it
 * goes: packets for a link that is gone would be lost. */
static int from_guest(struct rates *rates, const struct net_guest *guest, const struct seat *seat,
	unsigned *changes)
{
	struct rate_plan plan;
	int ifb = seat->ifb, r = 0;

	if (guest->egress > 0) {
		rate_plan(guest->egress, RATE_FROM_GUEST, rates->gateway, &plan);
		if (!ifb)
			r = make_ifb(rates, guest, &ifb);
		if (r == 0)
			r = shape(&rates->nl, ifb, &plan, changes);
		return r < 0 ? r : redirect(&rates->nl, seat->link, ifb, changes);
	}
	if (seat->link && seat->hooked)
		r = stop_redirect(&rates->nl, seat->link, changes);
	fault_point("net.rate.unhooked");
	if (r == 0 && ifb) {
		r = tc_link_remove(&rates->nl, ifb);
		*changes += r == 0;
	}
	return r;
}

static int fail(struct err *err, int r, const char *field, const char *name)
{
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return err_set(err, ERR_UNSUPPORTED, field,
			"the kernel cannot limit the network of guest %s: it needs sch_htb, "
			"sch_ingress, cls_u32, act_mirred and ifb",
			name);
	return err_errno(err, r, "cannot limit the network of guest %s", name);
}

/* A guest may end at any moment, and its link with it. */
static bool has_vanished(struct rates *rates, const struct net_guest *guest, int link)
{
	char name[NET_LINK_NAME_MAX + 1];
	int now = 0;

	link_name(guest->id, name);
	return link && tc_link_index(&rates->nl, name, &now) == 0 && now != link;
}

static int apply(struct rates *rates, const struct net_guest *guest, const struct seat *seat,
	unsigned *changes, struct err *err)
{
	const char *field = "limits.net_ingress";
	int r = 0;

	if (!seat->link && (!seat->ifb || guest->egress > 0))
		return 0;
	if (seat->link)
		r = to_guest(rates, guest, seat, changes);
	if (r == 0) {
		field = "limits.net_egress";
		r = from_guest(rates, guest, seat, changes);
	}
	if (r == 0 || has_vanished(rates, guest, seat->link))
		return 0;
	return fail(err, r, field, guest->name);
}

int rates_apply_guest(struct rates *rates, const struct net_guest *guest, struct err *err)
{
	char link[NET_LINK_NAME_MAX + 1], ifb[NET_LINK_NAME_MAX + 1];
	struct seat seat = {.shaped = true, .hooked = true};
	unsigned changes = 0;
	int r;

	link_name(guest->id, link);
	rate_ifb_name(guest->id, ifb);
	r = tc_link_index(&rates->nl, link, &seat.link);
	if (r == 0)
		r = tc_link_index(&rates->nl, ifb, &seat.ifb);
	if (r < 0)
		return err_errno(err, r, "cannot look at the link of guest %s", guest->name);
	return apply(rates, guest, &seat, &changes, err);
}

int rates_remove_guest(struct rates *rates, const char *guest_id, struct err *err)
{
	char name[NET_LINK_NAME_MAX + 1];
	int ifb, r;

	rate_ifb_name(guest_id, name);
	r = tc_link_index(&rates->nl, name, &ifb);
	if (r == 0 && ifb)
		r = tc_link_remove(&rates->nl, ifb);
	return r < 0 ? err_errno(err, r, "cannot remove %s", name) : 0;
}

/* --- All guests ------------------------------------------------------------------------------ */

struct seats {
	struct seat *at; /* sorted by id */
	size_t count;
	uint8_t mac[6]; /* of our ifb links */
	int error;
};

static int compare_seats(const void *a, const void *b)
{
	return strcmp(((const struct seat *)a)->id, ((const struct seat *)b)->id);
}

static struct seat *find_seat(const struct seats *seats, const char *id)
{
	struct seat key = {0};

	snprintf(key.id, sizeof(key.id), "%.*s", LINK_DIGITS, id);
	return seats->count ? bsearch(&key, seats->at, seats->count, sizeof(key), compare_seats)
			    : NULL;
}

/* Which guest a link is of: the digits after the prefix, or NULL. */
static const char *digits_after(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);

	if (strlen(name) != length + LINK_DIGITS || strncmp(name, prefix, length) != 0 ||
		strspn(name + length, "0123456789abcdef") != LINK_DIGITS)
		return NULL;
	return name + length;
}

struct links_seen {
	struct seats seats; /* of the guests we know */
	int *strays;
	size_t strays_count, strays_room;
};

static int add_stray(struct links_seen *seen, int ifindex)
{
	if (seen->strays_count == seen->strays_room) {
		size_t room = seen->strays_room ? seen->strays_room * 2 : 16;
		int *grown = reallocarray(seen->strays, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		seen->strays = grown;
		seen->strays_room = room;
	}
	seen->strays[seen->strays_count++] = ifindex;
	return 0;
}

static int see_link(void *data, int ifindex, const char *name, const uint8_t *mac)
{
	struct links_seen *seen = data;
	const char *link = digits_after(name, LINK_PREFIX);
	const char *ifb = digits_after(name, IFB_PREFIX);
	struct seat *seat = link || ifb ? find_seat(&seen->seats, link ? link : ifb) : NULL;

	if (seat && link)
		seat->link = ifindex;
	else if (seat)
		seat->ifb = ifindex;
	else if (ifb && mac && memcmp(mac, seen->seats.mac, sizeof(seen->seats.mac)) == 0)
		return add_stray(seen, ifindex);
	return 0;
}

static int compare_links(const void *a, const void *b)
{
	int left = ((const struct seat *)a)->link, right = ((const struct seat *)b)->link;

	return (left > right) - (left < right);
}

static int see_queue(void *data, int ifindex, uint32_t parent, uint32_t handle)
{
	struct seats *seats = data;
	struct seat key = {.link = ifindex};
	struct seat *seat =
		seats->count ? bsearch(&key, seats->at, seats->count, sizeof(key), compare_links)
			     : NULL;

	if (!seat)
		return 0;
	seat->shaped |= parent == TC_H_ROOT && handle == SHAPER;
	seat->hooked |= parent == TC_H_INGRESS;
	return 0;
}

static int look_at_links(
	struct rates *rates, const struct net_guest *guests, size_t count, struct links_seen *ret)
{
	struct seats *seats = &ret->seats;
	int r;

	seats->at = calloc(count + 1, sizeof(*seats->at));
	if (!seats->at)
		return -ENOMEM;
	seats->count = count;
	rate_ifb_mac(rates->gateway, seats->mac);
	for (size_t i = 0; i < count; i++)
		snprintf(seats->at[i].id, sizeof(seats->at[i].id), "%.*s", LINK_DIGITS,
			guests[i].id);
	qsort(seats->at, count, sizeof(*seats->at), compare_seats);
	r = tc_each_link(&rates->nl, see_link, ret);
	/* Overtaken by a change: what came meanwhile is net_link_ready's. */
	if (r < 0 && r != -EINTR)
		return r;
	qsort(seats->at, count, sizeof(*seats->at), compare_links);
	r = tc_each_queue(&rates->nl, see_queue, seats);
	if (r == -EINTR)
		r = 0;
	qsort(seats->at, count, sizeof(*seats->at), compare_seats);
	return r;
}

static void links_seen_finish(struct links_seen *seen)
{
	free(seen->seats.at);
	free(seen->strays);
}

static int remove_strays(struct rates *rates, const struct links_seen *seen, unsigned *changes)
{
	int r = 0;

	for (size_t i = 0; i < seen->strays_count && r == 0; i++) {
		r = tc_link_remove(&rates->nl, seen->strays[i]);
		*changes += r == 0;
	}
	return r;
}

int rates_apply_all(struct rates *rates, const struct net_guest *guests, size_t count,
	unsigned *changes, struct err *err)
{
	CLEANUP(links_seen_finish) struct links_seen seen = {0};
	int r = look_at_links(rates, guests, count, &seen);

	if (r == 0)
		r = remove_strays(rates, &seen, changes);
	if (r < 0)
		return err_errno(err, r, "cannot look at the rates of links");
	for (size_t i = 0; i < count; i++) {
		const struct seat *seat = find_seat(&seen.seats, guests[i].id);
		struct err failed;

		if (seat && apply(rates, &guests[i], seat, changes, &failed) < 0)
			log_error("net.rate_not_set", "guest=%s error=%s", guests[i].name,
				LOG_Q(failed.message));
	}
	return 0;
}
