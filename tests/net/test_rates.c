/* Rates of guests, measured; their repair; counters of links. Guests here exchange data with the
 * client outside, since what the node itself says to them has a part of its own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "net/net.h"
#include "net/rate.h"
#include "world.h"

#define PORT	   40000
#define MB	   UINT64_C(1000000)
#define SETTLE_MS  400 /* in which bursts and full queues even out */
#define MEASURE_MS 1200

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Says how fast a guest may be, and that its link is there. */
static void set_rates(struct world *world, int i, uint64_t ingress, uint64_t egress)
{
	world->guests[i].ingress = ingress;
	world->guests[i].egress = egress;
	assert_ok(net_link_ready(world->net, &world->guests[i], &err));
}

static struct net_port port_of(const struct world *world, int guest)
{
	return (struct net_port){.proto = PORT_TCP,
		.host = (uint16_t)(PORT + guest),
		.address = world->guests[guest].address,
		.guest = 80};
}

/* --- Measuring ------------------------------------------------------------------------------- */

/* Bytes that one end sends as fast as it can and the other receives. */
struct flow {
	int from, to;
	uint64_t bytes;
};

static void pump(struct flow *flow, char *buf, size_t size)
{
	ssize_t n;

	(void)send(flow->from, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while ((n = recv(flow->to, buf, size, MSG_DONTWAIT)) > 0)
		flow->bytes += (uint64_t)n;
}

static void pump_all(struct flow *flows, size_t count, int ms)
{
	static char buf[65536];
	struct pollfd fds[16];
	int64_t end = now_ms() + ms;

	for (size_t i = 0; i < count; i++) {
		fds[2 * i] = (struct pollfd){.fd = flows[i].from, .events = POLLOUT};
		fds[2 * i + 1] = (struct pollfd){.fd = flows[i].to, .events = POLLIN};
	}
	while (now_ms() < end) {
		poll(fds, 2 * count, 20);
		for (size_t i = 0; i < count; i++)
			pump(&flows[i], buf, sizeof(buf));
	}
}

/* Bytes a second of each flow, side by side. */
static void measure(struct flow *flows, size_t count)
{
	int64_t begin = now_ms();

	for (size_t i = 0; i < count; i++)
		flows[i].bytes = 0;
	pump_all(flows, count, MEASURE_MS);
	for (size_t i = 0; i < count; i++)
		flows[i].bytes = flows[i].bytes * 1000 / (uint64_t)(now_ms() - begin);
}

static double ratio(const struct flow *flow, uint64_t rate)
{
	return (double)flow->bytes / (double)rate;
}

static bool all_near(const struct flow *flows, const uint64_t *rates, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ratio(&flows[i], rates[i]) < 0.7 || ratio(&flows[i], rates[i]) > 1.2)
			return false;
	return true;
}

/* Each flow is near its rate once it has settled. TCP loses packets while it finds its speed, and
 * hands out what came after a lost one only later: such a moment is not what is measured. */
static void assert_near(struct flow *flows, const uint64_t *rates, size_t count)
{
	pump_all(flows, count, SETTLE_MS);
	for (int i = 0; i < 20; i++) {
		measure(flows, count);
		if (all_near(flows, rates, count))
			return;
	}
	for (size_t i = 0; i < count; i++)
		print_error("flow %zu: %.2f of its rate\n", i, ratio(&flows[i], rates[i]));
	fail();
}

/* Nothing slows it down but the machine it runs on, which may be busy. */
static void assert_free(struct flow *flow)
{
	for (int i = 0; i < 20; i++) {
		measure(flow, 1);
		if (flow->bytes > 10 * MB)
			return;
	}
	fail_msg("%" PRIu64 " bytes a second", flow->bytes);
}

static struct flow flow_to_guest(struct world *world, int i)
{
	AUTOCLOSE int listener = listen_in(world->guest_ns[i], SOCK_STREAM, ANY_ADDRESS, 80);
	struct flow flow = {
		.from = connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, (uint16_t)(PORT + i))};

	assert_true(flow.from >= 0);
	flow.to = accept_on(listener);
	return flow;
}

