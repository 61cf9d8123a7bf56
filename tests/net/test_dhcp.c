/* Addresses and names as guests get them, from a real dnsmasq by a real DHCP client. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "net/net.h"
#include "world.h"

static const char g_client_script[] = "#!/bin/sh\n"
				      "[ \"$1\" = bound ] || exit 0\n"
				      "ip addr replace $ip/$mask dev $interface\n"
				      "echo \"$ip/$mask $router $dns $domain\" > \"$ANSWER\"\n";

static void reopen(struct world *world)
{
	net_close(world->net);
	assert_ok(net_open(&world->config, &world->net, &err));
}

static int setup(void **state)
{
	struct world *world;
	char path[PATH_MAX];

	if (world_setup(state) < 0)
		return -1;
	world = *state;
	world->config.dhcp = true;
	world->config.domain = "corpus.internal";
	snprintf(path, sizeof(path), "%s/client", world->run_dir);
	assert_int_equal(file_replace(path, g_client_script, 0755, false), 0);
	reopen(world);
	world_apply(world, 0, NULL, 0);
	return 0;
}

/* What a DHCP client in a guest is told within a second or three tries; empty: nothing. */
static char *lease_of(struct world *world, int guest, const char *options)
{
	char path[PATH_MAX];
	char *text = NULL;

	snprintf(path, sizeof(path), "%s/answer", world->run_dir);
	unlink(path);
	run_in(world->guest_ns[guest], "ip addr flush dev eth0");
	try_in(world->guest_ns[guest],
		"ANSWER=%s busybox udhcpc -f -q -n -t 4 -T 1 -i eth0 -s %s/client %s >/dev/null "
		"2>&1",
		path, world->run_dir, options);
	if (file_read(path, 1000, &text, NULL) < 0)
		text = strdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void attach(struct world *world, int guest)
{
	world_add_guest(world, guest, false);
	assert_ok(net_attach(world->net, &world->guests[guest], &err));
}

static void assert_leased(struct world *world, int guest, const char *expected)
{
	AUTOFREE char *answer = lease_of(world, guest, "");

	assert_string_equal(answer, expected);
}

#define FACTS "/16 10.5.0.1 10.5.0.1 corpus.internal"

static pid_t server_pid(const struct world *world)
{
	AUTOFREE char *text = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" WORLD_BRIDGE "/pid", world->run_dir);
	assert_int_equal(file_read(path, 100, &text, NULL), 0);
	return atoi(text);
}

static void a_guest_gets_its_reserved_address(void **state)
{
	struct world *world = *state;

	attach(world, 0);
	attach(world, 1);
	assert_leased(world, 1, "10.5.0.3" FACTS);
	assert_leased(world, 0, "10.5.0.2" FACTS);
	assert_leased(world, 0, "10.5.0.2" FACTS);
}

static void a_guest_keeps_its_address_whatever_its_client_calls_itself(void **state)
{
	struct world *world = *state;
	AUTOFREE char *first = NULL;
	AUTOFREE char *second = NULL;

	attach(world, 0);
	first = lease_of(world, 0, "-x 0x3d:ff0011223344 -x hostname:www");
	second = lease_of(world, 0, "-C");
	assert_string_equal(first, "10.5.0.2" FACTS);
	assert_string_equal(second, "10.5.0.2" FACTS);
	/* The name that it asked for is not given out. */
	assert_int_not_equal(
		try_in(world->guest_ns[0], "busybox nslookup www 10.5.0.1 >/dev/null 2>&1"), 0);
}

static void a_stranger_gets_no_address(void **state)
{
	struct world *world = *state;
	struct net_guest *guest = &world->guests[1];
	AUTOFREE char *answer = NULL;

	attach(world, 0);
	world_add_guest(world, 1, false);
	/* Past the filter, but without a reservation. */
	assert_ok(net_attach(world->net, guest, &err));
	guest->mac[5] = 0x77;
	run_in(world->guest_ns[1], "ip link set eth0 address 00:16:3e:00:00:77");
	run("nft add element bridge corpus links '{ cg%s . 00:16:3e:00:00:77 }'", guest->id);
	answer = lease_of(world, 1, "");
	assert_string_equal(answer, "");
	guest->mac[5] = 3;
}

static bool resolves(struct world *world, const char *name, const char *address)
{
	AUTOFREE char *text = NULL;
	char expected[64], path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lookup", world->run_dir);
	/* Both A and AAAA are asked for, as resolvers do: neither may fail. */
	if (try_in(world->guest_ns[0], "busybox nslookup %s 10.5.0.1 > %s 2>&1", name, path) != 0)
		return false;
	assert_int_equal(file_read(path, 4000, &text, NULL), 0);
	snprintf(expected, sizeof(expected), "%s", address);
	return strstr(text, expected);
}

static void guests_resolve_each_others_names(void **state)
{
	struct world *world = *state;

	attach(world, 0);
	for (int i = 1; i < WORLD_GUESTS; i++)
		assert_ok(net_attach(world->net, &world->guests[i], &err));
	assert_leased(world, 0, "10.5.0.2" FACTS);
	assert_true(resolves(world, "dev-app2.example.org", "10.5.0.3"));
	assert_true(resolves(world, "dev-app2", "10.5.0.3"));
	assert_true(resolves(world, "dev-app3.example.net", "10.5.0.4"));
	assert_true(resolves(world, "dev-app3", "10.5.0.4"));
	assert_true(resolves(world, "web", "10.5.0.5"));
	assert_true(resolves(world, "web.corpus.internal", "10.5.0.5"));
	assert_true(resolves(world, "10.5.0.3", "dev-app2.example.org"));
	assert_ok(net_detach(world->net, &world->guests[1], &err));
	assert_true(resolves(world, "dev-app3", "10.5.0.4"));
	assert_false(resolves(world, "dev-app2", "10.5.0.3"));
}

static void a_freed_address_is_anothers_at_once(void **state)
{
	struct world *world = *state;

	attach(world, 0);
	assert_leased(world, 0, "10.5.0.2" FACTS);
	assert_ok(net_detach(world->net, &world->guests[0], &err));
	world->guests[1].address = world->guests[0].address;
	attach(world, 1);
	assert_leased(world, 1, "10.5.0.2" FACTS);
}

static void a_lease_that_was_left_behind_is_taken_back(void **state)
{
	struct world *world = *state;

	attach(world, 0);
	assert_leased(world, 0, "10.5.0.2" FACTS);
	/* A crash after the reservation's file was removed; then an address given anew. */
	run("rm %s/" WORLD_BRIDGE "/*/%s", world->run_dir, world->guests[0].id);
	assert_true(world_apply(world, 0, NULL, 0) > 0);
	world->guests[1].address = world->guests[0].address;
	attach(world, 1);
	assert_leased(world, 1, "10.5.0.2" FACTS);
}

static void the_server_outlives_the_agent_and_is_adopted(void **state)
{
	struct world *world = *state;
	pid_t pid;

	attach(world, 0);
	world_apply(world, 1, NULL, 0);
	pid = server_pid(world);
	reopen(world);
	assert_int_equal(world_apply(world, 1, NULL, 0), 0);
	assert_int_equal(server_pid(world), pid);
	assert_leased(world, 0, "10.5.0.2" FACTS);
}

static void wait_gone(pid_t pid)
{
	uint64_t start;

	/* It is no child of ours: nobody reaps it but the first process, which this is. */
	while (process_start_time(pid, &start) == 0 && waitpid(pid, NULL, 0) != pid)
		;
}

static void a_dead_server_is_started_again_and_knows_its_leases(void **state)
{
	struct world *world = *state;
	pid_t pid;

	attach(world, 0);
	attach(world, 1);
	assert_leased(world, 0, "10.5.0.2" FACTS);
	assert_leased(world, 1, "10.5.0.3" FACTS);
	pid = server_pid(world);
	kill(pid, SIGKILL);
	wait_gone(pid);
	/* Detached meanwhile: its lease must not come back with the server. */
	assert_ok(net_detach(world->net, &world->guests[1], &err));
	assert_true(world_apply(world, 1, NULL, 0) > 0);
	assert_int_not_equal(server_pid(world), pid);
	assert_int_equal(world_apply(world, 1, NULL, 0), 0);
	assert_leased(world, 0, "10.5.0.2" FACTS);
	world->guests[2].address = world->guests[1].address;
	attach(world, 2);
	assert_leased(world, 2, "10.5.0.3" FACTS);
}

static void another_configuration_restarts_the_server(void **state)
{
	struct world *world = *state;
	pid_t pid = server_pid(world);

	attach(world, 0);
	world->config.domain = "elsewhere.internal";
	reopen(world);
	assert_true(world_apply(world, 1, NULL, 0) > 0);
	assert_int_not_equal(server_pid(world), pid);
	assert_leased(world, 0, "10.5.0.2/16 10.5.0.1 10.5.0.1 elsewhere.internal");
}

static void a_bridge_made_anew_is_served(void **state)
{
	struct world *world = *state;

	run("ip link del " WORLD_BRIDGE);
	assert_true(world_apply(world, 0, NULL, 0) > 0);
	attach(world, 0);
	assert_leased(world, 0, "10.5.0.2" FACTS);
}

static void a_pid_file_that_names_another_process_harms_nobody(void **state)
{
	struct world *world = *state;
	pid_t pid = server_pid(world);
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/" WORLD_BRIDGE "/pid", world->run_dir);
	kill(pid, SIGKILL);
	wait_gone(pid);
	snprintf(text, sizeof(text), "%d\n", getpid());
	assert_int_equal(file_write(path, text), 0);
	world_apply(world, 0, NULL, 0);
	assert_int_not_equal(server_pid(world), getpid());
}

static void the_server_is_not_root_and_serves_nobody_else(void **state)
{
	struct world *world = *state;
	char path[64];
	struct stat st;

	attach(world, 0);
	snprintf(path, sizeof(path), "/proc/%d", server_pid(world));
	assert_int_equal(stat(path, &st), 0);
	assert_int_not_equal(st.st_uid, 0);
	assert_int_equal(connect_in(world->client, SOCK_STREAM, NODE_ADDRESS, 53), -ECONNREFUSED);
	assert_int_equal(connect_in(world->node, SOCK_STREAM, LOOPBACK, 53), -ECONNREFUSED);
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(a_guest_gets_its_reserved_address),
		TEST(a_guest_keeps_its_address_whatever_its_client_calls_itself),
		TEST(a_stranger_gets_no_address),
		TEST(guests_resolve_each_others_names),
		TEST(a_freed_address_is_anothers_at_once),
		TEST(a_lease_that_was_left_behind_is_taken_back),
		TEST(the_server_outlives_the_agent_and_is_adopted),
		TEST(a_dead_server_is_started_again_and_knows_its_leases),
		TEST(another_configuration_restarts_the_server),
		TEST(a_bridge_made_anew_is_served),
		TEST(a_pid_file_that_names_another_process_harms_nobody),
		TEST(the_server_is_not_root_and_serves_nobody_else),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
	return world_main(tests);
}
