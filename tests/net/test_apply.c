/* Making it so, again and again: repair, what stays untouched, what a crash leaves. */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "net/net.h"
#include "world.h"

#define PORT 40000

static struct net_port guest_port(const struct world *world, int guest, uint16_t host)
{
	return (struct net_port){.proto = PORT_TCP,
		.host = host,
		.address = world->guests[guest].address,
		.guest = 80};
}

static void with_dhcp(struct world *world)
{
	world->config.dhcp = true;
	net_close(world->net);
	assert_ok(net_open(&world->config, &world->net, &err));
}

#define RULES "nft list table ip corpus; nft list table bridge corpus"

static char *ruleset(void)
{
	return output_of(RULES);
}

static void a_second_apply_changes_nothing(void **state)
{
	struct world *world = *state;
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;

	with_dhcp(world);
	for (int i = 0; i < 3; i++)
		world_add_guest(world, i, true);

	struct net_port ports[] = {guest_port(world, 0, PORT), guest_port(world, 1, PORT + 1)};

	assert_true(world_apply(world, 3, ports, 2) > 0);
	before = output_of("nft -a list ruleset; ip addr");
	assert_int_equal(world_apply(world, 3, ports, 2), 0);
	after = output_of("nft -a list ruleset; ip addr");
	assert_string_equal(before, after);
}

static void another_agent_finds_it_so(void **state)
{
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;

	with_dhcp(world);
	world_add_guest(world, 0, true);
	world_apply(world, 1, &port, 1);
	before = ruleset();
	with_dhcp(world);
	assert_int_equal(world_apply(world, 1, &port, 1), 0);
	after = ruleset();
	assert_string_equal(before, after);
}

static void only_the_difference_changes(void **state)
{
	struct world *world = *state;
	struct net_port ports[] = {guest_port(world, 0, PORT), guest_port(world, 0, PORT + 1),
		guest_port(world, 1, PORT + 2)};
	AUTOFREE char *map = NULL;

	world_apply(world, 2, ports, 3);
	ports[0].address = world->guests[1].address;
	/* One port moved (removed and added), one gone. */
	ports[1] = ports[2];
	assert_int_equal(world_apply(world, 2, ports, 2), 3);
	map = output_of("nft list map ip corpus ports");
	assert_non_null(strstr(map, "tcp . 40000 : 10.5.0.3 . 80"));
	assert_null(strstr(map, "40001"));
	assert_non_null(strstr(map, "tcp . 40002 : 10.5.0.3 . 80"));
}

/* A process that was killed takes a moment to be gone. */
#define UNTIL_GONE "timeout 5 sh -c \"while [ -e /proc/$pid/exe ]; do :; done\""

static void what_somebody_broke_is_repaired(void **state)
{
	static const char *const damages[] = {
		"nft flush ruleset",
		"nft delete table ip corpus",
		"nft delete table bridge corpus",
		"nft flush chain ip corpus prerouting",
		"nft flush chain bridge corpus guest",
		"nft insert rule ip corpus forward drop",
		"nft add rule bridge corpus guest accept",
		"nft add chain ip corpus forward '{ policy drop; }'",
		"nft flush map ip corpus ports",
		"nft flush set bridge corpus guests",
		"nft flush set ip corpus bridges",
		"nft add element bridge corpus links '{ cgffffffffffff . 02:00:00:00:00:01 comment "
		"\"lxcbr1\" }'",
		"nft add element ip corpus ports '{ udp . 53 : 10.5.0.2 . 53 }'",
		"nft delete element ip corpus ports '{ tcp . 40000 }' && "
		"nft add element ip corpus ports '{ tcp . 40000 : 10.5.0.3 . 22 }'",
		"nft delete element ip corpus ports '{ tcp . 40000 }' && "
		"nft add element ip corpus ports '{ tcp . 40000 : 192.0.2.9 . 22 }'",
		"nft delete table ip corpus && nft add table ip corpus && "
		"nft add set ip corpus ports '{ type ipv4_addr; }'",
		"ip link set lxcbr1 down",
		"ip addr flush dev lxcbr1",
		"echo 0 > /proc/sys/net/ipv4/ip_forward",
		"echo 0 > /proc/sys/net/ipv4/conf/lxcbr1/route_localnet",
		"rm -r $RUN/lxcbr1/names/0123456789a0",
		"pid=$(cat $RUN/lxcbr1/pid); kill -9 $pid; " UNTIL_GONE,
		"pid=$(cat $RUN/lxcbr1/pid); rm $RUN/lxcbr1/pid $RUN/lxcbr1/dnsmasq.conf; "
		"kill $pid; " UNTIL_GONE,
	};
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOFREE char *before = NULL;

	with_dhcp(world);
	setenv("RUN", world->run_dir, 1);
	world_add_guest(world, 0, true);
	world_apply(world, 1, &port, 1);
	before = output_of(RULES "; ip addr show " WORLD_BRIDGE);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		AUTOFREE char *after = NULL;

		assert_int_equal(system(damages[i]), 0);
		if (world_apply(world, 1, &port, 1) == 0)
			fail_msg("nothing was repaired after: %s", damages[i]);
		after = output_of(RULES "; ip addr show " WORLD_BRIDGE);
		if (strcmp(before, after) != 0)
			fail_msg("after %s:\n%s\ninstead of\n%s", damages[i], after, before);
		if (world_apply(world, 1, &port, 1) != 0)
			fail_msg("repaired again after: %s", damages[i]);
	}
}