static struct flow flow_from_guest(struct world *world, int i)
{
	AUTOCLOSE int listener =
		listen_in(world->client, SOCK_STREAM, ANY_ADDRESS, (uint16_t)(1000 + i));
	struct flow flow = {.from = connect_in(world->guest_ns[i], SOCK_STREAM, CLIENT_ADDRESS,
				    (uint16_t)(1000 + i))};

	assert_true(flow.from >= 0);
	flow.to = accept_on(listener);
	return flow;
}

static void close_flows(struct flow *flows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		close(flows[i].from);
		close(flows[i].to);
	}
}

static void add_guests(struct world *world, int count)
{
	struct net_port ports[WORLD_GUESTS];

	for (int i = 0; i < count; i++) {
		world_add_guest(world, i, true);
		ports[i] = port_of(world, i);
	}
	world_apply(world, (size_t)count, ports, (size_t)count);
}

/* --- What holds ------------------------------------------------------------------------------ */

static void guests_are_as_fast_as_they_may_be_in_each_direction(void **state)
{
	struct world *world = *state;
	struct flow flows[4];

	add_guests(world, 4);
	set_rates(world, 0, MB, 0);
	set_rates(world, 1, 0, MB);
	set_rates(world, 2, 4 * MB, 50 * MB);
	set_rates(world, 3, 50 * MB, 2 * MB);
	flows[0] = flow_to_guest(world, 0);
	flows[1] = flow_from_guest(world, 1);
	flows[2] = flow_to_guest(world, 2);
	flows[3] = flow_from_guest(world, 3);
	assert_near(flows, (const uint64_t[]){MB, MB, 4 * MB, 2 * MB}, 4);
	close_flows(flows, 4);
}

static void rates_change_under_open_connections(void **state)
{
	struct world *world = *state;
	struct flow flows[3];

	add_guests(world, 3);
	set_rates(world, 0, MB, 0);
	set_rates(world, 1, 0, 4 * MB);
	set_rates(world, 2, MB / 2, MB / 2);
	flows[0] = flow_to_guest(world, 0);
	flows[1] = flow_from_guest(world, 1);
	flows[2] = flow_from_guest(world, 2);
	pump_all(flows, 3, SETTLE_MS);
	set_rates(world, 0, 4 * MB, 0);
	set_rates(world, 1, 0, MB);
	set_rates(world, 2, 0, 0);
	assert_near(flows, (const uint64_t[]){4 * MB, MB}, 2);
	assert_free(&flows[2]);
	close_flows(flows, 3);
}

/* Of what waited at 10 kB/s, which is for four seconds, all comes. */
static void packets_that_wait_outlive_a_change(void **state)
{
	enum { COUNT = 40 };
	struct world *world = *state;
	AUTOCLOSE int to = -1;
	AUTOCLOSE int from = -1;
	char packet[1000] = "";

	add_guests(world, 2);
	to = listen_in(world->guest_ns[0], SOCK_DGRAM, ANY_ADDRESS, 5000);
	from = connect_in(world->guest_ns[1], SOCK_DGRAM, world->guests[0].address, 5000);
	set_rates(world, 0, 10000, 0);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(send(from, packet, sizeof(packet), 0), sizeof(packet));
	set_rates(world, 0, MB, 0);
	for (int i = 0; i < COUNT; i++)
		if (recv(to, packet, sizeof(packet), 0) != sizeof(packet))
			fail_msg("%d of %d came", i, COUNT);
}

