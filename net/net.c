/* The network as the agent sees it: bridge, firewall, connection tracking, DHCP and names in the
 * right order. Two locks, so that publishing a port never waits for a daemon to start: `setup` for
 * links and dnsmasq, `filter` for the firewall's and conntrack's sockets; taken in that order. */
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/conntrack.h"
#include "net/dhcp.h"
#include "net/docker_user.h"
#include "net/firewall.h"
#include "net/link.h"
#include "net/listeners.h"
#include "net/nfnetlink.h"
#include "net/rate.h"
#include "net/stats.h"
#include "net/wanted.h"

struct net {
	struct net_config config; /* bridge and domain are copies */
	struct firewall_net where;
	pthread_mutex_t setup;
	struct link_socket *links;
	struct rates *rates;
	struct dhcp *dhcp;
	struct docker_user *docker_user;
	struct err obstacle; /* what docker_user_apply failed with last */
	int watch;	     /* an epoll of all that tells of changed rules; -1: not opened */
	pthread_mutex_t filter;
	const struct firewall_ops *ops;
	struct firewall *firewall;
	struct nfnl conntrack;
	struct wanted wanted; /* guests: changed with both locks held; ports: with `filter` */
};

static void unlockp(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

/* Holds a lock to the end of the enclosing block. */
#define HOLD(lock)                                                                                 \
	CLEANUP(unlockp) pthread_mutex_t *held_##lock = &net->lock;                                \
	pthread_mutex_lock(held_##lock)

static bool only(const char *text, const char *characters)
{
	return text[0] && text[strspn(text, characters)] == '\0';
}

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

/* These go into configuration files and paths. */
static int check_config(const struct net_config *config, struct err *err)
{
	if (!only(config->bridge, NAME_CHARACTERS) || strlen(config->bridge) > NET_LINK_NAME_MAX ||
		config->bridge[0] == '.' || config->bridge[0] == '-')
		return err_set(err, ERR_INVALID, "net.bridge",
			"%s is no name for a bridge: at most %d letters, digits, '-', '_' and '.'",
			config->bridge, NET_LINK_NAME_MAX);
	if (config->prefix < 8 || config->prefix > 30)
		return err_set(err, ERR_INVALID, "net.prefix",
			"a prefix of 8 to 30 is needed, not %u", config->prefix);
	if (config->domain && !only(config->domain, NAME_CHARACTERS))
		return err_set(
			err, ERR_INVALID, "net.domain", "%s is no DNS domain", config->domain);
	if (config->dhcp && !config->run_dir)
		return err_set(err, ERR_INVALID, "run_dir", "DHCP needs a run_dir");
	if (config->dhcp && strpbrk(config->run_dir, "\n ,\"\\#"))
		return err_set(err, ERR_INVALID, "run_dir",
			"%s cannot be written into dnsmasq's configuration", config->run_dir);
	return 0;
}

static int open_parts(struct net *net, const struct net_config *config, struct err *err)
{
	int r = link_open(&net->links, err);

	if (r == 0)
		r = rates_open(config->gateway, &net->rates, err);
	if (r == 0)
		r = net->ops->open(&net->where, &net->firewall, err);
	if (r == 0)
		r = nfnl_open(&net->conntrack, err);
	if (r == 0)
		r = docker_user_open(config->bridge, &net->docker_user, err);
	if (r == 0 && config->run_dir)
		r = dhcp_open(config, &net->dhcp, err);
	return r;
}

int net_open(const struct net_config *config, struct net **ret, struct err *err)
{
	struct net *net;
	int r = check_config(config, err);

	if (r < 0)
		return r;
	net = calloc(1, sizeof(*net));
	if (!net)
		return err_errno(err, ENOMEM, "cannot open the network");
	net->where = (struct firewall_net){.gateway = config->gateway, .prefix = config->prefix};
	memcpy(net->where.bridge, config->bridge, strlen(config->bridge));
	net->config = (struct net_config){.bridge = net->where.bridge,
		.gateway = config->gateway,
		.prefix = config->prefix,
		.dhcp = config->dhcp,
		.docker_user = config->docker_user};
	net->watch = -1;
	net->ops = &firewall_nft;
	pthread_mutex_init(&net->setup, NULL);
	pthread_mutex_init(&net->filter, NULL);
	r = open_parts(net, config, err);
	if (r < 0) {
		net_close(net);
		return r;
	}
	*ret = net;
	return 0;
}

struct net *net_close(struct net *net)
{
	if (!net)
		return NULL;
	wanted_finish(&net->wanted);
	fd_close(net->watch);
	docker_user_close(net->docker_user);
	dhcp_close(net->dhcp);
	nfnl_close(&net->conntrack);
	net->ops->close(net->firewall);
	rates_close(net->rates);
	link_close(net->links);
	pthread_mutex_destroy(&net->filter);
	pthread_mutex_destroy(&net->setup);
	free(net);
	return NULL;
}

static int set_wanted(struct net *net, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count, struct err *err)
{
	HOLD(filter);

	if (wanted_set(&net->wanted, guests, guests_count, ports, ports_count) < 0)
		return err_errno(err, ENOMEM, "cannot set up the network");
	return 0;
}

static int apply_firewall(struct net *net, unsigned *changes, struct err *err)
{
	AUTOFREE struct net_port *ports = NULL;
	size_t count;

	HOLD(filter);
	ports = wanted_list_ports(&net->wanted, &count);
	if (!ports)
		return err_errno(err, ENOMEM, "cannot set up the network");
	return net->ops->apply(net->firewall, net->wanted.guests, net->wanted.guests_count, ports,
		count, changes, err);
}

static int apply_dhcp(struct net *net, unsigned *changes, struct err *err)
{
	if (!net->dhcp)
		return 0;
	return net->config.dhcp ? dhcp_apply(net->dhcp, net->wanted.guests,
					  net->wanted.guests_count, changes, err)
				: dhcp_stop(net->dhcp, err);
}

/* Has Docker let pass the guests that there are. What stops that is no reason to do without all
 * else: it is kept, for net_obstacle. `setup` is held. */
static void apply_docker_user(struct net *net, unsigned *changes)
{
	bool pass = net->config.docker_user && net->wanted.guests_count > 0;
	struct err err = {0};

	if (docker_user_apply(net->docker_user, pass, changes, &err) < 0)
		log_warning("net.docker_user", "error=%s", LOG_Q(err.message));
	net->obstacle = err;
}

/* Makes it what is wanted; `setup` is held, so the guests stay what they are. */
static int make_so(struct net *net, unsigned *ret_changes, struct err *err)
{
	unsigned changes = 0;
	int r;

	r = link_bridge_apply(net->links, &net->config, &changes, err);
	fault_point("net.apply.bridge");
	if (r == 0)
		r = apply_firewall(net, &changes, err);
	fault_point("net.apply.firewall");
	/* Only behind the rules: they keep guests from the node's loopback. */
	if (r == 0)
		r = link_sysctls_apply(net->config.bridge, &changes, err);
	if (r == 0)
		r = link_remove_strays(net->links, net->config.bridge, net->wanted.guests,
			net->wanted.guests_count, &changes, err);
	if (r == 0)
		r = link_hairpin_all(net->links, net->config.bridge, &changes, err);
	fault_point("net.apply.links");
	if (r == 0)
		r = rates_apply_all(
			net->rates, net->wanted.guests, net->wanted.guests_count, &changes, err);
	if (r == 0)
		r = apply_dhcp(net, &changes, err);
	if (r == 0)
		apply_docker_user(net, &changes);
	if (r == 0 && ret_changes)
		*ret_changes = changes;
	return r;
}

int net_apply(struct net *net, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count, unsigned *ret_changes, struct err *err)
{
	int r;

	HOLD(setup);
	r = set_wanted(net, guests, guests_count, ports, ports_count, err);
	return r < 0 ? r : make_so(net, ret_changes, err);
}

int net_repair(struct net *net, unsigned *ret_changes, struct err *err)
{
	HOLD(setup);

	return make_so(net, ret_changes, err);
}

bool net_obstacle(struct net *net, struct err *ret)
{
	HOLD(setup);

	*ret = net->obstacle;
	return ret->code != ERR_OK;
}

static int watch_also(int watch, int fd, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};

	return fd < 0 ? fd
	       : epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) < 0
		       ? err_errno(err, errno, "cannot watch the firewall")
		       : 0;
}

