/* The nf_tables backend. The rules are text, loaded by libnftables (nft_load.c); what changes
 * with guests and ports are elements of four sets, changed by netlink messages of our own: the cost
 * of one change does not depend on how many elements there are, and several make one transaction.
 *
 * apply() compares what the kernel has with what should be and sends the difference, on condition
 * that nobody changed the ruleset in between (the batch names the generation it was made from), so
 * that two networks that share the tables, or an apply and a publish, cannot undo each other. */
#include "net/firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/nfnetlink.h"
#include "net/nft_load.h"
#include "net/nft_ruleset.h"
#include "net/nft_sets.h"
#include "net/nft_watch.h"

#define TRIES 16 /* of a change that others' changes may overtake */

#define NFT_TYPE(message) ((NFNL_SUBSYS_NFTABLES << 8) | (message))

struct firewall {
	struct firewall_net net;
	struct nfnl nfnl;
	struct nft_watch watch;
	uint64_t rules; /* fingerprint of our rules as they were loaded; 0: not yet */
};

static struct firewall *nft_close(struct firewall *firewall)
{
	if (!firewall)
		return NULL;
	nft_watch_close(&firewall->watch);
	nfnl_close(&firewall->nfnl);
	free(firewall);
	return NULL;
}

static int nft_open(const struct firewall_net *net, struct firewall **ret, struct err *err)
{
	struct firewall *firewall = calloc(1, sizeof(*firewall));
	int r;

	if (!firewall)
		return err_errno(err, ENOMEM, "cannot open the firewall");
	firewall->net = *net;
	r = nfnl_open(&firewall->nfnl, err);
	if (r < 0) {
		nft_close(firewall);
		return r;
	}
	*ret = firewall;
	return 0;
}

static int take_generation(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID)
			*(uint32_t *)data = ntohl(mnl_attr_get_u32(attr));
	}
	return MNL_CB_OK;
}

static int generation(struct firewall *firewall, uint32_t *ret)
{
	char buf[64] = {0};
	struct nlmsghdr *nlh =
		nfnl_message(&firewall->nfnl, buf, NFT_TYPE(NFT_MSG_GETGEN), NLM_F_ACK, AF_UNSPEC);

	return nfnl_request(&firewall->nfnl, nlh, take_generation, ret);
}

/* FNV-1a. */
static void hash_add(uint64_t *hash, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		*hash = (*hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

/* Chain and expressions of each rule in turn; handles differ with every load. */
static int hash_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == NFTA_RULE_CHAIN || type == NFTA_RULE_EXPRESSIONS)
			hash_add(data, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	}
	return MNL_CB_OK;
}

/* Policy and hook of each chain; counters are of no interest. */
static int hash_chain(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	bool ours = false;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_TABLE)
			ours = strcmp(mnl_attr_get_str(attr), NFT_TABLE) == 0;
	}
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (ours && (type == NFTA_CHAIN_NAME || type == NFTA_CHAIN_POLICY ||
				    type == NFTA_CHAIN_HOOK))
			hash_add(data, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	}
	return MNL_CB_OK;
}

static int hash_family(struct firewall *firewall, uint8_t family, uint64_t *hash)
{
	char buf[128] = {0};
	struct nlmsghdr *nlh =
		nfnl_message(&firewall->nfnl, buf, NFT_TYPE(NFT_MSG_GETCHAIN), NLM_F_DUMP, family);
	int r = nfnl_request(&firewall->nfnl, nlh, hash_chain, hash);

	if (r < 0)
		return r;
	memset(buf, 0, sizeof(buf));
	nlh = nfnl_message(&firewall->nfnl, buf, NFT_TYPE(NFT_MSG_GETRULE), NLM_F_DUMP, family);
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, NFT_TABLE);
	return nfnl_request(&firewall->nfnl, nlh, hash_rule, hash);
}

