/* Elements of the nft backend's sets. */
#include "net/nft_sets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/nft_ruleset.h"

#define IFNAME 16 /* IFNAMSIZ: how nf_tables keeps an interface's name */

/* Where the parts of the concatenated keys are. */
#define PORTS_PROTO    0
#define PORTS_PORT     4
#define LINKS_MAC      IFNAME
#define GUESTS_ADDRESS (IFNAME + 8)

static const struct set_layout {
	const char *name;
	uint8_t family;
	uint16_t key, data;
} g_sets[NFT_SET_MAX_] = {
	[NFT_BRIDGES] = {NFT_SET_BRIDGES, NFPROTO_IPV4, IFNAME, 0},
	[NFT_ADDRESSES] = {NFT_SET_ADDRESSES, NFPROTO_IPV4, 4, 0},
	[NFT_PORTS] = {NFT_MAP_PORTS, NFPROTO_IPV4, 8, 8},
	[NFT_LINKS] = {NFT_SET_LINKS, NFPROTO_BRIDGE, IFNAME + 8, 0},
	[NFT_GUESTS] = {NFT_SET_GUESTS, NFPROTO_BRIDGE, IFNAME + 12, 0},
};

int nft_elements_add(struct nft_elements *elements, const struct nft_element *element)
{
	if (elements->count == elements->room) {
		size_t room = elements->room ? elements->room * 2 : 64;
		struct nft_element *list = realloc(elements->list, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		elements->list = list;
		elements->room = room;
	}
	elements->list[elements->count++] = *element;
	return 0;
}

void nft_elements_finish(struct nft_elements *elements)
{
	free(elements->list);
	*elements = (struct nft_elements){0};
}

static void put_name(uint8_t *at, const char *name)
{
	memcpy(at, name, strnlen(name, IFNAME - 1));
}

static void put_address(uint8_t *at, uint32_t address)
{
	uint32_t value = htonl(address);

	memcpy(at, &value, sizeof(value));
}

static uint32_t get_address(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

static void put_port(uint8_t *at, uint16_t port)
{
	uint16_t value = htons(port);

	memcpy(at, &value, sizeof(value));
}

void nft_bridge_element(const struct firewall_net *net, struct nft_element *ret)
{
	*ret = (struct nft_element){0};
	put_name(ret->key, net->bridge);
}

void nft_port_key(enum port_proto proto, uint16_t host, struct nft_element *ret)
{
	*ret = (struct nft_element){0};
	ret->key[PORTS_PROTO] = proto == PORT_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	put_port(ret->key + PORTS_PORT, host);
}

void nft_port_element(const struct net_port *port, struct nft_element *ret)
{
	nft_port_key(port->proto, port->host, ret);
	put_address(ret->data, port->address);
	put_port(ret->data + 4, port->guest);
}

void nft_address_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret)
{
	*ret = (struct nft_element){0};
	put_address(ret->key, guest->address);
	memcpy(ret->owner, net->bridge, sizeof(ret->owner));
}

void nft_link_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret)
{
	char link[NET_LINK_NAME_MAX + 1];

	*ret = (struct nft_element){0};
	link_name(guest->id, link);
	put_name(ret->key, link);
	memcpy(ret->owner, net->bridge, sizeof(ret->owner));
	memcpy(ret->key + LINKS_MAC, guest->mac, sizeof(guest->mac));
}

void nft_guest_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret)
{
	nft_link_element(net, guest, ret);
	put_address(ret->key + GUESTS_ADDRESS, guest->address);
}

bool nft_element_belongs(
	const struct firewall_net *net, enum nft_set set, const struct nft_element *element)
{
	if (set == NFT_PORTS)
		return firewall_net_has(net, get_address(element->data));
	if (set == NFT_BRIDGES)
		return strncmp((const char *)element->key, net->bridge, IFNAME) == 0;
	return strcmp(element->owner, net->bridge) == 0;
}

/* Copies an NFTA_DATA_VALUE of the length that the set has. */
static int take_value(const struct nlattr *nest, uint8_t *ret, uint16_t length)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) != NFTA_DATA_VALUE)
			continue;
		if (mnl_attr_get_payload_len(attr) != length)
			return -EPROTO;
		memcpy(ret, mnl_attr_get_payload(attr), length);
		return 0;
	}
	return -EPROTO;
}

/* User data of nf_tables objects, which the kernel only keeps: type, length, value. */
#define UDATA_COMMENT 0

static void take_owner(const struct nlattr *attr, char owner[static IFNAME])
{
	const uint8_t *udata = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);

	while (left >= 2 && left >= 2U + udata[1]) {
		if (udata[0] == UDATA_COMMENT && udata[1] <= IFNAME) {
			memcpy(owner, udata + 2, udata[1]);
			owner[IFNAME - 1] = '\0';
		}
		left -= 2U + udata[1];
		udata += 2U + udata[1];
	}
}

static void put_owner(struct nlmsghdr *nlh, const char *owner)
{
	uint8_t udata[2 + IFNAME] = {UDATA_COMMENT, (uint8_t)(strlen(owner) + 1)};

	memcpy(udata + 2, owner, udata[1]);
	mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, 2U + udata[1], udata);
}

