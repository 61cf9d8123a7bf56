/* The bridge and its links over rtnetlink (libnl-3, libnl-route-3), and sysctls. */
#include "net/link.h"

#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"

struct link_socket {
	struct nl_sock *sk;
};

DEFINE_CLEANUP(struct rtnl_link *, rtnl_link_put)
DEFINE_CLEANUP(struct rtnl_addr *, rtnl_addr_put)
DEFINE_CLEANUP(struct nl_addr *, nl_addr_put)
DEFINE_CLEANUP(struct nl_cache *, nl_cache_free)

static int link_fail(struct err *err, int r, const char *what, const char *name)
{
	return err_set(err, ERR_INTERNAL, NULL, "cannot %s %s: %s", what, name, nl_geterror(r));
}

static bool absent(int r)
{
	return r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND;
}

int link_open(struct link_socket **ret, struct err *err)
{
	struct link_socket *socket = calloc(1, sizeof(*socket));
	int r;

	if (!socket)
		return err_errno(err, ENOMEM, "cannot open rtnetlink");
	socket->sk = nl_socket_alloc();
	r = socket->sk ? nl_connect(socket->sk, NETLINK_ROUTE) : -NLE_NOMEM;
	if (r < 0) {
		link_close(socket);
		return link_fail(err, r, "open", "rtnetlink");
	}
	*ret = socket;
	return 0;
}

struct link_socket *link_close(struct link_socket *socket)
{
	if (!socket)
		return NULL;
	if (socket->sk)
		nl_socket_free(socket->sk);
	free(socket);
	return NULL;
}

void link_name(const char *guest_id, char ret[static NET_LINK_NAME_MAX + 1])
{
	snprintf(ret, NET_LINK_NAME_MAX + 1, LINK_PREFIX "%.*s", LINK_DIGITS, guest_id);
}

void link_bridge_mac(uint32_t gateway, uint8_t ret[static 6])
{
	const uint8_t mac[6] = {0x02, 'c', 'g', (uint8_t)(gateway >> 16), (uint8_t)(gateway >> 8),
		(uint8_t)gateway};

	memcpy(ret, mac, sizeof(mac));
}

static bool bridge_is_ours(struct rtnl_link *link, uint32_t gateway)
{
	const char *type = rtnl_link_get_type(link);
	const char *alias = rtnl_link_get_ifalias(link);
	struct nl_addr *addr = rtnl_link_get_addr(link);
	uint8_t mac[6];

	link_bridge_mac(gateway, mac);
	if (!type || strcmp(type, "bridge") != 0)
		return false;
	if (alias)
		return strcmp(alias, LINK_ALIAS) == 0;
	return addr && nl_addr_get_len(addr) == sizeof(mac) &&
	       memcmp(nl_addr_get_binary_addr(addr), mac, sizeof(mac)) == 0;
}

static int bridge_create(
	struct link_socket *socket, const struct net_config *config, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *link = rtnl_link_bridge_alloc();
	CLEANUP(nl_addr_putp) struct nl_addr *addr = NULL;
	uint8_t mac[6];
	int r;

	link_bridge_mac(config->gateway, mac);
	addr = nl_addr_build(AF_LLC, mac, sizeof(mac));
	if (!link || !addr)
		return err_errno(err, ENOMEM, "cannot make the bridge %s", config->bridge);
	rtnl_link_set_name(link, config->bridge);
	rtnl_link_set_addr(link, addr);
	r = rtnl_link_add(socket->sk, link, NLM_F_CREATE | NLM_F_EXCL);
	return r < 0 && r != -NLE_EXIST ? link_fail(err, r, "make the bridge", config->bridge) : 0;
}

/* Sets the mark and brings it up, as far as that is not so. */
static int bridge_finish(
	struct link_socket *socket, struct rtnl_link *link, unsigned *changes, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *change = rtnl_link_alloc();
	bool marked = rtnl_link_get_ifalias(link) != NULL;
	bool up = rtnl_link_get_flags(link) & IFF_UP;
	int r;

	if (marked && up)
		return 0;
	if (!change)
		return err_errno(err, ENOMEM, "cannot change the bridge");
	rtnl_link_set_ifalias(change, LINK_ALIAS);
	rtnl_link_set_flags(change, IFF_UP);
	r = rtnl_link_change(socket->sk, link, change, 0);
	if (r < 0)
		return link_fail(err, r, "bring up", rtnl_link_get_name(link));
	*changes += 1;
	return 0;
}

