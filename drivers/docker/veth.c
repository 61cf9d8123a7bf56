/* A container's link. */
#include "drivers/docker/veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/inside/link.h"

#define INSIDE "eth0"

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(struct nl_addr *, nl_addr_put)
DEFINE_CLEANUP(struct rtnl_link *, rtnl_link_put)
DEFINE_CLEANUP(struct rtnl_addr *, rtnl_addr_put)
DEFINE_CLEANUP(struct rtnl_route *, rtnl_route_put)

#define AUTOLINK CLEANUP(rtnl_link_putp)
#define AUTOADDR CLEANUP(nl_addr_putp)

static int failed(struct err *err, int r, const char *what, const char *name)
{
	return err_set(err, ERR_DRIVER, NULL, "cannot %s %s: %s", what, name, nl_geterror(r));
}

static struct nl_sock *connect_netlink(void)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (sk && nl_connect(sk, NETLINK_ROUTE) < 0) {
		nl_socket_free(sk);
		return NULL;
	}
	return sk;
}

static int no_netlink(struct err *err)
{
	return err_set(err, ERR_INTERNAL, NULL, "cannot open rtnetlink");
}

/* --- Inside ----------------------------------------------------------------------------------- */

static bool is_gone(int r)
{
	return r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND;
}

static int add_address(struct nl_sock *sk, const struct driver_guest *g, struct rtnl_link *link)
{
	uint32_t address = htonl(g->net.address);
	AUTOADDR struct nl_addr *local = nl_addr_build(AF_INET, &address, sizeof(address));
	CLEANUP(rtnl_addr_putp) struct rtnl_addr *addr = rtnl_addr_alloc();
	int r;

	if (!local || !addr)
		return -NLE_NOMEM;
	nl_addr_set_prefixlen(local, (int)g->net.prefix);
	rtnl_addr_set_ifindex(addr, rtnl_link_get_ifindex(link));
	r = rtnl_addr_set_local(addr, local);
	if (r == 0)
		r = rtnl_addr_add(sk, addr, NLM_F_CREATE);
	return r == -NLE_EXIST ? 0 : r;
}

static int add_route(struct nl_sock *sk, const struct driver_guest *g, struct rtnl_link *link)
{
	uint32_t gateway = htonl(g->net.gateway), any = 0;
	AUTOADDR struct nl_addr *via = nl_addr_build(AF_INET, &gateway, sizeof(gateway));
	AUTOADDR struct nl_addr *to = nl_addr_build(AF_INET, &any, sizeof(any));
	CLEANUP(rtnl_route_putp) struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	int r;

	if (!via || !to || !route || !hop) {
		if (hop)
			rtnl_route_nh_free(hop);
		return -NLE_NOMEM;
	}
	nl_addr_set_prefixlen(to, 0);
	rtnl_route_set_dst(route, to);
	rtnl_route_nh_set_ifindex(hop, rtnl_link_get_ifindex(link));
	rtnl_route_nh_set_gateway(hop, via);
	rtnl_route_add_nexthop(route, hop);
	r = rtnl_route_add(sk, route, NLM_F_CREATE);
	return r == -NLE_EXIST ? 0 : r;
}

static int bring_up(struct nl_sock *sk, struct rtnl_link *link)
{
	AUTOLINK struct rtnl_link *change = rtnl_link_alloc();

	if (!change)
		return -NLE_NOMEM;
	rtnl_link_set_flags(change, IFF_UP);
	return rtnl_link_change(sk, link, change, 0);
}

static int configure(const struct driver_guest *g)
{
	CLEANUP(nl_socket_freep) struct nl_sock *sk = connect_netlink();
	AUTOLINK struct rtnl_link *link = NULL;
	int r = sk ? rtnl_link_get_kernel(sk, 0, INSIDE, &link) : -NLE_NOMEM;

	if (r == 0)
		r = add_address(sk, g, link);
	if (r == 0)
		r = bring_up(sk, link);
	if (r == 0 && g->net.gateway)
		r = add_route(sk, g, link);
	return r;
}