static void established_connections_outlive_a_flushed_ruleset(void **state)
{
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOCLOSE int listener = -1;
	AUTOCLOSE int client = -1;
	AUTOCLOSE int server = -1;

	world_add_guest(world, 0, true);
	world_apply(world, 1, &port, 1);
	listener = listen_in(world->guest_ns[0], SOCK_STREAM, ANY_ADDRESS, 80);
	client = connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, PORT);
	server = accept_on(listener);
	assert_talks(client, server);
	run("nft flush ruleset");
	world_apply(world, 1, &port, 1);
	assert_talks(client, server);
	assert_talks(server, client);
	assert_true(reaches(world->client, NODE_ADDRESS, PORT, listener));
}

static void what_is_others_stays_as_it_is(void **state)
{
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;
	AUTOFREE char *torn = NULL;

	run("nft -f - <<'E'\n"
	    "table ip theirs {\n"
	    "  map ports { type inet_service : ipv4_addr; elements = { 1 : 10.9.0.1 } }\n"
	    "  chain pre { type nat hook prerouting priority -100; tcp dport 1 dnat to tcp dport "
	    "map @ports; }\n"
	    "  chain forward { type filter hook forward priority 0; policy accept; counter; }\n"
	    "}\n"
	    "table bridge theirs { chain c { type filter hook forward priority 0; }; }\n"
	    "table inet corpus { chain c { type filter hook input priority 0; }; }\n"
	    "E\n");
	run("ip link add br9 type bridge && ip link set br9 up && ip addr add 10.9.0.1/16 dev br9");
	run("ip link add cg9 type veth peer name cg00000000beef && ip link set cg9 master br9 && "
	    "ip link set cg00000000beef master br9");
#define THEIRS                                                                                     \
	"nft -a list table ip theirs; nft -a list table bridge theirs; "                           \
	"nft -a list table inet corpus; ip -o addr show br9; ip -o link show master br9"
	before = output_of(THEIRS);
	world_add_guest(world, 0, true);
	world_apply(world, 1, &port, 1);
	assert_ok(net_publish(world->net, &port, true, &err));
	assert_ok(net_unpublish(world->net, PORT_TCP, PORT, true, &err));
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	world_apply(world, 0, NULL, 0);
	after = output_of(THEIRS);
	assert_string_equal(before, after);
	assert_ok(net_teardown(world->net, &err));
	torn = output_of(THEIRS);
	assert_string_equal(before, torn);
}

