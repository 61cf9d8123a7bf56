/* Cutting tracked connections. A filtered dump finds them: the tuple of the request says what has
 * to match, CTA_FILTER which parts of it (kernel 5.8; an older one ignores the filter, therefore
 * each entry is checked here as well). Each is then deleted by its own tuple and id. */
#include "net/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define CT_TYPE(message) ((NFNL_SUBSYS_CTNETLINK << 8) | (message))

/* Bits of CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS, which the kernel keeps to itself
 * (net/netfilter/nf_conntrack_netlink.c, CTA_FILTER_F_*). */
#define FILTER_IP_SRC	 (1 << 0)
#define FILTER_PROTO_NUM (1 << 3)
#define FILTER_DST_PORT	 (1 << 5)

#define TUPLE_MAX 128

/* One direction of a flow. */
struct tuple {
	uint32_t src, dst;
	uint16_t dst_port;
	uint8_t proto;
};

struct flow {
	struct tuple orig, reply;
	uint32_t status;
	uint32_t id; /* as on the wire */
	uint8_t orig_raw[TUPLE_MAX];
	uint16_t orig_size;
};

/* What to look for, and what was found. */
struct search {
	enum { BY_PORT, BY_SOURCE, BY_REPLY_SOURCE } by;
	uint8_t proto;
	uint16_t port;
	uint32_t address, mask; /* the guest, or the guests' network */
	bool strays;
	struct flow *flows;
	size_t count, room;
	int error;
};

static void read_ip(const struct nlattr *nest, struct tuple *tuple)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_IP_V4_SRC)
			tuple->src = ntohl(mnl_attr_get_u32(attr));
		else if (mnl_attr_get_type(attr) == CTA_IP_V4_DST)
			tuple->dst = ntohl(mnl_attr_get_u32(attr));
	}
}

static void read_proto(const struct nlattr *nest, struct tuple *tuple)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_PROTO_NUM)
			tuple->proto = mnl_attr_get_u8(attr);
		else if (mnl_attr_get_type(attr) == CTA_PROTO_DST_PORT)
			tuple->dst_port = ntohs(mnl_attr_get_u16(attr));
	}
}

static void read_tuple(const struct nlattr *nest, struct tuple *tuple)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_TUPLE_IP)
			read_ip(attr, tuple);
		else if (mnl_attr_get_type(attr) == CTA_TUPLE_PROTO)
			read_proto(attr, tuple);
	}
}

static void read_flow(const struct nlmsghdr *nlh, struct flow *flow)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_TUPLE_ORIG:
			read_tuple(attr, &flow->orig);
			flow->orig_size = mnl_attr_get_payload_len(attr);
			if (flow->orig_size <= TUPLE_MAX)
				memcpy(flow->orig_raw, mnl_attr_get_payload(attr), flow->orig_size);
			break;
		case CTA_TUPLE_REPLY: read_tuple(attr, &flow->reply); break;
		case CTA_STATUS: flow->status = ntohl(mnl_attr_get_u32(attr)); break;
		case CTA_ID: flow->id = mnl_attr_get_u32(attr); break;
		default: break;
		}
	}
}

static bool port_matches(const struct search *search, const struct flow *flow)
{
	bool led =
		flow->status & IPS_DST_NAT && (flow->reply.src & search->mask) == search->address;
	bool stray = !(flow->status & IPS_NAT_MASK) &&
		     (flow->orig.dst & search->mask) != search->address;

	return flow->orig.proto == search->proto && flow->orig.dst_port == search->port &&
	       (led || (search->strays && stray));
}

static bool matches(const struct search *search, const struct flow *flow)
{
	if (flow->orig_size == 0 || flow->orig_size > TUPLE_MAX)
		return false;
	if (search->by == BY_PORT)
		return port_matches(search, flow);
	return search->address == (search->by == BY_SOURCE ? flow->orig.src : flow->reply.src);
}