/* In a process of its own: who went there does not come back. */
static int configure_inside(const struct driver_guest *g, int namespace, struct err *err)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(setns(namespace, CLONE_NEWNET) < 0 ? NLE_FAILURE : -configure(g));
	if (child < 0)
		return err_errno(err, errno, "cannot enter the container's network");
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return failed(err, WIFEXITED(status) ? -WEXITSTATUS(status) : -NLE_FAILURE,
			"configure", INSIDE " in the container");
	return 0;
}

/* --- The pair --------------------------------------------------------------------------------- */

static int find_bridge(
	struct nl_sock *sk, const char *name, struct rtnl_link **ret, struct err *err)
{
	int r = rtnl_link_get_kernel(sk, 0, name, ret);

	if (is_gone(r))
		return err_set(err, ERR_DRIVER, "net.bridge", "there is no bridge %s", name);
	return r < 0 ? failed(err, r, "look up", name) : 0;
}

static int describe_inside(struct rtnl_link *peer, const struct driver_guest *g, int namespace)
{
	AUTOADDR struct nl_addr *mac = nl_addr_build(AF_LLC, g->net.mac, sizeof(g->net.mac));

	if (!mac)
		return -NLE_NOMEM;
	rtnl_link_set_name(peer, INSIDE);
	rtnl_link_set_addr(peer, mac);
	rtnl_link_set_ns_fd(peer, namespace);
	return 0;
}

static int add_pair(struct nl_sock *sk, const struct driver_guest *g, int namespace, unsigned mtu)
{
	AUTOLINK struct rtnl_link *link = rtnl_link_veth_alloc();
	struct rtnl_link *peer = link ? rtnl_link_veth_get_peer(link) : NULL;
	int r = peer ? describe_inside(peer, g, namespace) : -NLE_NOMEM;

	if (r == 0) {
		rtnl_link_set_name(link, g->net.link);
		rtnl_link_set_mtu(link, mtu);
		rtnl_link_set_mtu(peer, mtu);
		r = rtnl_link_add(sk, link, NLM_F_CREATE | NLM_F_EXCL);
	}
	/* The pair has taken a reference of its own. */
	if (peer)
		rtnl_link_put(peer);
	return r;
}

/* On the bridge, and up: in one step, so that it is never there without its bridge's rules. */
static int join_bridge(struct nl_sock *sk, const char *name, int bridge, struct err *err)
{
	AUTOLINK struct rtnl_link *link = NULL;
	AUTOLINK struct rtnl_link *change = rtnl_link_alloc();
	int r = change ? rtnl_link_get_kernel(sk, 0, name, &link) : -NLE_NOMEM;

	if (r == 0) {
		rtnl_link_set_master(change, bridge);
		rtnl_link_set_flags(change, IFF_UP);
		r = rtnl_link_change(sk, link, change, 0);
	}
	return r < 0 ? failed(err, r, "bring up", name) : 0;
}

/* What an attempt that was cut short has left may lead anywhere: it goes. */
static int make_pair(struct nl_sock *sk, const struct driver_guest *g, int namespace, unsigned mtu,
	struct err *err)
{
	int r = link_remove(g->net.link, err);

	if (r < 0)
		return r;
	fault_point("driver.docker.link.removed");
	r = add_pair(sk, g, namespace, mtu);
	fault_point("driver.docker.link.added");
	return r < 0 ? failed(err, r, "make the link", g->net.link) : 0;
}

int veth_attach(const struct driver_guest *g, int namespace, struct err *err)
{
	CLEANUP(nl_socket_freep) struct nl_sock *sk = connect_netlink();
	AUTOLINK struct rtnl_link *bridge = NULL;
	int r;

	if (!g->net.bridge)
		return 0;
	if (!sk)
		return no_netlink(err);
	r = find_bridge(sk, g->net.bridge, &bridge, err);
	if (r == 0)
		r = make_pair(sk, g, namespace, rtnl_link_get_mtu(bridge), err);
	if (r == 0)
		r = join_bridge(sk, g->net.link, rtnl_link_get_ifindex(bridge), err);
	return r == 0 ? configure_inside(g, namespace, err) : r;
}