static void a_bridge_that_is_not_ours_is_refused(void **state)
{
	struct world *world = *state;
	struct err refusal = {0};

	assert_ok(net_teardown(world->net, &err));
	run("ip link add " WORLD_BRIDGE " type bridge && "
	    "ip addr add 10.5.0.1/16 dev " WORLD_BRIDGE);
	assert_true(net_apply(world->net, NULL, 0, NULL, 0, NULL, &refusal) < 0);
	assert_int_equal(refusal.code, ERR_CONFLICT);
	assert_non_null(strstr(refusal.message, "ip link set dev lxcbr1 alias corpus"));
	assert_ok(net_teardown(world->net, &err));
	assert_int_not_equal(if_nametoindex(WORLD_BRIDGE), 0);
	/* As the message says. */
	run("ip link set dev " WORLD_BRIDGE " alias corpus");
	world_apply(world, 0, NULL, 0);
}

static void leftover_links_are_removed(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 3; i++)
		world_add_guest(world, i, true);
	run("ip link add mine type veth peer name cg00000000beef && ip link set mine "
	    "master " WORLD_BRIDGE);
	assert_true(world_apply(world, 1, NULL, 0) > 0);
	assert_int_not_equal(if_nametoindex("cg0123456789a0"), 0);
	assert_int_equal(if_nametoindex("cg0123456789a1"), 0);
	assert_int_equal(if_nametoindex("cg0123456789a2"), 0);
	/* On our bridge but not named so; named so but not on our bridge. */
	assert_int_not_equal(if_nametoindex("mine"), 0);
	assert_int_not_equal(if_nametoindex("cg00000000beef"), 0);
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	assert_int_equal(if_nametoindex("cg0123456789a0"), 0);
}

static void teardown_leaves_nothing(void **state)
{
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;

	assert_ok(net_teardown(world->net, &err));
	before = output_of("nft list ruleset; ip -o link; ip -o addr; ls %s; pidof dnsmasq || true",
		world->run_dir);
	with_dhcp(world);
	world_apply(world, 0, NULL, 0);
	world_add_guest(world, 0, true);
	world_apply(world, 1, &port, 1);
	assert_ok(net_teardown(world->net, &err));
	after = output_of("nft list ruleset; ip -o link; ip -o addr; ls %s; pidof dnsmasq || true",
		world->run_dir);
	assert_string_equal(before, after);
	assert_ok(net_teardown(world->net, &err));
}

static void two_networks_share_the_tables_and_leave_each_other_alone(void **state)
{
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	struct net_guest theirs = {.id = "0123456789b0",
		.name = "vm",
		.address = 0x0a060002,
		.mac = {0, 0x16, 0x3e, 0, 1, 2}};
	struct net_port their_port = {
		.proto = PORT_TCP, .host = PORT + 1, .address = theirs.address, .guest = 22};
	struct net_config config = {
		.bridge = "kvmbr1", .gateway = 0x0a060001, .prefix = 16, .run_dir = world->run_dir};
	struct net *other = NULL;
	unsigned changes = 0;
	AUTOFREE char *before = NULL;
	AUTOFREE char *after = NULL;

	assert_ok(net_open(&config, &other, &err));
	assert_ok(net_apply(other, &theirs, 1, &their_port, 1, &changes, &err));
	world_apply(world, 1, &port, 1);
	before = ruleset();
	assert_ok(net_apply(other, &theirs, 1, &their_port, 1, &changes, &err));
	assert_int_equal(changes, 0);
	assert_int_equal(world_apply(world, 1, &port, 1), 0);
	/* A port moves from a guest of the one to a guest of the other. */
	their_port.host = PORT;
	assert_ok(net_publish(other, &their_port, false, &err));
	assert_int_equal(world_apply(world, 1, NULL, 0), 0);
	assert_ok(net_publish(world->net, &port, false, &err));
	their_port.host = PORT + 1;
	assert_ok(net_teardown(world->net, &err));
	assert_ok(net_apply(other, &theirs, 1, &their_port, 1, &changes, &err));
	assert_int_equal(changes, 0);
	world_apply(world, 1, &port, 1);
	after = ruleset();
	assert_int_equal(strlen(before), strlen(after)); /* elements are in no order */
	assert_ok(net_teardown(other, &err));
	net_close(other);
}

