/* Guests beside Docker's firewall: what dockerd does to a node is done by hand here, in both kinds
 * of iptables, and packets tell whether guests are cut. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/net.h"
#include "world.h"

/* Whether a bridge shows what it carries to the hooks of IP; there with br_netfilter. */
#define BRIDGED "/proc/sys/net/bridge/bridge-nf-call-iptables"

#define PORT	40000
#define NOTICED 60000 /* ms, far beyond what it takes */

static const char *const KINDS[] = {"iptables-nft", "iptables-legacy"};

/* As dockerd leaves it when it finds forwarding off, with its own bridge. */
static void become_docker(const char *iptables)
{
	run("%s-restore <<'E'\n*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n:DOCKER -\n"
	    ":DOCKER-USER -\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\n"
	    "-A DOCKER-USER -j RETURN\nCOMMIT\nE\n",
		iptables);
}

static void remove_docker(const char *iptables)
{
	run("printf '*filter\\n:INPUT ACCEPT\\n:FORWARD ACCEPT\\n:OUTPUT ACCEPT\\nCOMMIT\\n' | "
	    "%s-restore",
		iptables);
}

/* Whose rules: ours, by their mark, or all others. Counters differ with what passes. */
#define SAVED	     "%s-save -t filter | sed -e '/^#/d' -e 's/ .[0-9]*:[0-9]*.$//'"
#define OURS(kind)   output_of(SAVED " | grep 'comment corpus' || true", kind)
#define OTHERS(kind) output_of(SAVED " | grep -v 'comment corpus'", kind)

static const char *const PASS = "-A DOCKER-USER -o lxcbr1 -m comment --comment corpus -j ACCEPT\n"
				"-A DOCKER-USER -i lxcbr1 -m comment --comment corpus -j ACCEPT\n";

static void assert_ours(const char *kind, const char *wanted)
{
	AUTOFREE char *ours = OURS(kind);

	assert_string_equal(ours, wanted);
}

/* Waits until the network says that something of interest was changed, and repairs. */
static unsigned repair_when_noticed(struct world *world)
{
	int64_t deadline = clock_monotonic_ns() + INT64_C(1000000) * NOTICED;
	unsigned changes = 0;
	bool noticed = false;

	while (!noticed) {
		struct pollfd p = {.events = POLLIN};
		int64_t left = deadline - clock_monotonic_ns();

		assert_ok(p.fd = net_watch_fd(world->net, &err));
		if (left <= 0 || poll(&p, 1, (int)(left / 1000000) + 1) != 1)
			fail_msg("nothing was noticed");
		noticed = net_watch_dispatch(world->net);
	}
	assert_ok(net_repair(world->net, &changes, &err));
	return changes;
}

/* Two guests, one of them with a published port, on a node that shows bridged frames to the hooks
 * of IP, as Docker has it. */
static void populate(struct world *world)
{
	const struct net_port port = {
		.proto = PORT_UDP, .host = PORT, .address = world->guests[0].address, .guest = 80};

	assert_ok(net_watch_fd(world->net, &err));
	run("! [ -e " BRIDGED " ] || echo 1 > " BRIDGED);
	for (int i = 0; i < 2; i++)
		world_add_guest(world, i, true);
	world_apply(world, 2, &port, 1);
	run_in(world->client, "ip route replace 10.5.0.0/16 via 192.0.2.1");
}

static bool passes(int from, int to, uint32_t address, uint16_t port, uint16_t at, int ms)
{
	AUTOCLOSE int server = listen_in(to, SOCK_DGRAM, ANY_ADDRESS, at);
	AUTOCLOSE int client = connect_in(from, SOCK_DGRAM, address, port);

	return udp_reaches_within(client, server, ms);
}

static int patience(bool open)
{
	return open ? WAIT_MS : NOTHING_MS;
}

