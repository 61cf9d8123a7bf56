/* Traffic control over rtnetlink. */
#include "net/tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <string.h>

#include "base/cleanup.h"

#define TICK_NS	    64 /* the kernel's unit of burst times; see /proc/net/psched */
#define IFB_QUEUE   1000
#define HTB_VERSION 3

/* One request. Cleared wholly, since libmnl pads attributes without clearing what it skips. */
struct request {
	struct nlmsghdr *nlh;
	char buf[1024];
};

static void *request_begin(
	struct request *request, struct nfnl *nl, uint16_t type, uint16_t flags, size_t header)
{
	memset(request->buf, 0, sizeof(request->buf));
	request->nlh = mnl_nlmsg_put_header(request->buf);
	request->nlh->nlmsg_type = type;
	request->nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlh->nlmsg_seq = nl->seq++;
	return mnl_nlmsg_put_extra_header(request->nlh, header);
}

static struct tcmsg *tc_begin(
	struct request *request, struct nfnl *nl, uint16_t type, uint16_t flags, int ifindex)
{
	struct tcmsg *tcm = request_begin(request, nl, type, flags, sizeof(*tcm));

	tcm->tcm_ifindex = ifindex;
	return tcm;
}

static int nothing(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return 0;
}

static int change(struct nfnl *nl, struct request *request)
{
	request->nlh->nlmsg_flags |= NLM_F_ACK;
	return nfnl_request(nl, request->nlh, nothing, NULL);
}

/* What the kernel says when the thing, or that on which it was, is not there; EINVAL when it is
 * there with another handle or kind, and so not ours. */
static int removed(int r)
{
	return r == -ENOENT || r == -ENODEV || r == -EINVAL ? 0 : r;
}

/* --- Links ----------------------------------------------------------------------------------- */

static int take_index(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == RTM_NEWLINK)
		*(int *)data = info->ifi_index;
	return 0;
}