struct dump {
	const struct set_layout *set;
	struct nft_elements *elements;
	int error;
};

static int take_element(struct dump *dump, const struct nlattr *nest)
{
	struct nft_element element = {0};
	const struct nlattr *attr;
	int r = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_KEY)
			r = take_value(attr, element.key, dump->set->key);
		else if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_DATA)
			r = take_value(attr, element.data, dump->set->data);
		else if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_USERDATA)
			take_owner(attr, element.owner);
		if (r < 0)
			return r;
	}
	return nft_elements_add(dump->elements, &element);
}

static int dump_message(const struct nlmsghdr *nlh, void *data)
{
	struct dump *dump = data;
	const struct nlattr *attr, *nest;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(nest, attr)
		{
			if (dump->error == 0)
				dump->error = take_element(dump, nest);
		}
	}
	return MNL_CB_OK;
}

static void put_set(struct nlmsghdr *nlh, const struct set_layout *set)
{
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
}

static void put_value(struct nlmsghdr *nlh, uint16_t type, const uint8_t *value, uint16_t length)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, length, value);
	mnl_attr_nest_end(nlh, nest);
}

int nft_set_get(struct nfnl *nfnl, enum nft_set set, struct nft_element *element)
{
	CLEANUP(nft_elements_finish) struct nft_elements found = {0};
	struct dump dump = {.set = &g_sets[set], .elements = &found};
	char buf[256] = {0};
	struct nlmsghdr *nlh = nfnl_message(nfnl, buf,
		(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM, NLM_F_ACK, dump.set->family);
	struct nlattr *list, *nest;
	int r;

	put_set(nlh, dump.set);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	put_value(nlh, NFTA_SET_ELEM_KEY, element->key, dump.set->key);
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, list);
	r = nfnl_request(nfnl, nlh, dump_message, &dump);
	if (r == 0)
		r = dump.error;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (found.count == 1)
		*element = found.list[0];
	return found.count == 1;
}

int nft_set_dump(struct nfnl *nfnl, enum nft_set set, struct nft_elements *ret)
{
	struct dump dump = {.set = &g_sets[set], .elements = ret};
	char buf[256] = {0};
	struct nlmsghdr *nlh = nfnl_message(nfnl, buf,
		(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM, NLM_F_DUMP, dump.set->family);
	int r;

	put_set(nlh, dump.set);
	r = nfnl_request(nfnl, nlh, dump_message, &dump);
	return r < 0 ? r : dump.error;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct nft_element *)a)->key, ((const struct nft_element *)b)->key,
		NFT_KEY_MAX);
}

static void elements_sort(struct nft_elements *elements)
{
	if (elements->count)
		qsort(elements->list, elements->count, sizeof(*elements->list), compare_keys);
}

static const struct nft_element *find(
	const struct nft_elements *sorted, const struct nft_element *element)
{
	if (!sorted->count)
		return NULL;
	return bsearch(element, sorted->list, sorted->count, sizeof(*sorted->list), compare_keys);
}

static bool listed(const struct nft_elements *sorted, const struct nft_element *element)
{
	const struct nft_element *found = find(sorted, element);

	return found && memcmp(found->data, element->data, sizeof(found->data)) == 0;
}

void nft_keep_own(const struct firewall_net *net, enum nft_set set, struct nft_elements *have,
	struct nft_elements *want)
{
	size_t kept = 0;

	elements_sort(want);
	for (size_t i = 0; i < have->count; i++)
		if (nft_element_belongs(net, set, &have->list[i]) || find(want, &have->list[i]))
			have->list[kept++] = have->list[i];
	have->count = kept;
}

void nft_diff(struct nft_elements *have, struct nft_elements *want, enum nft_set set,
	void (*change)(void *data, const struct nft_change *change), void *data)
{
	elements_sort(have);
	elements_sort(want);
	for (size_t i = 0; i < have->count; i++)
		if (!listed(want, &have->list[i]))
			change(data, &(struct nft_change){set, false, have->list[i]});
	for (size_t i = 0; i < want->count; i++)
		if (!listed(have, &want->list[i]))
			change(data, &(struct nft_change){set, true, want->list[i]});
}

void nft_batch_change(struct nfnl_batch *batch, const struct nft_change *change)
{
	const struct set_layout *set = &g_sets[change->set];
	uint16_t message = change->add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
	struct nlmsghdr *nlh = nfnl_batch_message(batch, (NFNL_SUBSYS_NFTABLES << 8) | message,
		change->add ? NLM_F_CREATE : 0, set->family, 256);
	struct nlattr *list, *element;

	if (!nlh)
		return;
	put_set(nlh, set);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	put_value(nlh, NFTA_SET_ELEM_KEY, change->element.key, set->key);
	if (change->add && set->data)
		put_value(nlh, NFTA_SET_ELEM_DATA, change->element.data, set->data);
	if (change->add && change->element.owner[0])
		put_owner(nlh, change->element.owner);
	mnl_attr_nest_end(nlh, element);
	mnl_attr_nest_end(nlh, list);
	nfnl_batch_keep(batch, nlh);
}