int net_watch_fd(struct net *net, struct err *err)
{
	AUTOCLOSE int watch = net->watch < 0 ? epoll_create1(EPOLL_CLOEXEC) : -1;
	int r = 0;

	if (net->watch >= 0)
		return net->watch;
	if (watch < 0)
		return err_errno(err, errno, "cannot watch the firewall");
	if (net->ops->watch_fd)
		r = watch_also(watch, net->ops->watch_fd(net->firewall, err), err);
	if (r == 0)
		r = watch_also(watch, docker_user_watch_fd(net->docker_user), err);
	return r < 0 ? r : (net->watch = TAKE_FD(watch));
}

bool net_watch_dispatch(struct net *net)
{
	bool changed = docker_user_watch_dispatch(net->docker_user);

	return (net->ops->watch_dispatch && net->ops->watch_dispatch(net->firewall)) || changed;
}

int net_teardown(struct net *net, struct err *err)
{
	unsigned changes = 0;
	int r;

	HOLD(setup);
	r = net->dhcp ? dhcp_stop(net->dhcp, err) : 0;
	fault_point("net.teardown.dhcp");
	if (r == 0)
		r = link_remove_strays(net->links, net->config.bridge, NULL, 0, &changes, err);
	if (r == 0)
		r = rates_apply_all(net->rates, NULL, 0, &changes, err);
	if (r == 0)
		r = docker_user_apply(net->docker_user, false, &changes, err);
	/* The bridge, with its route_localnet, goes before the rules that guard it. */
	if (r == 0)
		r = link_bridge_remove(net->links, &net->config, err);
	fault_point("net.teardown.bridge");
	if (r < 0)
		return r;
	HOLD(filter);
	return net->ops->teardown(net->firewall, err);
}

