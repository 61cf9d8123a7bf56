/* What went through the guests' links: one dump of the bridge's ports over rtnetlink (libmnl). On a
 * socket of its own, so that it never waits for another's work. */
#include "net/stats.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "net/link.h"
#include "net/nfnetlink.h"

struct gathered {
	struct net_guest_stats *at;
	size_t count, room;
};

/* The guest's side: what the node's end sends is what the guest receives. */
static int add_link(
	struct gathered *gathered, const char *name, const struct rtnl_link_stats64 *counters)
{
	struct net_guest_stats *stats;

	if (gathered->count == gathered->room) {
		size_t room = gathered->room ? gathered->room * 2 : 64;
		void *grown = reallocarray(gathered->at, room, sizeof(*gathered->at));

		if (!grown)
			return -ENOMEM;
		gathered->at = grown;
		gathered->room = room;
	}
	stats = &gathered->at[gathered->count++];
	*stats = (struct net_guest_stats){.received_bytes = counters->tx_bytes,
		.received_packets = counters->tx_packets,
		.received_dropped = counters->tx_dropped,
		.sent_bytes = counters->rx_bytes,
		.sent_packets = counters->rx_packets,
		.sent_dropped = counters->rx_dropped};
	snprintf(stats->id, sizeof(stats->id), "%s", name + strlen(LINK_PREFIX));
	return 0;
}

static int take_link(const struct nlmsghdr *nlh, void *data)
{
	struct gathered *gathered = data;
	struct rtnl_link_stats64 counters = {0};
	const struct nlattr *attr;
	const char *name = NULL;
	bool counted = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg))
	{
		uint16_t size = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			name = mnl_attr_get_str(attr);
		if (mnl_attr_get_type(attr) != IFLA_STATS64)
			continue;
		memcpy(&counters, mnl_attr_get_payload(attr),
			size < sizeof(counters) ? size : sizeof(counters));
		counted = true;
	}
	if (!name || !counted || !link_named_as_guest(name))
		return 0;
	return add_link(gathered, name, &counters);
}

DEFINE_CLEANUP(struct nfnl *, nfnl_close)

int stats_gather(
	const char *bridge, struct net_guest_stats **ret, size_t *ret_count, struct err *err)
{
	struct gathered gathered = {0};
	struct nfnl nl;
	CLEANUP(nfnl_closep) struct nfnl *open = NULL;
	char buf[256] = {0};
	struct nlmsghdr *nlh;
	unsigned master = if_nametoindex(bridge);
	int r;

	*ret = NULL;
	*ret_count = 0;
	if (!master)
		return 0;
	r = nfnl_open_route(&nl, err);
	if (r < 0)
		return r;
	open = &nl;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = nl.seq++;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(nlh, IFLA_MASTER, master);
	r = nfnl_request(&nl, nlh, take_link, &gathered);
	/* Overtaken by a link that came or went: the others are as they are. */
	if (r < 0 && r != -EINTR) {
		free(gathered.at);
		return err_errno(err, r, "cannot read the counters of links");
	}
	*ret = gathered.at;
	*ret_count = gathered.count;
	return 0;
}