/* Far more than may pass, from a neighbour to the guest and from it to the neighbour. */
static void the_node_reaches_a_guest_that_is_flooded_and_floods(void **state)
{
	struct world *world = *state;
	AUTOCLOSE int there = -1;
	AUTOCLOSE int back = -1;
	AUTOCLOSE int listener = -1;
	AUTOCLOSE int node = -1;
	char packet[1400] = "";

	add_guests(world, 2);
	set_rates(world, 0, 50000, 50000);
	there = connect_in(world->guest_ns[1], SOCK_DGRAM, world->guests[0].address, 5000);
	back = connect_in(world->guest_ns[0], SOCK_DGRAM, world->guests[1].address, 5000);
	listener = listen_in(world->guest_ns[0], SOCK_DGRAM, ANY_ADDRESS, 6000);
	node = connect_in(world->node, SOCK_DGRAM, world->guests[0].address, 6000);
	for (int i = 0; i < 1000; i++) {
		(void)send(there, packet, sizeof(packet), MSG_DONTWAIT);
		(void)send(back, packet, sizeof(packet), MSG_DONTWAIT);
		if (i % 100 == 99) {
			run("ip neigh flush dev " WORLD_BRIDGE);
			assert_true(udp_reaches(node, listener));
		}
	}
}

static void nothing_inside_the_guest_undoes_them(void **state)
{
	struct world *world = *state;
	struct flow flow;

	add_guests(world, 1);
	set_rates(world, 0, 0, MB);
	run_in(world->guest_ns[0], "tc qdisc replace dev eth0 root pfifo limit 10000 && "
				   "ip link set eth0 txqueuelen 10000 && tc qdisc show dev eth0");
	flow = flow_from_guest(world, 0);
	assert_near(&flow, (const uint64_t[]){MB}, 1);
	close_flows(&flow, 1);
}

/* --- What is left, and what is repaired ------------------------------------------------------ */

/* Of everything but counters and what changes with time. */
#define CONTROL                                                                                    \
	"for l in $(ls /sys/class/net 2>/dev/null; ip -o link | cut -d: -f2 | cut -d@ -f1); do "   \
	"tc qdisc show dev $l; tc class show dev $l; tc filter show dev $l; "                      \
	"tc filter show dev $l ingress; done 2>/dev/null | "                                       \
	"sed 's/refcnt [0-9]*//; s/index [0-9]*//; s/_stat [0-9]*//'; ip -o link | cut -d: -f2"

static char *control(void)
{
	return output_of(CONTROL);
}

static void without_rates_all_is_as_if_there_had_been_none(void **state)
{
	struct world *world = *state;
	AUTOFREE char *before = NULL;
	AUTOFREE char *between = NULL;
	AUTOFREE char *after = NULL;

	add_guests(world, 2);
	before = control();
	set_rates(world, 0, MB, MB);
	between = control();
	assert_string_not_equal(before, between);
	set_rates(world, 0, 0, 0);
	after = control();
	assert_string_equal(before, after);
}

static void a_guest_that_goes_takes_its_ifb_along(void **state)
{
	struct world *world = *state;

	add_guests(world, 3);
	for (int i = 0; i < 3; i++)
		set_rates(world, i, MB, MB);
	assert_int_not_equal(if_nametoindex("cgi0123456789a0"), 0);
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	assert_int_equal(if_nametoindex("cgi0123456789a0"), 0);
	/* Left over, as far as this net knows; and one whose guest has stopped. */
	run("ip link del cg0123456789a1");
	world->guests[1].egress = 0;
	assert_true(world_apply(world, 2, NULL, 0) > 0);
	assert_int_equal(if_nametoindex("cgi0123456789a1"), 0);
	assert_int_equal(if_nametoindex("cgi0123456789a2"), 0);
}