static int bridge_add_address(struct link_socket *socket, struct rtnl_link *link,
	const struct net_config *config, unsigned *changes, struct err *err)
{
	CLEANUP(rtnl_addr_putp) struct rtnl_addr *addr = rtnl_addr_alloc();
	CLEANUP(nl_addr_putp) struct nl_addr *local = NULL;
	uint32_t network_order = __builtin_bswap32(config->gateway);
	int r;

	local = nl_addr_build(AF_INET, &network_order, sizeof(network_order));
	if (!addr || !local)
		return err_errno(err, ENOMEM, "cannot address the bridge");
	nl_addr_set_prefixlen(local, (int)config->prefix);
	rtnl_addr_set_ifindex(addr, rtnl_link_get_ifindex(link));
	rtnl_addr_set_local(addr, local);
	r = rtnl_addr_add(socket->sk, addr, NLM_F_CREATE | NLM_F_EXCL);
	if (r < 0 && r != -NLE_EXIST)
		return link_fail(err, r, "address the bridge", config->bridge);
	*changes += r == 0;
	return 0;
}

int link_bridge_apply(struct link_socket *socket, const struct net_config *config,
	unsigned *changes, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(socket->sk, 0, config->bridge, &link);

	if (absent(r)) {
		r = bridge_create(socket, config, err);
		if (r < 0)
			return r;
		*changes += 1;
		fault_point("net.bridge.made");
		r = rtnl_link_get_kernel(socket->sk, 0, config->bridge, &link);
	}
	if (r < 0)
		return link_fail(err, r, "look up", config->bridge);
	if (!bridge_is_ours(link, config->gateway))
		return err_set(err, ERR_CONFLICT, "net.bridge",
			"%s exists and was not made by corpus; name another bridge, remove it, or "
			"hand it over: ip link set dev %s alias " LINK_ALIAS,
			config->bridge, config->bridge);
	r = bridge_finish(socket, link, changes, err);
	if (r < 0)
		return r;
	fault_point("net.bridge.up");
	return bridge_add_address(socket, link, config, changes, err);
}

int link_bridge_remove(struct link_socket *socket, const struct net_config *config, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(socket->sk, 0, config->bridge, &link);

	if (absent(r) || (r == 0 && !bridge_is_ours(link, config->gateway)))
		return 0;
	if (r < 0)
		return link_fail(err, r, "look up", config->bridge);
	r = rtnl_link_delete(socket->sk, link);
	return r < 0 && !absent(r) ? link_fail(err, r, "remove", config->bridge) : 0;
}

static int remove_link(struct link_socket *socket, const char *name, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *link = rtnl_link_alloc();
	int r;

	if (!link)
		return err_errno(err, ENOMEM, "cannot remove %s", name);
	rtnl_link_set_name(link, name);
	r = rtnl_link_delete(socket->sk, link);
	return r < 0 && !absent(r) ? link_fail(err, r, "remove", name) : 0;
}

int link_remove_guest(struct link_socket *socket, const char *guest_id, struct err *err)
{
	char name[NET_LINK_NAME_MAX + 1];

	link_name(guest_id, name);
	return remove_link(socket, name, err);
}

bool link_named_as_guest(const char *name)
{
	return name && strlen(name) == strlen(LINK_PREFIX) + LINK_DIGITS &&
	       strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0 &&
	       strspn(name + strlen(LINK_PREFIX), "0123456789abcdef") == LINK_DIGITS;
}

typedef char link_text[NET_LINK_NAME_MAX + 1];

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static link_text *sorted_names(const struct net_guest *guests, size_t count)
{
	link_text *names = calloc(count + 1, sizeof(*names));

	if (!names)
		return NULL;
	for (size_t i = 0; i < count; i++)
		link_name(guests[i].id, names[i]);
	qsort(names, count, sizeof(*names), compare_names);
	return names;
}

/* Links of the namespace, and the index of the bridge among them. */
static int list_links(struct link_socket *socket, const char *bridge, struct nl_cache **ret,
	int *ret_bridge, struct err *err)
{
	int r = rtnl_link_alloc_cache(socket->sk, AF_UNSPEC, ret);

	if (r < 0)
		return link_fail(err, r, "list", "links");
	*ret_bridge = rtnl_link_name2i(*ret, bridge);
	return 0;
}

int link_remove_strays(struct link_socket *socket, const char *bridge,
	const struct net_guest *guests, size_t guests_count, unsigned *changes, struct err *err)
{
	CLEANUP(nl_cache_freep) struct nl_cache *cache = NULL;
	AUTOFREE link_text *names = sorted_names(guests, guests_count);
	int master = 0, r;

	if (!names)
		return err_errno(err, ENOMEM, "cannot list links");
	r = list_links(socket, bridge, &cache, &master, err);
	if (r < 0)
		return r;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;
		const char *name = rtnl_link_get_name(link);

		if (!link_named_as_guest(name) || !master || rtnl_link_get_master(link) != master)
			continue;
		if (bsearch(name, names, guests_count, sizeof(*names), compare_names))
			continue;
		r = remove_link(socket, name, err);
		if (r < 0)
			return r;
		*changes += 1;
	}
	return 0;
}

