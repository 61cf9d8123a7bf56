/* Published ports: who reaches whom, how, and what becomes of what is under way. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "net/net.h"
#include "world.h"

#define PORT 40000

static struct net_port port_to(
	const struct world *world, enum port_proto proto, uint16_t host, int guest)
{
	return (struct net_port){
		.proto = proto, .host = host, .address = world->guests[guest].address, .guest = 80};
}

/* Two guests that listen on port 80. */
struct guests {
	int tcp[2], udp[2];
};

static struct guests two_guests(struct world *world)
{
	struct guests guests;

	for (int i = 0; i < 2; i++) {
		world_add_guest(world, i, true);
		assert_ok(net_attach(world->net, &world->guests[i], &err));
		assert_ok(net_link_ready(world->net, &world->guests[i], &err));
		guests.tcp[i] = listen_in(world->guest_ns[i], SOCK_STREAM, ANY_ADDRESS, 80);
		guests.udp[i] = listen_in(world->guest_ns[i], SOCK_DGRAM, ANY_ADDRESS, 80);
	}
	return guests;
}

static void close_guests(struct guests *guests)
{
	for (int i = 0; i < 2; i++) {
		close(guests->tcp[i]);
		close(guests->udp[i]);
	}
}

static void publish(struct world *world, enum port_proto proto, int guest, bool flush)
{
	struct net_port port = port_to(world, proto, PORT, guest);

	assert_ok(net_publish(world->net, &port, flush, &err));
}

static void a_published_port_is_reached_from_everywhere(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	const struct {
		const char *from;
		int ns;
		uint32_t to;
	} ways[] = {
		{"a client", world->client, NODE_ADDRESS},
		{"the node at its address", world->node, NODE_ADDRESS},
		{"the node at the bridge", world->node, GATEWAY},
		{"the node at loopback", world->node, LOOPBACK},
		{"the guest itself", world->guest_ns[0], NODE_ADDRESS},
		{"the guest itself at the gateway", world->guest_ns[0], GATEWAY},
		{"another guest", world->guest_ns[1], NODE_ADDRESS},
		{"another guest at the gateway", world->guest_ns[1], GATEWAY},
	};

	publish(world, PORT_TCP, 0, false);
	publish(world, PORT_UDP, 0, false);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		AUTOCLOSE int udp = connect_in(ways[i].ns, SOCK_DGRAM, ways[i].to, PORT);

		if (!reaches(ways[i].ns, ways[i].to, PORT, guests.tcp[0]))
			fail_msg("TCP does not reach the guest from %s", ways[i].from);
		if (!udp_reaches(udp, guests.udp[0]))
			fail_msg("UDP does not reach the guest from %s", ways[i].from);
	}
}

/* Where br_netfilter is loaded, bridged frames pass the IP hooks by default: the test above shows
 * that. Without it there is nothing to turn off, and the two are the same. */
static void it_is_so_too_where_bridged_frames_pass_no_ip_hooks(void **state)
{
	run("! [ -e /proc/sys/net/bridge ] || echo 0 > "
	    "/proc/sys/net/bridge/bridge-nf-call-iptables");
	a_published_port_is_reached_from_everywhere(state);
}

static void an_unpublished_port_is_refused(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);

	assert_int_equal(connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, PORT), -ECONNREFUSED);
	publish(world, PORT_UDP, 0, false);
	assert_int_equal(connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, PORT), -ECONNREFUSED);
	publish(world, PORT_TCP, 0, false);
	assert_true(reaches(world->client, NODE_ADDRESS, PORT, guests.tcp[0]));
	assert_ok(net_unpublish(world->net, PORT_TCP, PORT, true, &err));
	assert_int_equal(connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, PORT), -ECONNREFUSED);
	assert_ok(net_unpublish(world->net, PORT_TCP, PORT, true, &err));
}

/* A connection of the client's to what is behind a port. */
struct link {
	int client, server;
};

static void close_link(struct link *link)
{
	fd_close(link->client);
	fd_close(link->server);
}

static struct link linked(const struct world *world, uint16_t port, int listener)
{
	struct link link = {.client = connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, port)};

	link.server = accept_on(listener);
	assert_talks(link.client, link.server);
	return link;
}