static void what_somebody_took_away_comes_back(void **state)
{
	static const char *const damages[] = {
		"tc qdisc del dev cg0123456789a0 root",
		"tc qdisc replace dev cg0123456789a0 root handle 7: pfifo",
		"tc qdisc del dev cgi0123456789a0 root",
		"tc qdisc del dev cg0123456789a0 ingress",
		"tc filter del dev cg0123456789a0 ingress",
		"tc filter del dev cg0123456789a0 parent c062:",
		"tc class change dev cg0123456789a0 parent root classid c062:1 htb rate 99mbit",
		"tc qdisc replace dev cgi0123456789a0 parent c062:2 handle 9: pfifo",
		"tc qdisc del dev cg0123456789a0 root && "
		"tc qdisc add dev cg0123456789a0 root handle c062: htb",
		"ip link del cgi0123456789a0",
	};
	struct world *world = *state;
	AUTOFREE char *before = NULL;

	add_guests(world, 1);
	set_rates(world, 0, MB, 5000 * MB);
	before = control();
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		AUTOFREE char *after = NULL;
		unsigned changes = 0;

		assert_int_equal(system(damages[i]), 0);
		assert_ok(net_repair(world->net, &changes, &err));
		if (changes == 0)
			fail_msg("nothing was repaired after: %s", damages[i]);
		after = control();
		if (strcmp(before, after) != 0)
			fail_msg("after %s:\n%s\ninstead of\n%s", damages[i], after, before);
		assert_ok(net_repair(world->net, &changes, &err));
		if (changes != 0)
			fail_msg("repaired again after: %s", damages[i]);
	}
}

static void traffic_control_of_others_stays_as_it_is(void **state)
{
#define OTHERS                                                                                     \
	"tc qdisc show dev up0; tc qdisc show dev cg0123456789a1; "                                \
	"tc filter show dev cg0123456789a0 ingress pref 5; ip -o link show cgi00000000beef"
	struct world *world = *state;
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;

	add_guests(world, 2);
	run("tc qdisc add dev up0 root handle 1: htb && ip link add cgi00000000beef type ifb && "
	    "tc qdisc add dev cg0123456789a1 root handle 1: pfifo && "
	    "tc qdisc add dev cg0123456789a0 clsact && "
	    "tc filter add dev cg0123456789a0 ingress pref 5 u32 match ip dst 192.0.2.99 "
	    "action mirred egress redirect dev up0");
	before = output_of(OTHERS);
	set_rates(world, 0, MB, MB);
	world_apply(world, 2, NULL, 0);
	set_rates(world, 0, 0, 0);
	world_apply(world, 1, NULL, 0);
	after = output_of("tc qdisc show dev up0; ip -o link show cgi00000000beef");
	assert_non_null(strstr(before, after + strlen(after) - 20));
	assert_int_equal(if_nametoindex("cg0123456789a1"), 0); /* no guest of it any more */
	run("tc filter show dev cg0123456789a0 ingress pref 5 | grep -q mirred");
	assert_ok(net_teardown(world->net, &err));
	assert_int_not_equal(if_nametoindex("cgi00000000beef"), 0);
}

/* --- Crashes and races ----------------------------------------------------------------------- */

/* Sets the rates of the first guest and takes them away, in a process of its own with that fault.
 * Returns its wait status. */