int tc_link_index(struct nfnl *nl, const char *name, int *ret)
{
	struct request request;
	int r;

	*ret = 0;
	request_begin(&request, nl, RTM_GETLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request.nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(request.nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = nfnl_request(nl, request.nlh, take_index, ret);
	return r == -ENODEV ? 0 : r;
}

int tc_ifb_add(struct nfnl *nl, const char *name, const uint8_t mac[static 6])
{
	struct request request;
	struct ifinfomsg *info = request_begin(
		&request, nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	struct nlattr *nest;
	int r;

	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(request.nlh, IFLA_IFNAME, name);
	mnl_attr_put(request.nlh, IFLA_ADDRESS, 6, mac);
	mnl_attr_put_u32(request.nlh, IFLA_TXQLEN, IFB_QUEUE);
	nest = mnl_attr_nest_start(request.nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(request.nlh, IFLA_INFO_KIND, "ifb");
	mnl_attr_nest_end(request.nlh, nest);
	r = change(nl, &request);
	return r == -EEXIST ? 0 : r;
}

int tc_link_remove(struct nfnl *nl, int ifindex)
{
	struct request request;
	struct ifinfomsg *info =
		request_begin(&request, nl, RTM_DELLINK, 0, sizeof(struct ifinfomsg));

	info->ifi_index = ifindex;
	return removed(change(nl, &request));
}

/* --- Queues and classes ---------------------------------------------------------------------- */

int tc_shaper_add(struct nfnl *nl, int ifindex, uint32_t handle, uint32_t def)
{
	const struct tc_htb_glob glob = {
		.version = HTB_VERSION, .rate2quantum = 10, .defcls = TC_H_MIN(def)};
	struct request request;
	struct tcmsg *tcm =
		tc_begin(&request, nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex);
	struct nlattr *nest;

	tcm->tcm_parent = TC_H_ROOT;
	tcm->tcm_handle = handle;
	mnl_attr_put_strz(request.nlh, TCA_KIND, "htb");
	nest = mnl_attr_nest_start(request.nlh, TCA_OPTIONS);
	mnl_attr_put(request.nlh, TCA_HTB_INIT, sizeof(glob), &glob);
	mnl_attr_nest_end(request.nlh, nest);
	return change(nl, &request);
}

int tc_root_remove(struct nfnl *nl, int ifindex, uint32_t handle)
{
	struct request request;
	struct tcmsg *tcm = tc_begin(&request, nl, RTM_DELQDISC, 0, ifindex);

	tcm->tcm_parent = TC_H_ROOT;
	tcm->tcm_handle = handle;
	return removed(change(nl, &request));
}

static struct tc_ratespec ratespec(uint64_t rate)
{
	return (struct tc_ratespec){.linklayer = TC_LINKLAYER_ETHERNET,
		.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate};
}

/* How long so many bytes take, as the kernel counts time. */
static uint32_t ticks(uint64_t bytes, uint64_t rate)
{
	uint64_t ns = rate ? bytes * UINT64_C(1000000000) / rate : 0;

	return ns / TICK_NS > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / TICK_NS);
}

int tc_class_set(struct nfnl *nl, int ifindex, const struct tc_class *class)
{
	const struct tc_htb_opt options = {.rate = ratespec(class->rate),
		.ceil = ratespec(class->ceil),
		.buffer = ticks(class->burst, class->rate),
		.cbuffer = ticks(class->burst, class->ceil),
		.quantum = class->quantum,
		.prio = class->prio};
	struct request request;
	struct tcmsg *tcm = tc_begin(&request, nl, RTM_NEWTCLASS, NLM_F_CREATE, ifindex);
	struct nlattr *nest;

	tcm->tcm_parent = class->parent;
	tcm->tcm_handle = class->id;
	mnl_attr_put_strz(request.nlh, TCA_KIND, "htb");
	nest = mnl_attr_nest_start(request.nlh, TCA_OPTIONS);
	mnl_attr_put(request.nlh, TCA_HTB_PARMS, sizeof(options), &options);
	mnl_attr_put_u64(request.nlh, TCA_HTB_RATE64, class->rate);
	mnl_attr_put_u64(request.nlh, TCA_HTB_CEIL64, class->ceil);
	mnl_attr_nest_end(request.nlh, nest);
	return change(nl, &request);
}

int tc_queue_set(struct nfnl *nl, int ifindex, uint32_t parent, uint32_t handle, uint32_t bytes)
{
	const struct tc_fifo_qopt options = {.limit = bytes};
	struct request request;
	struct tcmsg *tcm =
		tc_begin(&request, nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex);

	tcm->tcm_parent = parent;
	tcm->tcm_handle = handle;
	mnl_attr_put_strz(request.nlh, TCA_KIND, "bfifo");
	mnl_attr_put(request.nlh, TCA_OPTIONS, sizeof(options), &options);
	return change(nl, &request);
}

/* --- Filters --------------------------------------------------------------------------------- */

/* Traffic control hangs filters up by place and protocol; of a protocol all or none are removed. */
static uint32_t place(uint16_t prio, uint16_t protocol)
{
	return TC_H_MAKE((uint32_t)prio << 16, htons(protocol));
}

struct selector {
	struct tc_u32_sel sel;
	struct tc_u32_key key;
};

static struct tcmsg *filter_begin(struct request *request, struct nfnl *nl, uint16_t type,
	int ifindex, uint32_t parent, uint32_t info)
{
	struct tcmsg *tcm = tc_begin(
		request, nl, type, type == RTM_NEWTFILTER ? NLM_F_CREATE | NLM_F_EXCL : 0, ifindex);

	tcm->tcm_parent = parent;
	tcm->tcm_info = info;
	mnl_attr_put_strz(request->nlh, TCA_KIND, "u32");
	return tcm;
}

static void put_selector(struct nlmsghdr *nlh, uint32_t value, uint32_t mask, int offset)
{
	const struct selector selector = {.sel = {.flags = TC_U32_TERMINAL, .nkeys = 1},
		.key = {.val = htonl(value), .mask = htonl(mask), .off = offset}};

	mnl_attr_put(nlh, TCA_U32_SEL, sizeof(selector), &selector);
}

int tc_match_add(struct nfnl *nl, int ifindex, const struct tc_match *match)
{
	struct request request;
	struct nlattr *nest;

	filter_begin(&request, nl, RTM_NEWTFILTER, ifindex, match->parent,
		place(match->prio, match->protocol));
	nest = mnl_attr_nest_start(request.nlh, TCA_OPTIONS);
	mnl_attr_put_u32(request.nlh, TCA_U32_CLASSID, match->class);
	put_selector(request.nlh, match->value, match->mask, match->offset);
	mnl_attr_nest_end(request.nlh, nest);
	return change(nl, &request);
}

static int filters_remove(struct nfnl *nl, int ifindex, uint32_t parent, uint32_t info)
{
	struct request request;

	filter_begin(&request, nl, RTM_DELTFILTER, ifindex, parent, info);
	return removed(change(nl, &request));
}

int tc_match_remove(struct nfnl *nl, int ifindex, const struct tc_match *match)
{
	return filters_remove(nl, ifindex, match->parent, place(match->prio, match->protocol));
}

int tc_ingress_add(struct nfnl *nl, int ifindex)
{
	struct request request;
	struct tcmsg *tcm =
		tc_begin(&request, nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
	int r;

	tcm->tcm_parent = TC_H_INGRESS;
	tcm->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
	mnl_attr_put_strz(request.nlh, TCA_KIND, "ingress");
	r = change(nl, &request);
	return r == -EEXIST ? 0 : r;
}

int tc_ingress_remove(struct nfnl *nl, int ifindex)
{
	struct request request;
	struct tcmsg *tcm = tc_begin(&request, nl, RTM_DELQDISC, 0, ifindex);

	tcm->tcm_parent = TC_H_INGRESS;
	mnl_attr_put_strz(request.nlh, TCA_KIND, "ingress");
	return removed(change(nl, &request));
}

int tc_redirect_add(struct nfnl *nl, int ifindex, uint16_t prio, int to)
{
	const struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
	struct request request;
	struct nlattr *options, *actions, *action, *nest;

	filter_begin(
		&request, nl, RTM_NEWTFILTER, ifindex, TC_INGRESS_PARENT, place(prio, ETH_P_ALL));
	options = mnl_attr_nest_start(request.nlh, TCA_OPTIONS);
	put_selector(request.nlh, 0, 0, 0);
	actions = mnl_attr_nest_start(request.nlh, TCA_U32_ACT);
	action = mnl_attr_nest_start(request.nlh, 1);
	mnl_attr_put_strz(request.nlh, TCA_ACT_KIND, "mirred");
	nest = mnl_attr_nest_start(request.nlh, TCA_ACT_OPTIONS);
	mnl_attr_put(request.nlh, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
	mnl_attr_nest_end(request.nlh, nest);
	mnl_attr_nest_end(request.nlh, action);
	mnl_attr_nest_end(request.nlh, actions);
	mnl_attr_nest_end(request.nlh, options);
	return change(nl, &request);
}

int tc_redirect_remove(struct nfnl *nl, int ifindex, uint16_t prio)
{
	return filters_remove(nl, ifindex, TC_INGRESS_PARENT, place(prio, ETH_P_ALL));
}

/* --- What is there --------------------------------------------------------------------------- */

/* Attributes of one level, by type; those beyond are left out. */
struct attributes {
	const struct nlattr *at[64];
};

static int sort_attribute(const struct nlattr *attr, void *data)
{
	struct attributes *attributes = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type < ARRAY_SIZE(attributes->at))
		attributes->at[type] = attr;
	return MNL_CB_OK;
}

static void nested(const struct nlattr *attr, struct attributes *ret)
{
	*ret = (struct attributes){{NULL}};
	if (attr)
		mnl_attr_parse_nested(attr, sort_attribute, ret);
}

static bool has_room(const struct nlattr *attr, size_t size)
{
	return attr && mnl_attr_get_payload_len(attr) >= size;
}

struct walk {
	int (*link)(void *data, int ifindex, const char *name, const uint8_t *mac);
	int (*queue)(void *data, int ifindex, uint32_t parent, uint32_t handle);
	int (*class)(void *data, const struct tc_class *class);
	int (*filter)(void *data, uint16_t prio, uint32_t class, int to);
	void *data;
};

static int walk_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct walk *walk = data;
	struct attributes attributes = {{NULL}};
	const struct nlattr *mac;

	mnl_attr_parse(nlh, sizeof(*info), sort_attribute, &attributes);
	if (nlh->nlmsg_type != RTM_NEWLINK || !attributes.at[IFLA_IFNAME])
		return 0;
	mac = attributes.at[IFLA_ADDRESS];
	return walk->link(walk->data, info->ifi_index, mnl_attr_get_str(attributes.at[IFLA_IFNAME]),
		has_room(mac, 6) ? mnl_attr_get_payload(mac) : NULL);
}

int tc_each_link(struct nfnl *nl,
	int (*each)(void *data, int ifindex, const char *name, const uint8_t *mac), void *data)
{
	struct walk walk = {.link = each, .data = data};
	struct request request;

	request_begin(&request, nl, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(request.nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nfnl_request(nl, request.nlh, walk_link, &walk);
}

static int walk_queue(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const struct walk *walk = data;

	return walk->queue(walk->data, tcm->tcm_ifindex, tcm->tcm_parent, tcm->tcm_handle);
}

int tc_each_queue(struct nfnl *nl,
	int (*each)(void *data, int ifindex, uint32_t parent, uint32_t handle), void *data)
{
	struct walk walk = {.queue = each, .data = data};
	struct request request;

	tc_begin(&request, nl, RTM_GETQDISC, NLM_F_DUMP, 0);
	return nfnl_request(nl, request.nlh, walk_queue, &walk);
}

static uint64_t rate_of(const struct nlattr *wide, const struct tc_ratespec *narrow)
{
	return has_room(wide, sizeof(uint64_t)) ? mnl_attr_get_u64(wide) : narrow->rate;
}

static int walk_class(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const struct walk *walk = data;
	struct tc_class class = {
		.id = tcm->tcm_handle, .parent = tcm->tcm_parent, .leaf = tcm->tcm_info};
	struct attributes attributes = {{NULL}}, options;
	struct tc_htb_opt opt;

	mnl_attr_parse(nlh, sizeof(*tcm), sort_attribute, &attributes);
	if (!attributes.at[TCA_KIND] ||
		strcmp(mnl_attr_get_str(attributes.at[TCA_KIND]), "htb") != 0)
		return 0;
	nested(attributes.at[TCA_OPTIONS], &options);
	if (!has_room(options.at[TCA_HTB_PARMS], sizeof(opt)))
		return 0;
	memcpy(&opt, mnl_attr_get_payload(options.at[TCA_HTB_PARMS]), sizeof(opt));
	class.rate = rate_of(options.at[TCA_HTB_RATE64], &opt.rate);
	class.ceil = rate_of(options.at[TCA_HTB_CEIL64], &opt.ceil);
	class.quantum = opt.quantum;
	class.prio = opt.prio;
	return walk->class(walk->data, &class);
}

int tc_each_class(struct nfnl *nl, int ifindex,
	int (*each)(void *data, const struct tc_class *class), void *data)
{
	struct walk walk = {.class = each, .data = data};
	struct request request;

	tc_begin(&request, nl, RTM_GETTCLASS, NLM_F_DUMP, ifindex);
	return nfnl_request(nl, request.nlh, walk_class, &walk);
}

/* Where a filter's first action hands packets to. */
static int redirected_to(const struct nlattr *actions)
{
	struct attributes level;
	struct tc_mirred mirred;

	nested(actions, &level);
	nested(level.at[1], &level);
	if (!level.at[TCA_ACT_KIND] ||
		strcmp(mnl_attr_get_str(level.at[TCA_ACT_KIND]), "mirred") != 0)
		return 0;
	nested(level.at[TCA_ACT_OPTIONS], &level);
	if (!has_room(level.at[TCA_MIRRED_PARMS], sizeof(mirred)))
		return 0;
	memcpy(&mirred, mnl_attr_get_payload(level.at[TCA_MIRRED_PARMS]), sizeof(mirred));
	return mirred.eaction == TCA_EGRESS_REDIR ? (int)mirred.ifindex : 0;
}

/* Also fed the hash tables behind u32 filters, which have no selector. */
static int walk_filter(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const struct walk *walk = data;
	struct attributes attributes = {{NULL}}, options;
	const struct nlattr *class;

	mnl_attr_parse(nlh, sizeof(*tcm), sort_attribute, &attributes);
	nested(attributes.at[TCA_OPTIONS], &options);
	if (nlh->nlmsg_type != RTM_NEWTFILTER || !options.at[TCA_U32_SEL])
		return 0;
	class = options.at[TCA_U32_CLASSID];
	return walk->filter(walk->data, (uint16_t)(TC_H_MAJ(tcm->tcm_info) >> 16),
		has_room(class, sizeof(uint32_t)) ? mnl_attr_get_u32(class) : 0,
		redirected_to(options.at[TCA_U32_ACT]));
}

int tc_each_filter(struct nfnl *nl, int ifindex, uint32_t parent,
	int (*each)(void *data, uint16_t prio, uint32_t class, int to), void *data)
{
	struct walk walk = {.filter = each, .data = data};
	struct request request;
	struct tcmsg *tcm = tc_begin(&request, nl, RTM_GETTFILTER, NLM_F_DUMP, ifindex);

	tcm->tcm_parent = parent;
	return nfnl_request(nl, request.nlh, walk_filter, &walk);
}