/* From guest to guest; in by a published port, and out: all ways there are. */
static void assert_ways(struct world *world, bool bridged, bool routed)
{
	assert_int_equal(bridged, passes(world->guest_ns[1], world->guest_ns[0],
					  world->guests[0].address, 80, 80, patience(bridged)));
	assert_int_equal(routed, passes(world->client, world->guest_ns[0], NODE_ADDRESS, PORT, 80,
					 patience(routed)));
	assert_int_equal(routed, passes(world->guest_ns[0], world->client, CLIENT_ADDRESS, 80, 80,
					 patience(routed)));
}

static void guests_pass_wherever_docker_drops(void **state)
{
	struct world *world = *state;

	populate(world);
	assert_ways(world, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		AUTOFREE char *before = NULL;
		AUTOFREE char *after = NULL;

		become_docker(KINDS[i]);
		before = OTHERS(KINDS[i]);
		/* Without br_netfilter a bridge asks nobody. */
		assert_ways(world, access(BRIDGED, F_OK) < 0, false);
		assert_int_equal(repair_when_noticed(world), 2);
		assert_ours(KINDS[i], PASS);
		assert_ways(world, true, true);
		after = OTHERS(KINDS[i]);
		assert_string_equal(before, after);
		assert_ok(net_repair(world->net, &(unsigned){0}, &err));
		assert_ours(KINDS[i], PASS);
	}
}

/* What nobody outside may do, he may not do because Docker's chain lets him. */
static void our_own_filter_still_decides(void **state)
{
	struct world *world = *state;

	populate(world);
	become_docker(KINDS[0]);
	repair_when_noticed(world);
	assert_false(passes(
		world->client, world->guest_ns[0], world->guests[0].address, 81, 81, NOTHING_MS));
	assert_true(passes(
		world->guest_ns[1], world->guest_ns[0], world->guests[0].address, 81, 81, WAIT_MS));
}

/* Each second one in legacy rules, which are looked at once a second. */
static void what_others_do_to_the_chain_is_noticed_and_mended(void **state)
{
	static const char *const damages[] = {
		"%s -F DOCKER-USER",
		"%s -F",
		"%s -D DOCKER-USER 1",
		"%s -I DOCKER-USER -j RETURN",
		"%s -F DOCKER-USER; %s -A DOCKER-USER -j RETURN",
		"%s -F; %s -X; %s -N DOCKER-USER; %s -A DOCKER-USER -j RETURN",
		"%s-save | sed 's/.*/&\\n&/; /^[^-]/s/\\n.*//' | %s-restore", /* each rule twice */
		"%s-save | grep -v corpus | %s-restore",
	};
	struct world *world = *state;

	populate(world);
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		const char *kind = KINDS[i];

		become_docker(kind);
		repair_when_noticed(world);
		for (size_t j = 0; j < ARRAY_SIZE(damages); j += i + 1) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			run(damages[j], kind, kind, kind, kind);
#pragma GCC diagnostic pop
			if (repair_when_noticed(world) == 0)
				fail_msg("%s: nothing was mended after %s", kind, damages[j]);
			assert_ours(kind, PASS);
		}
		remove_docker(kind);
	}
}

static void rules_of_others_are_left_where_they_are(void **state)
{
	static const char others[] =
		"-A DOCKER-USER -s 203.0.113.9/32 -j DROP\n"
		"-A DOCKER-USER -i lxcbr1 -j ACCEPT\n"
		"-A DOCKER-USER -i kvmbr1 -m comment --comment corpus -j ACCEPT\n"
		"-A DOCKER-USER -i lxcbr1 -m comment --comment \"of corpus\" -j ACCEPT\n"
		"-A DOCKER-USER -j RETURN\n";
	struct world *world = *state;

	populate(world);
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		AUTOFREE char *with = NULL;
		AUTOFREE char *without = NULL;

		become_docker(KINDS[i]);
		run("%s -F DOCKER-USER; %s-restore --noflush <<'E'\n*filter\n%sCOMMIT\nE\n",
			KINDS[i], KINDS[i], others);
		assert_int_equal(repair_when_noticed(world), 2);
		with = output_of(SAVED " | grep -e '-A DOCKER-USER'", KINDS[i]);
		assert_int_equal(strncmp(with, PASS, strlen(PASS)), 0);
		assert_string_equal(with + strlen(PASS), others);
		assert_int_equal(world_apply(world, 0, NULL, 0) > 0, 1);
		without = output_of(SAVED " | grep -e '-A DOCKER-USER'", KINDS[i]);
		assert_string_equal(without, others);
		world_apply(world, 2, NULL, 0);
		remove_docker(KINDS[i]);
	}
}