static bool bridged_frames_pass_ip_hooks(void)
{
	AUTOFREE char *text = NULL;

	return file_read("/proc/sys/net/bridge/bridge-nf-call-iptables", 16, &text, NULL) == 0 &&
	       text[0] == '1';
}

static int set_hairpin(struct link_socket *socket, int ifindex, unsigned *changes, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *change = rtnl_link_alloc();
	CLEANUP(rtnl_link_putp) struct rtnl_link *port = rtnl_link_alloc();
	int r;

	if (!change || !port)
		return err_errno(err, ENOMEM, "cannot change a bridge port");
	rtnl_link_set_ifindex(port, ifindex);
	rtnl_link_set_family(port, AF_BRIDGE);
	rtnl_link_set_family(change, AF_BRIDGE);
	rtnl_link_bridge_set_flags(change, RTNL_BRIDGE_HAIRPIN_MODE);
	r = rtnl_link_change(socket->sk, port, change, 0);
	if (r < 0 && !absent(r))
		return link_fail(err, r, "change", "a bridge port");
	*changes += r == 0;
	return 0;
}

int link_hairpin_guest(struct link_socket *socket, const char *guest_id, struct err *err)
{
	CLEANUP(rtnl_link_putp) struct rtnl_link *link = NULL;
	char name[NET_LINK_NAME_MAX + 1];
	unsigned changes = 0;
	int r;

	if (!bridged_frames_pass_ip_hooks())
		return 0;
	link_name(guest_id, name);
	r = rtnl_link_get_kernel(socket->sk, 0, name, &link);
	if (absent(r))
		return 0;
	if (r < 0)
		return link_fail(err, r, "look up", name);
	return set_hairpin(socket, rtnl_link_get_ifindex(link), &changes, err);
}

int link_hairpin_all(
	struct link_socket *socket, const char *bridge, unsigned *changes, struct err *err)
{
	CLEANUP(nl_cache_freep) struct nl_cache *cache = NULL;
	int master = (int)if_nametoindex(bridge);
	int r;

	if (!bridged_frames_pass_ip_hooks())
		return 0;
	/* As the bridge shows its ports: with their flags. */
	r = rtnl_link_alloc_cache(socket->sk, AF_BRIDGE, &cache);
	if (r < 0)
		return link_fail(err, r, "list ports of", bridge);
	for (struct nl_object *o = nl_cache_get_first(cache); o && r == 0;
		o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;

		if (rtnl_link_get_master(link) == master &&
			link_named_as_guest(rtnl_link_get_name(link)) &&
			!(rtnl_link_bridge_get_flags(link) & RTNL_BRIDGE_HAIRPIN_MODE))
			r = set_hairpin(socket, rtnl_link_get_ifindex(link), changes, err);
	}
	return r;
}

static const struct {
	const char *format; /* of the path below /proc/sys/net, from the bridge's name */
	const char *value;
	bool optional; /* absent where the kernel was built without IPv6 */
} g_sysctls[] = {
	{"ipv4/ip_forward", "1", false},
	{"ipv4/conf/%s/route_localnet", "1", false},
	{"ipv6/conf/%s/disable_ipv6", "1", true},
};

static int sysctl_apply(const char *path, const char *value, bool optional, unsigned *changes)
{
	AUTOFREE char *now = NULL;
	int r = file_read(path, 64, &now, NULL);

	if (r == -ENOENT && optional)
		return 0;
	if (r < 0)
		return r;
	if (strncmp(now, value, strlen(value)) == 0 && now[strlen(value)] == '\n')
		return 0;
	r = file_write(path, value);
	*changes += r >= 0;
	return r;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int sysctl_path(char *buf, size_t size, const char *format, const char *bridge)
{
	char name[128];

	snprintf(name, sizeof(name), format, bridge);
	return file_path(buf, size, "/proc/sys/net/%s", name);
}
#pragma GCC diagnostic pop

int link_sysctls_apply(const char *bridge, unsigned *changes, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_sysctls); i++) {
		char path[192];
		int r = sysctl_path(path, sizeof(path), g_sysctls[i].format, bridge);

		if (r == 0)
			r = sysctl_apply(path, g_sysctls[i].value, g_sysctls[i].optional, changes);
		if (r < 0)
			return err_errno(err, r, "cannot set %s to %s", path, g_sysctls[i].value);
	}
	return 0;
}