static int collect(const struct nlmsghdr *nlh, void *data)
{
	struct search *search = data;
	struct flow flow = {0};

	read_flow(nlh, &flow);
	if (search->error || !matches(search, &flow))
		return MNL_CB_OK;
	if (search->count == search->room) {
		size_t room = search->room ? search->room * 2 : 16;
		struct flow *flows = realloc(search->flows, room * sizeof(*flows));

		if (!flows) {
			search->error = -ENOMEM;
			return MNL_CB_OK;
		}
		search->flows = flows;
		search->room = room;
	}
	search->flows[search->count++] = flow;
	return MNL_CB_OK;
}

static void put_source(struct nlmsghdr *nlh, uint16_t type, uint32_t address)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type);
	struct nlattr *ip = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, htonl(address));
	mnl_attr_nest_end(nlh, ip);
	mnl_attr_nest_end(nlh, tuple);
}

static void put_port(struct nlmsghdr *nlh, uint8_t proto, uint16_t port)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(port));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

static void put_filter(struct nlmsghdr *nlh, uint32_t orig, uint32_t reply)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_FILTER);

	mnl_attr_put_u32(nlh, CTA_FILTER_ORIG_FLAGS, orig);
	mnl_attr_put_u32(nlh, CTA_FILTER_REPLY_FLAGS, reply);
	mnl_attr_nest_end(nlh, nest);
}

static int find(struct nfnl *nfnl, struct search *search)
{
	char buf[512] = {0};
	struct nlmsghdr *nlh =
		nfnl_message(nfnl, buf, CT_TYPE(IPCTNL_MSG_CT_GET), NLM_F_DUMP, AF_INET);
	int r;

	if (search->by == BY_PORT) {
		put_port(nlh, search->proto, search->port);
		put_filter(nlh, FILTER_PROTO_NUM | FILTER_DST_PORT, 0);
	} else if (search->by == BY_SOURCE) {
		put_source(nlh, CTA_TUPLE_ORIG, search->address);
		put_filter(nlh, FILTER_IP_SRC, 0);
	} else {
		put_source(nlh, CTA_TUPLE_REPLY, search->address);
		put_filter(nlh, 0, FILTER_IP_SRC);
	}
	r = nfnl_request(nfnl, nlh, collect, search);
	return r < 0 && r != -EINTR ? r : search->error;
}

static int no_answer(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return MNL_CB_OK;
}

static int cut(struct nfnl *nfnl, const struct flow *flow)
{
	char buf[512] = {0};
	struct nlmsghdr *nlh =
		nfnl_message(nfnl, buf, CT_TYPE(IPCTNL_MSG_CT_DELETE), NLM_F_ACK, AF_INET);
	int r;

	mnl_attr_put(nlh, CTA_TUPLE_ORIG | NLA_F_NESTED, flow->orig_size, flow->orig_raw);
	mnl_attr_put(nlh, CTA_ID, sizeof(flow->id), &flow->id);
	r = nfnl_request(nfnl, nlh, no_answer, NULL);
	return r == -ENOENT ? 0 : r; /* it ended by itself */
}

static int search_and_cut(struct nfnl *nfnl, struct search *search, struct err *err)
{
	int r = find(nfnl, search);

	for (size_t i = 0; i < search->count && r == 0; i++)
		r = cut(nfnl, &search->flows[i]);
	free(search->flows);
	return r < 0 ? err_errno(err, r, "cannot cut connections") : 0;
}

int conntrack_cut_port(struct nfnl *nfnl, enum port_proto proto, uint16_t host, uint32_t network,
	unsigned prefix, bool strays, struct err *err)
{
	struct search search = {.by = BY_PORT,
		.proto = proto == PORT_UDP ? IPPROTO_UDP : IPPROTO_TCP,
		.port = host,
		.mask = ~UINT32_C(0) << (32 - prefix),
		.strays = strays};

	search.address = network & search.mask;
	return search_and_cut(nfnl, &search, err);
}

int conntrack_cut_guest(struct nfnl *nfnl, uint32_t address, struct err *err)
{
	struct search from = {.by = BY_SOURCE, .address = address};
	struct search to = {.by = BY_REPLY_SOURCE, .address = address};
	int r = search_and_cut(nfnl, &from, err);

	return r < 0 ? r : search_and_cut(nfnl, &to, err);
}