static void rules_come_with_the_first_guest_and_go_with_the_last(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
		become_docker(KINDS[i]);
	world_apply(world, 0, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
		assert_ours(KINDS[i], "");
	for (int i = 0; i < 2; i++)
		assert_ok(net_attach(world->net, &world->guests[i], &err));
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
		assert_ours(KINDS[i], PASS);
	assert_ok(net_detach(world->net, &world->guests[1], &err));
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
		assert_ours(KINDS[i], "");
}

static void rules_go_when_they_are_switched_off_and_when_the_node_retires(void **state)
{
	struct world *world = *state;

	become_docker(KINDS[0]);
	become_docker(KINDS[1]);
	for (int round = 0; round < 2; round++) {
		world->config.docker_user = true;
		net_close(world->net);
		assert_ok(net_open(&world->config, &world->net, &err));
		world_apply(world, 1, NULL, 0);
		assert_ours(KINDS[0], PASS);
		assert_ours(KINDS[1], PASS);
		world->config.docker_user = false;
		if (round == 0) {
			net_close(world->net);
			assert_ok(net_open(&world->config, &world->net, &err));
			world_apply(world, 1, NULL, 0);
		} else {
			assert_ok(net_teardown(world->net, &err));
		}
		assert_ours(KINDS[0], "");
		assert_ours(KINDS[1], "");
	}
}

static void nothing_comes_into_being_where_docker_is_not(void **state)
{
	static const char look[] = "cat /proc/net/ip_tables_names; nft list tables";
	struct world *world = *state;
	AUTOFREE char *before = output_of("%s", look);
	AUTOFREE char *between = NULL;
	AUTOFREE char *after = NULL;

	populate(world);
	between = output_of("%s", look);
	assert_string_equal(before, between);
	/* A firewall without Docker's chain is nobody's to open. */
	run("iptables-legacy -P FORWARD DROP; iptables-nft -P FORWARD DROP");
	assert_ok(net_repair(world->net, NULL, &err));
	after = output_of("iptables-legacy-save; iptables-nft-save");
	assert_null(strstr(after, "corpus"));
	assert_null(strstr(after, "DOCKER"));
}

static void a_missing_program_is_named_and_stops_nothing_else(void **state)
{
	struct world *world = *state;
	struct err obstacle = {0};

	become_docker(KINDS[0]);
	run("mount --bind /dev/null /usr/sbin/iptables-nft");
	world_apply(world, 1, NULL, 0);
	run("umount /usr/sbin/iptables-nft");
	assert_true(net_obstacle(world->net, &obstacle));
	assert_string_equal(obstacle.message,
		"Docker's firewall, chain DOCKER-USER: iptables-nft is "
		"missing: install the package iptables");
	assert_ok(net_repair(world->net, NULL, &err));
	assert_false(net_obstacle(world->net, &obstacle));
	assert_ours(KINDS[0], PASS);
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(guests_pass_wherever_docker_drops),
		TEST(our_own_filter_still_decides),
		TEST(what_others_do_to_the_chain_is_noticed_and_mended),
		TEST(rules_of_others_are_left_where_they_are),
		TEST(rules_come_with_the_first_guest_and_go_with_the_last),
		TEST(rules_go_when_they_are_switched_off_and_when_the_node_retires),
		TEST(nothing_comes_into_being_where_docker_is_not),
		TEST(a_missing_program_is_named_and_stops_nothing_else),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
	return world_main(tests);
}