static void a_switch_keeps_connections_and_leads_new_ones_elsewhere(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);

	publish(world, PORT_TCP, 0, false);

	CLEANUP(close_link) struct link link = linked(world, PORT, guests.tcp[0]);

	publish(world, PORT_TCP, 1, false);
	assert_talks(link.client, link.server);
	assert_talks(link.server, link.client);
	assert_true(reaches(world->client, NODE_ADDRESS, PORT, guests.tcp[1]));
	assert_talks(link.client, link.server);
	publish(world, PORT_TCP, 1, false);
	assert_true(reaches(world->client, NODE_ADDRESS, PORT, guests.tcp[1]));
}

static void assert_cut(int fd)
{
	char byte;

	send(fd, "x", 1, MSG_NOSIGNAL);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void a_switch_with_flush_cuts_connections(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);

	publish(world, PORT_TCP, 0, false);

	CLEANUP(close_link) struct link link = linked(world, PORT, guests.tcp[0]);

	publish(world, PORT_TCP, 1, true);
	assert_cut(link.client);
}

static void unpublishing_cuts_connections_and_no_others(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	struct net_port other = port_to(world, PORT_TCP, PORT + 1, 0);
	AUTOCLOSE int listener = listen_in(world->client, SOCK_STREAM, ANY_ADDRESS, PORT);
	AUTOCLOSE int out = -1;
	AUTOCLOSE int out_server = -1;

	publish(world, PORT_TCP, 0, false);
	assert_ok(net_publish(world->net, &other, false, &err));

	CLEANUP(close_link) struct link link = linked(world, PORT, guests.tcp[0]);
	CLEANUP(close_link) struct link other_link = linked(world, PORT + 1, guests.tcp[0]);

	/* The same port number, but somebody else's and outwards. */
	out = connect_in(world->guest_ns[0], SOCK_STREAM, CLIENT_ADDRESS, PORT);
	out_server = accept_on(listener);
	assert_ok(net_unpublish(world->net, PORT_TCP, PORT, true, &err));
	assert_cut(link.client);
	assert_talks(other_link.client, other_link.server);
	assert_talks(out, out_server);
	assert_talks(out_server, out);
}

static void udp_flows_follow_a_publish_a_switch_and_an_unpublish(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	AUTOCLOSE int client = connect_in(world->client, SOCK_DGRAM, NODE_ADDRESS, PORT);
	char byte;

	/* The kernel now tracks a flow to the node itself. */
	send(client, "x", 1, 0);
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	publish(world, PORT_UDP, 0, false);
	assert_true(udp_reaches(client, guests.udp[0]));
	publish(world, PORT_UDP, 1, false);
	assert_true(udp_reaches(client, guests.udp[1]));
	assert_ok(net_unpublish(world->net, PORT_UDP, PORT, true, &err));
	assert_false(udp_reaches_within(client, guests.udp[1], NOTHING_MS));
}

static void a_guest_reaches_outside_with_the_nodes_address(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	AUTOCLOSE int listener = listen_in(world->client, SOCK_STREAM, ANY_ADDRESS, 8080);
	AUTOCLOSE int udp = listen_in(world->client, SOCK_DGRAM, ANY_ADDRESS, 5353);
	AUTOCLOSE int udp_client = connect_in(world->guest_ns[1], SOCK_DGRAM, CLIENT_ADDRESS, 5353);

	/* The client has no route to guests: only the node's address can be answered. */
	assert_true(reaches(world->guest_ns[0], CLIENT_ADDRESS, 8080, listener));
	assert_true(udp_reaches(udp_client, udp));
}

static void a_guest_is_reached_from_outside_by_published_ports_only(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	AUTOCLOSE int udp = -1;

	run_in(world->client, "ip route add 10.5.0.0/16 via 192.0.2.1");
	udp = connect_in(world->client, SOCK_DGRAM, world->guests[0].address, 80);
	assert_false(udp_reaches_within(udp, guests.udp[0], NOTHING_MS));
	assert_true(reaches(world->node, world->guests[0].address, 80, guests.tcp[0]));
	assert_true(reaches(world->guest_ns[1], world->guests[0].address, 80, guests.tcp[0]));
}