/* What identifies our rules as they are now; the same for the same rules, whenever loaded. */
static int fingerprint(struct firewall *firewall, uint64_t *ret)
{
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		uint64_t hash = UINT64_C(0xcbf29ce484222325);

		r = hash_family(firewall, NFPROTO_IPV4, &hash);
		if (r == 0)
			r = hash_family(firewall, NFPROTO_BRIDGE, &hash);
		if (r == 0)
			*ret = hash;
	}
	return r;
}

static int remove_tables(struct firewall *firewall, struct err *err)
{
	static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_BRIDGE};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct nfnl_batch batch;
		struct nlmsghdr *nlh;
		int r;

		nfnl_batch_begin(&batch, &firewall->nfnl, 0);
		nlh = nfnl_batch_message(&batch, NFT_TYPE(NFT_MSG_DELTABLE), 0, families[i], 64);
		if (nlh) {
			mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_TABLE);
			nfnl_batch_keep(&batch, nlh);
		}
		r = nfnl_batch_commit(&batch);
		if (r < 0 && r != -ENOENT)
			return err_errno(err, r, "cannot remove the firewall rules");
	}
	firewall->rules = 0;
	return 0;
}

/* Loads the rules; over tables of another shape only when those are gone. */
static int load_ruleset(struct firewall *firewall, struct err *err)
{
	AUTOFREE char *ruleset = nft_ruleset_render();
	int r;

	if (!ruleset)
		return err_errno(err, ENOMEM, "cannot load the firewall rules");
	if (nft_load(ruleset, err) == 0)
		return 0;
	log_warning("firewall.reload", "error=%s", LOG_Q(err ? err->message : ""));
	r = remove_tables(firewall, err);
	return r < 0 ? r : nft_load(ruleset, err);
}

static int apply_rules(struct firewall *firewall, unsigned *changes, struct err *err)
{
	uint64_t before = 0, after = 0;
	int r = fingerprint(firewall, &before);

	if (r < 0)
		return err_set(err, ERR_UNSUPPORTED, NULL, "the kernel has no nf_tables: %s",
			strerror(-r));
	if (firewall->rules && before == firewall->rules)
		return 0;
	r = load_ruleset(firewall, err);
	if (r < 0)
		return r;
	fault_point("net.firewall.rules");
	r = fingerprint(firewall, &after);
	if (r < 0)
		return err_errno(err, r, "cannot read back the firewall rules");
	firewall->rules = after;
	*changes += before != after;
	return 0;
}

static void change_add(void *data, const struct nft_change *change)
{
	nft_batch_change(data, change);
}

struct wanted {
	const struct net_guest *guests;
	size_t guests_count;
	const struct net_port *ports;
	size_t ports_count;
};

static int want_ports(const struct wanted *wanted, struct nft_elements *ret)
{
	int r = 0;

	for (size_t i = 0; i < wanted->ports_count && r == 0; i++) {
		struct nft_element element;

		nft_port_element(&wanted->ports[i], &element);
		r = nft_elements_add(ret, &element);
	}
	return r;
}

/* What a guest has in each set but that of ports. */
typedef void (*guest_element)(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret);

static const guest_element g_guest_elements[NFT_SET_MAX_] = {
	[NFT_ADDRESSES] = nft_address_element,
	[NFT_LINKS] = nft_link_element,
	[NFT_GUESTS] = nft_guest_element,
};

static int want_guests(const struct firewall *firewall, guest_element make,
	const struct wanted *wanted, struct nft_elements *ret)
{
	int r = 0;

	for (size_t i = 0; i < wanted->guests_count && r == 0; i++) {
		struct nft_element element;

		make(&firewall->net, &wanted->guests[i], &element);
		r = nft_elements_add(ret, &element);
	}
	return r;
}

static int want(const struct firewall *firewall, enum nft_set set, const struct wanted *wanted,
	struct nft_elements *ret)
{
	struct nft_element bridge;

	if (set == NFT_PORTS)
		return want_ports(wanted, ret);
	if (g_guest_elements[set])
		return want_guests(firewall, g_guest_elements[set], wanted, ret);
	nft_bridge_element(&firewall->net, &bridge);
	return nft_elements_add(ret, &bridge);
}

struct counted_batch {
	struct nfnl_batch batch;
	unsigned changes;
};