static int allow(struct net *net, const struct net_guest *guest, struct err *err)
{
	HOLD(filter);

	if (wanted_put_guest(&net->wanted, guest) < 0)
		return err_errno(err, ENOMEM, "cannot attach guest %s", guest->name);
	return net->ops->allow(net->firewall, guest, err);
}

static int forbid(struct net *net, const struct net_guest *guest, struct err *err)
{
	HOLD(filter);

	wanted_drop_guest(&net->wanted, guest->id);
	return net->ops->forbid(net->firewall, guest, err);
}

static int cut_guest(struct net *net, const struct net_guest *guest, struct err *err)
{
	HOLD(filter);

	return conntrack_cut_guest(&net->conntrack, guest->address, err);
}

int net_attach(struct net *net, const struct net_guest *guest, struct err *err)
{
	int r = 0;

	HOLD(setup);
	if (net->config.dhcp)
		r = dhcp_add(net->dhcp, guest, err);
	fault_point("net.attach.dhcp");
	if (r == 0)
		r = allow(net, guest, err);
	if (r == 0 && net->wanted.guests_count == 1)
		apply_docker_user(net, &(unsigned){0});
	return r;
}

/* Whether there may be something to set or to take away: most guests have no limits, and are not
 * to pay for a look at their link. */
static bool want_rates(struct net *net, const struct net_guest *guest)
{
	struct net_guest *known;
	bool limited = guest->ingress > 0 || guest->egress > 0;

	HOLD(filter);
	known = wanted_find_guest(&net->wanted, guest->id);
	if (!known)
		return limited;
	limited |= known->ingress > 0 || known->egress > 0;
	known->ingress = guest->ingress;
	known->egress = guest->egress;
	return limited;
}

int net_link_ready(struct net *net, const struct net_guest *guest, struct err *err)
{
	int r;

	HOLD(setup);
	r = link_hairpin_guest(net->links, guest->id, err);
	if (r == 0 && want_rates(net, guest))
		r = rates_apply_guest(net->rates, guest, err);
	return r;
}

int net_detach(struct net *net, const struct net_guest *guest, struct err *err)
{
	int r;

	HOLD(setup);
	r = forbid(net, guest, err);
	fault_point("net.detach.firewall");
	if (r == 0)
		r = link_remove_guest(net->links, guest->id, err);
	if (r == 0)
		r = rates_remove_guest(net->rates, guest->id, err);
	if (r == 0)
		r = cut_guest(net, guest, err);
	fault_point("net.detach.link");
	if (r == 0 && net->config.dhcp)
		r = dhcp_remove(net->dhcp, guest, err);
	if (r == 0 && net->wanted.guests_count == 0)
		apply_docker_user(net, &(unsigned){0});
	return r;
}

static int cut_port(
	struct net *net, enum port_proto proto, uint16_t host, bool strays, struct err *err)
{
	return conntrack_cut_port(
		&net->conntrack, proto, host, net->config.gateway, net->config.prefix, strays, err);
}

int net_publish(struct net *net, const struct net_port *port, bool flush, struct err *err)
{
	bool udp = port->proto == PORT_UDP;
	int r;

	if (!firewall_net_has(&net->where, port->address))
		return err_set(err, ERR_INVALID, NULL,
			"a port cannot lead outside the network of %s", net->config.bridge);
	HOLD(filter);
	if (wanted_put_port(&net->wanted, port) < 0)
		return err_errno(err, ENOMEM, "cannot publish a port");
	r = net->ops->publish(net->firewall, port, err);
	fault_point("net.publish.firewall");
	if (r < 0 || !(flush || udp))
		return r;
	return cut_port(net, port->proto, port->host, udp, err);
}

int net_unpublish(
	struct net *net, enum port_proto proto, uint16_t host, bool flush, struct err *err)
{
	int r;

	HOLD(filter);
	wanted_drop_port(&net->wanted, proto, host);
	r = net->ops->unpublish(net->firewall, proto, host, err);
	fault_point("net.unpublish.firewall");
	return r < 0 || !flush ? r : cut_port(net, proto, host, false, err);
}

int net_stats(struct net *net, struct net_guest_stats **ret, size_t *ret_count, struct err *err)
{
	return stats_gather(net->config.bridge, ret, ret_count, err);
}

int net_port_available(
	struct net *net, enum port_proto proto, uint16_t host, const char *field, struct err *err)
{
	(void)net;
	return listeners_check(proto, host, field, err);
}