static pid_t start_setting(const struct world *world, const char *fault)
{
	pid_t pid = fork();

	if (pid == 0) {
		setenv("CORPUS_FAULT", fault, 1);
		execl("/proc/self/exe", "set", world->run_dir, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static int set_and_unset(void)
{
	struct net_guest guest;
	struct rates *rates = NULL;
	struct world world;
	struct err err = {0};

	world_describe(&world);
	guest = world.guests[0];
	guest.ingress = guest.egress = MB;
	if (rates_open(GATEWAY, &rates, &err) == 0 && rates_apply_guest(rates, &guest, &err) == 0) {
		guest.ingress = guest.egress = 0;
		rates_apply_guest(rates, &guest, &err);
	}
	rates_close(rates);
	if (err.code != ERR_OK)
		fprintf(stderr, "%s\n", err.message);
	return err.code != ERR_OK;
}

static const char *const g_points[] = {"net.rate.shaper", "net.rate.classes", "net.rate.hook",
	"net.rate.ifb", "net.rate.unhooked"};

static void a_crash_anywhere_is_repaired(void **state)
{
	struct world *world = *state;
	AUTOFREE char *limited = NULL;
	AUTOFREE char *free_again = NULL;

	add_guests(world, 1);
	free_again = control();
	set_rates(world, 0, MB, MB);
	limited = control();
	for (size_t i = 0; i < 2 * ARRAY_SIZE(g_points); i++) {
		const char *point = g_points[i / 2];
		AUTOFREE char *found = NULL;
		char fault[64];
		bool wanted = i % 2 == 0;
		int status;

		set_rates(world, 0, 0, 0);
		snprintf(fault, sizeof(fault), "%s=kill", point);
		assert_true(waitpid(start_setting(world, fault), &status, 0) > 0);
		if (!WIFSIGNALED(status))
			fail_msg("%s was not passed", point);
		world->guests[0].ingress = world->guests[0].egress = wanted ? MB : 0;
		world_apply(world, 1, NULL, 0);
		found = control();
		if (strcmp(found, wanted ? limited : free_again) != 0)
			fail_msg("after %s:\n%s", point, found);
	}
}

static void a_link_that_vanishes_meanwhile_is_no_failure(void **state)
{
	struct world *world = *state;

	assert_ok(net_attach(world->net, &world->guests[0], &err));
	set_rates(world, 0, MB, MB); /* not there yet */
	for (size_t i = 0; i < ARRAY_SIZE(g_points); i++) {
		char fault[64];
		int status;
		pid_t pid;

		world_add_guest(world, 0, false);
		snprintf(fault, sizeof(fault), "%s=wait:150", g_points[i]);
		pid = start_setting(world, fault);
		run("timeout 5 sh -c 'until tc qdisc show dev cg0123456789a0 | grep -q htb; do :; "
		    "done'; ip link del cg0123456789a0");
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("at %s: status %d", g_points[i], status);
	}
}

/* --- Counters -------------------------------------------------------------------------------- */

static void counters_are_the_guests_own(void **state)
{
	struct world *world = *state;
	AUTOFREE struct net_guest_stats *stats = NULL;
	const struct net_guest_stats *first = NULL, *second = NULL;
	struct flow flow;
	size_t count = 0;

	add_guests(world, 2);
	flow = flow_from_guest(world, 1);
	pump_all(&flow, 1, 100);
	assert_true(flow.bytes > 0);
	assert_ok(net_stats(world->net, &stats, &count, &err));
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(stats[i].id, world->guests[0].id) == 0)
			first = &stats[i];
		if (strcmp(stats[i].id, world->guests[1].id) == 0)
			second = &stats[i];
	}
	assert_non_null(first);
	assert_non_null(second);
	assert_true(second->sent_bytes >= flow.bytes);
	assert_true(second->received_bytes < second->sent_bytes / 2);
	assert_true(first->sent_bytes < 10000);
	close_flows(&flow, 1);
}

static void a_node_without_guests_has_no_counters(void **state)
{
	struct world *world = *state;
	struct net_guest_stats *stats = NULL;
	size_t count = 1;

	assert_ok(net_stats(world->net, &stats, &count, &err));
	assert_int_equal(count, 0);
	assert_ok(net_teardown(world->net, &err));
	assert_ok(net_stats(world->net, &stats, &count, &err));
	assert_int_equal(count, 0);
	free(stats);
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(guests_are_as_fast_as_they_may_be_in_each_direction),
		TEST(rates_change_under_open_connections),
		TEST(packets_that_wait_outlive_a_change),
		TEST(the_node_reaches_a_guest_that_is_flooded_and_floods),
		TEST(nothing_inside_the_guest_undoes_them),
		TEST(without_rates_all_is_as_if_there_had_been_none),
		TEST(a_guest_that_goes_takes_its_ifb_along),
		TEST(what_somebody_took_away_comes_back),
		TEST(traffic_control_of_others_stays_as_it_is),
		TEST(a_crash_anywhere_is_repaired),
		TEST(a_link_that_vanishes_meanwhile_is_no_failure),
		TEST(counters_are_the_guests_own),
		TEST(a_node_without_guests_has_no_counters),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
	(void)argv;
	return argc == 2 ? set_and_unset() : world_main(tests);
}