static void count_change(void *data, const struct nft_change *change)
{
	struct counted_batch *counted = data;

	change_add(&counted->batch, change);
	counted->changes++;
}

static int apply_set(struct firewall *firewall, enum nft_set set, const struct wanted *wanted,
	struct counted_batch *counted)
{
	CLEANUP(nft_elements_finish) struct nft_elements have = {0};
	CLEANUP(nft_elements_finish) struct nft_elements wants = {0};
	int r = nft_set_dump(&firewall->nfnl, set, &have);

	if (r == 0)
		r = want(firewall, set, wanted, &wants);
	if (r < 0)
		return r;
	nft_keep_own(&firewall->net, set, &have, &wants);
	nft_diff(&have, &wants, set, count_change, counted);
	return 0;
}

/* One attempt: -EINTR and -ERESTART when somebody else's change came in between. */
static int apply_elements(
	struct firewall *firewall, const struct wanted *wanted, unsigned *ret_changes)
{
	struct counted_batch counted = {0};
	uint32_t now = 0;
	int r = generation(firewall, &now);

	if (r < 0)
		return r;
	nfnl_batch_begin(&counted.batch, &firewall->nfnl, now);
	for (int set = 0; set < NFT_SET_MAX_ && r == 0; set++)
		r = apply_set(firewall, (enum nft_set)set, wanted, &counted);
	if (r < 0 || counted.changes == 0) {
		nfnl_batch_cancel(&counted.batch);
		return r;
	}
	*ret_changes = counted.changes;
	return nfnl_batch_commit(&counted.batch);
}

static bool overtaken(int r)
{
	return r == -EINTR || r == -ERESTART || r == -EAGAIN;
}

static int nft_apply(struct firewall *firewall, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count, unsigned *changes, struct err *err)
{
	const struct wanted wanted = {guests, guests_count, ports, ports_count};
	unsigned elements = 0;
	int r = apply_rules(firewall, changes, err);

	if (r < 0)
		return r;
	r = -EINTR;
	for (int i = 0; i < TRIES && overtaken(r); i++)
		r = apply_elements(firewall, &wanted, &elements);
	if (r < 0)
		return err_errno(err, r, "cannot load guests and ports into the firewall");
	*changes += elements;
	return 0;
}

static int commit_changes(struct firewall *firewall, const struct nft_change *changes, size_t count)
{
	struct nfnl_batch batch;

	nfnl_batch_begin(&batch, &firewall->nfnl, 0);
	for (size_t i = 0; i < count; i++)
		nft_batch_change(&batch, &changes[i]);
	return nfnl_batch_commit(&batch);
}

static int nft_allow(struct firewall *firewall, const struct net_guest *guest, struct err *err)
{
	struct nft_change changes[NFT_SET_MAX_];
	size_t count = 0;
	int r;

	for (int set = 0; set < NFT_SET_MAX_; set++) {
		if (!g_guest_elements[set])
			continue;
		changes[count] = (struct nft_change){.set = (enum nft_set)set, .add = true};
		g_guest_elements[set](&firewall->net, guest, &changes[count++].element);
	}
	r = commit_changes(firewall, changes, count);
	return r < 0 ? err_errno(err, r, "cannot let the guest's link pass the firewall") : 0;
}

/* Removes an element if it is there. To try and fail would cost a wait for all processors: that is
 * how the kernel undoes a batch. Somebody else's removal in between is as good. */
static int remove_element(
	struct firewall *firewall, enum nft_set set, const struct nft_element *element)
{
	struct nft_change change = {.set = set, .element = *element};
	int r = nft_set_get(&firewall->nfnl, set, &change.element);

	if (r <= 0)
		return r;
	r = commit_changes(firewall, &change, 1);
	return r == -ENOENT ? 0 : r;
}