static void a_guest_cannot_reach_the_nodes_loopback(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	AUTOCLOSE int udp = listen_in(world->node, SOCK_DGRAM, LOOPBACK, 5000);
	AUTOCLOSE int client = -1;

	/* What a guest with root inside would do. */
	run_in(world->guest_ns[0], "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; "
				   "ip route del local 127.0.0.0/8 dev lo table local; "
				   "ip addr del 127.0.0.1/8 dev lo; "
				   "ip route add 127.0.0.0/8 via 10.5.0.1");
	client = connect_in(world->guest_ns[0], SOCK_DGRAM, LOOPBACK, 5000);
	assert_true(client >= 0);
	assert_false(udp_reaches_within(client, udp, NOTHING_MS));
}

static void a_port_outside_the_network_is_refused(void **state)
{
	struct world *world = *state;
	struct net_port port = {
		.proto = PORT_TCP, .host = PORT, .address = 0x0a060002, .guest = 80};
	struct err err = {0};

	assert_true(net_publish(world->net, &port, false, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
}

static void a_detached_guests_flows_are_cut(void **state)
{
	struct world *world = *state;
	CLEANUP(close_guests) struct guests guests = two_guests(world);
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;
	AUTOCLOSE int client = -1;
	AUTOCLOSE int server = -1;

	publish(world, PORT_TCP, 0, false);
	client = connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, PORT);
	server = accept_on(guests.tcp[0]);
	assert_talks(client, server);
	before = output_of("conntrack -L 2>/dev/null");
	assert_non_null(strstr(before, "src=10.5.0.2"));
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	after = output_of("conntrack -L 2>/dev/null");
	assert_null(strstr(after, "10.5.0.2"));
	assert_ok(net_detach(world->net, &world->guests[0], &err));
}

static void a_port_that_somebody_listens_on_is_not_available(void **state)
{
	struct world *world = *state;
	AUTOCLOSE int tcp = listen_in(world->node, SOCK_STREAM, ANY_ADDRESS, 40001);
	AUTOCLOSE int local = listen_in(world->node, SOCK_STREAM, LOOPBACK, 40002);
	AUTOCLOSE int udp = listen_in(world->node, SOCK_DGRAM, ANY_ADDRESS, 40003);
	AUTOCLOSE int elsewhere = listen_in(world->client, SOCK_STREAM, ANY_ADDRESS, 40004);
	AUTOCLOSE int out = -1;
	const struct {
		enum port_proto proto;
		uint16_t port;
		bool available;
	} cases[] = {
		{PORT_TCP, 40001, false},
		{PORT_UDP, 40001, true},
		{PORT_TCP, 40002, false},
		{PORT_TCP, 40003, true},
		{PORT_UDP, 40003, false},
		{PORT_TCP, 40004, true},
		{PORT_TCP, 40005, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};
		int r = net_port_available(
			world->net, cases[i].proto, cases[i].port, "ports[0].host", &err);

		assert_int_equal(r == 0, cases[i].available);
		if (r < 0) {
			assert_int_equal(err.code, ERR_CONFLICT);
			assert_string_equal(err.field, "ports[0].host");
		}
	}
}

static void a_listener_for_ipv6_alone_does_not_take_the_port(void **state)
{
	struct world *world = *state;
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = __builtin_bswap16(PORT)};

	for (int only = 0; only <= 1; only++) {
		AUTOCLOSE int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct err err = {0};

		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(
			net_port_available(world->net, PORT_TCP, PORT, "host", &err) == 0, only);
	}
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(a_published_port_is_reached_from_everywhere),
		TEST(it_is_so_too_where_bridged_frames_pass_no_ip_hooks),
		TEST(an_unpublished_port_is_refused),
		TEST(a_switch_keeps_connections_and_leads_new_ones_elsewhere),
		TEST(a_switch_with_flush_cuts_connections),
		TEST(unpublishing_cuts_connections_and_no_others),
		TEST(udp_flows_follow_a_publish_a_switch_and_an_unpublish),
		TEST(a_guest_reaches_outside_with_the_nodes_address),
		TEST(a_guest_is_reached_from_outside_by_published_ports_only),
		TEST(a_guest_cannot_reach_the_nodes_loopback),
		TEST(a_port_outside_the_network_is_refused),
		TEST(a_detached_guests_flows_are_cut),
		TEST(a_port_that_somebody_listens_on_is_not_available),
		TEST(a_listener_for_ipv6_alone_does_not_take_the_port),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
	return world_main(tests);
}