static void ten_thousand_ports_are_loaded_and_changed(void **state)
{
	enum { COUNT = 10000 };
	struct world *world = *state;
	AUTOFREE struct net_port *ports = calloc(COUNT, sizeof(*ports));
	AUTOCLOSE int listener = -1;

	for (int i = 0; i < COUNT; i++)
		ports[i] = (struct net_port){.proto = i % 2 ? PORT_UDP : PORT_TCP,
			.host = (uint16_t)(40000 + i),
			.address = world->guests[0].address,
			.guest = 80};
	world_add_guest(world, 0, true);
	assert_true(world_apply(world, 1, ports, COUNT) >= COUNT);
	assert_int_equal(world_apply(world, 1, ports, COUNT), 0);
	listener = listen_in(world->guest_ns[0], SOCK_STREAM, ANY_ADDRESS, 80);
	assert_true(reaches(world->client, NODE_ADDRESS, 49998, listener));
	run("nft flush ruleset");
	assert_true(world_apply(world, 1, ports, COUNT) >= COUNT);
	assert_true(reaches(world->client, NODE_ADDRESS, 49998, listener));
	assert_int_equal(world_apply(world, 1, ports, 1), COUNT - 1);
}

static void fill(struct world *world, const char *run_dir)
{
	world_describe(world);
	snprintf(world->run_dir, sizeof(world->run_dir), "%s", run_dir);
	world->config.dhcp = true;
}

/* Everything that the agent does with the network in a guest's life. */
static int live(const char *run_dir)
{
	struct world world;
	struct net_port port;
	struct net *net = NULL;
	struct err err = {0};

	fill(&world, run_dir);
	port = guest_port(&world, 0, PORT);
	if (net_open(&world.config, &net, &err) < 0 ||
		net_apply(net, NULL, 0, NULL, 0, NULL, &err) < 0 ||
		net_attach(net, &world.guests[0], &err) < 0 ||
		net_publish(net, &port, true, &err) < 0 ||
		net_unpublish(net, PORT_TCP, PORT, true, &err) < 0 ||
		net_detach(net, &world.guests[0], &err) < 0 || net_teardown(net, &err) < 0)
		fprintf(stderr, "%s\n", err.message);
	net_close(net);
	return err.code != ERR_OK;
}

/* The same in a process of its own, which the fault kills. Returns whether it did. */
static bool lives_and_dies(const struct world *world, const char *fault)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("CORPUS_FAULT", fault, 1);
		execl("/proc/self/exe", "live", world->run_dir, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void a_crash_anywhere_is_repaired(void **state)
{
	static const char *const points[] = {"net.bridge.made", "net.bridge.up", "net.apply.bridge",
		"net.firewall.rules", "net.apply.firewall", "net.apply.links", "net.docker_user",
		"net.dhcp.files", "net.dhcp.start", "net.attach.dhcp", "net.publish.firewall",
		"net.unpublish.firewall", "net.detach.firewall", "net.detach.link",
		"net.teardown.dhcp", "net.teardown.bridge"};
	struct world *world = *state;
	struct net_port port = guest_port(world, 0, PORT);
	AUTOFREE char *wanted = NULL;

	with_dhcp(world);
	world_apply(world, 1, &port, 1);
	wanted = ruleset();
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		char fault[64];
		AUTOFREE char *found = NULL;

		assert_ok(net_teardown(world->net, &err));
		snprintf(fault, sizeof(fault), "%s=kill", points[i]);
		if (!lives_and_dies(world, fault))
			fail_msg("%s was not passed", points[i]);
		with_dhcp(world);
		world_apply(world, 1, &port, 1);
		found = ruleset();
		if (strcmp(found, wanted) != 0)
			fail_msg("after %s:\n%s", points[i], found);
		assert_int_equal(world_apply(world, 1, &port, 1), 0);
	}
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(a_second_apply_changes_nothing),
		TEST(another_agent_finds_it_so),
		TEST(only_the_difference_changes),
		TEST(what_somebody_broke_is_repaired),
		TEST(established_connections_outlive_a_flushed_ruleset),
		TEST(what_is_others_stays_as_it_is),
		TEST(a_bridge_that_is_not_ours_is_refused),
		TEST(leftover_links_are_removed),
		TEST(teardown_leaves_nothing),
		TEST(two_networks_share_the_tables_and_leave_each_other_alone),
		TEST(ten_thousand_ports_are_loaded_and_changed),
		TEST(a_crash_anywhere_is_repaired),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
	return argc == 2 ? live(argv[1]) : world_main(tests);
}