/* One by one: a crash, or somebody's hand, may have left some of them. */
static int nft_forbid(struct firewall *firewall, const struct net_guest *guest, struct err *err)
{
	for (int set = 0; set < NFT_SET_MAX_; set++) {
		struct nft_element element;
		int r;

		if (!g_guest_elements[set])
			continue;
		g_guest_elements[set](&firewall->net, guest, &element);
		r = remove_element(firewall, (enum nft_set)set, &element);
		if (r < 0)
			return err_errno(
				err, r, "cannot take the guest's link out of the firewall");
	}
	return 0;
}

/* A port that is new is added; one that leads elsewhere is removed and added in one transaction,
 * during which packets see the one or the other. -EBUSY, -EEXIST and -ENOENT when somebody else
 * changed it between question and answer. */
static int lead_port(struct firewall *firewall, const struct nft_element *wanted)
{
	struct nft_change changes[] = {{.set = NFT_PORTS, .element = *wanted},
		{.set = NFT_PORTS, .add = true, .element = *wanted}};
	struct nft_element *now = &changes[0].element;
	int r = nft_set_get(&firewall->nfnl, NFT_PORTS, now);

	if (r < 0)
		return r;
	if (r == 0)
		return commit_changes(firewall, &changes[1], 1);
	if (memcmp(now->data, wanted->data, sizeof(now->data)) == 0)
		return 0;
	return commit_changes(firewall, changes, 2);
}

static int nft_publish(struct firewall *firewall, const struct net_port *port, struct err *err)
{
	struct nft_element wanted;
	int r = -EBUSY;

	nft_port_element(port, &wanted);
	for (int i = 0; i < TRIES && (r == -EBUSY || r == -EEXIST || r == -ENOENT); i++)
		r = lead_port(firewall, &wanted);
	return r < 0 ? err_errno(err, r, "cannot publish port %u/%s", port->host,
			       port_proto_to_string(port->proto))
		     : 0;
}

static int nft_unpublish(
	struct firewall *firewall, enum port_proto proto, uint16_t host, struct err *err)
{
	struct nft_element element;
	int r;

	nft_port_key(proto, host, &element);
	r = remove_element(firewall, NFT_PORTS, &element);
	return r < 0 ? err_errno(err, r, "cannot withdraw port %u/%s", host,
			       port_proto_to_string(proto))
		     : 0;
}

static int nft_watch_rules(struct firewall *firewall, struct err *err)
{
	int r = nft_watch_open(&firewall->watch, firewall->nfnl.portid, err);

	return r < 0 ? r : nft_watch_fd(&firewall->watch);
}

static bool nft_look(struct firewall *firewall)
{
	return nft_watch_dispatch(&firewall->watch);
}

static bool nft_intact(struct firewall *firewall)
{
	uint64_t now = 0;

	return firewall->rules && fingerprint(firewall, &now) == 0 && now == firewall->rules;
}

static int remove_bridge(struct firewall *firewall)
{
	struct nft_change change = {.set = NFT_BRIDGES};

	nft_bridge_element(&firewall->net, &change.element);
	return commit_changes(firewall, &change, 1);
}

static int nft_teardown(struct firewall *firewall, struct err *err)
{
	CLEANUP(nft_elements_finish) struct nft_elements bridges = {0};
	const struct wanted nothing = {0};
	unsigned changes = 0;
	int r = -EINTR;

	for (int i = 0; i < TRIES && overtaken(r); i++)
		r = apply_elements(firewall, &nothing, &changes);
	if (r == 0)
		r = remove_bridge(firewall);
	if (r == 0)
		r = nft_set_dump(&firewall->nfnl, NFT_BRIDGES, &bridges);
	if (r < 0 && r != -ENOENT)
		return err_errno(err, r, "cannot empty the firewall's sets");
	return bridges.count == 0 ? remove_tables(firewall, err) : 0;
}

const struct firewall_ops firewall_nft = {
	.name = "nft",
	.open = nft_open,
	.close = nft_close,
	.apply = nft_apply,
	.teardown = nft_teardown,
	.allow = nft_allow,
	.forbid = nft_forbid,
	.publish = nft_publish,
	.unpublish = nft_unpublish,
	.intact = nft_intact,
	.watch_fd = nft_watch_rules,
	.watch_dispatch = nft_look,
};
