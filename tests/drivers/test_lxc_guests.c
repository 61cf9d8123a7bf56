/* Real LXC guests: how one ends by itself and what is left of it, statistics, lines added by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/listen.h"
#include "lxc_guests.h"
#include "node.h"

/* --- Ends ------------------------------------------------------------------------------------- */

struct seen {
	struct driver_status last;
	bool told;
};

static void note(void *data, const struct driver_status *status)
{
	struct seen *seen = data;

	if (strcmp(status->id, GUEST_A) != 0)
		return;
	seen->last = *status;
	seen->told = true;
}

/* Waits until an event says that the guest has stopped, and hands it out. */
static struct driver_status await_stopped(void)
{
	int64_t end = clock_monotonic_ns() + WAIT_MS * 1000000LL;
	struct seen seen = {0};
	struct err err = {0};
	struct pollfd p = {.fd = lxc_driver_ops.watch_fd(g_driver, &err), .events = POLLIN};

	assert_true(p.fd >= 0);
	lxc_driver_ops.watch_dispatch(g_driver, GUEST_A, note, &seen);
	while (!seen.told || seen.last.state != GUEST_STOPPED) {
		assert_true(clock_monotonic_ns() < end);
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		lxc_driver_ops.watch_dispatch(g_driver, NULL, note, &seen);
	}
	return seen.last;
}

static void assert_ends(const char *script, int status)
{
	struct driver_guest guest = facts(GUEST_A);
	int64_t end = clock_monotonic_ns() + WAIT_MS * 1000000LL;
	struct driver_status last;
	const char *left;

	listen_wait(run_guest(&guest), -1, SIGPWR, end);
	lxc_driver_ops.watch_dispatch(g_driver, GUEST_A, NULL, NULL);
	begin_end(GUEST_A, script);
	last = await_stopped();
	assert_int_equal(last.exit_status, status);
	assert_int_equal(guest_status(GUEST_A).exit_status, status);
	left = node_leftovers(GUEST_A, true);
	if (left)
		fail_msg("left: %s", left);
}

static void a_guest_that_powers_itself_off_ended_well_and_leaves_no_groups(void **state)
{
	(void)state;
	assert_ends("poweroff -n -f", 0);
	/* Shut down by what its init does when asked. */
	assert_ends("kill -PWR 1", 0);
}

static void an_init_that_ends_leaves_its_status(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	int64_t end = clock_monotonic_ns() + WAIT_MS * 1000000LL;
	char root[PATH_MAX];

	(void)state;
	snprintf(root, sizeof(root), "%s/private/status", node_dir());
	node_make_rootfs(root, "#!/bin/sh\ntrap 'exit 7' USR1\n: >/tmp/ready\nwhile :; do sleep "
			       "1000 & wait $!; done\n");
	guest.rootfs = root;
	run_guest(&guest);
	lxc_driver_ops.watch_dispatch(g_driver, GUEST_A, NULL, NULL);
	while (run_in(GUEST_A, "test -e /tmp/ready") != 0)
		assert_true(clock_monotonic_ns() < end);
	begin_end(GUEST_A, "kill -USR1 1");
	assert_int_equal(await_stopped().exit_status, 7 << 8);
	/* Killed from outside. */
	kill(run_guest(&guest), SIGKILL);
	assert_int_equal(await_stopped().exit_status, SIGKILL);
	/* The next start begins anew. */
	run_guest(&guest);
	assert_int_equal(guest_status(GUEST_A).exit_status, -1);
}

static void what_was_stopped_or_killed_has_no_status_of_its_own(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct err err = {0};

	(void)state;
	run_guest(&guest);
	check(lxc_driver_ops.stop(g_driver, GUEST_A, 5000, &err), &err);
	assert_int_equal(guest_status(GUEST_A).state, GUEST_STOPPED);
	assert_int_equal(guest_status(GUEST_A).exit_status, -1);
	run_guest(&guest);
	check(lxc_driver_ops.kill(g_driver, GUEST_A, &err), &err);
	assert_int_equal(guest_status(GUEST_A).exit_status, -1);
	/* A monitor that is killed takes its guest with it: nobody saw the end. */
	await_end(({
		pid_t init = run_guest(&guest);

		kill(parent_of(init), SIGKILL);
		init;
	}));
	assert_int_equal(guest_status(GUEST_A).exit_status, -1);
}

static void a_guest_that_reboots_runs_on_with_another_init(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_status status;
	int64_t end = clock_monotonic_ns() + WAIT_MS * 1000000LL;
	pid_t first;

	(void)state;
	guest.limits.pids = has("pids") ? 55 : 0;
	first = run_guest(&guest);
	begin_end(GUEST_A, "reboot -n -f");
	await_end(first);
	while ((status = guest_status(GUEST_A)).state != GUEST_RUNNING)
		assert_true(clock_monotonic_ns() < end);
	assert_int_not_equal(status.pid, first);
	assert_int_equal(run_in(GUEST_A, "true"), 0);
	if (has("pids"))
		assert_string_equal(kernel("pids", "pids.max", "pids.max"), "55");
}

static void an_init_that_exits_at_once_is_told_with_its_status(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_status status;
	char root[PATH_MAX];
	int r = 0;

	(void)state;
	snprintf(root, sizeof(root), "%s/private/brief", node_dir());
	node_make_rootfs(root, "#!/bin/sh\nexit 3\n");
	guest.rootfs = root;
	for (int i = 0; i < 5; i++) {
		struct err err = {0};

		check(lxc_driver_ops.create(g_driver, &guest, &err), &err);
		r = lxc_driver_ops.start(g_driver, GUEST_A, &status, &err);
		/* It may have been seen running. */
		if (r < 0 && !strstr(err.message, "ended at once"))
			fail_msg("%s", err.message);
		if (r == 0)
			assert_int_equal(await_stopped().exit_status, 3 << 8);
	}
	assert_int_equal(guest_status(GUEST_A).state, GUEST_STOPPED);
	assert_null(node_leftovers(GUEST_A, true));
}

/* Another driver on the host may be about to make its guest's groups in it. */
static void the_group_above_all_guests_outlives_the_last_one(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct err err = {0};

	(void)state;
	run_guest(&guest);
	check(lxc_driver_ops.destroy(g_driver, GUEST_A, &err), &err);
	assert_null(node_leftovers(GUEST_A, false));
	for (size_t i = 0; i < g_groups.cgroups.count; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", g_groups.cgroups.hierarchies[i].mount,
			g_groups.root);
		assert_int_equal(access(path, F_OK), 0);
	}
}

/* --- Statistics ------------------------------------------------------------------------------- */

static void statistics_are_of_those_that_run(void **state)
{
	struct driver_guest a = facts(GUEST_A), b = facts(GUEST_B);
	struct driver_stats *list = NULL;
	struct err err = {0};
	size_t count = 9;

	(void)state;
	check(lxc_driver_ops.create(g_driver, &a, &err), &err);
	check(lxc_driver_ops.stats(g_driver, NULL, &list, &count, &err), &err);
	assert_int_equal(count, 0);
	free(list);
	assert_true(lxc_driver_ops.stats(g_driver, GUEST_A, &list, &count, &err) < 0);
	assert_int_equal(err.code, ERR_ILLEGAL_STATE);
	assert_true(lxc_driver_ops.stats(g_driver, "00000000dead", &list, &count, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	run_guest(&a);
	run_guest(&b);
	check(lxc_driver_ops.stats(g_driver, NULL, &list, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_not_equal(list[0].id, list[1].id);
	free(list);
	assert_true(stats_of(GUEST_A).cpu_ns > 0);
	if (has("memory"))
		assert_in_range(stats_of(GUEST_A).memory, 1, 64 * MIB);
	if (has("pids"))
		assert_in_range(stats_of(GUEST_A).pids, 1, 8);
	kill(guest_status(GUEST_A).pid, SIGKILL);
	await_stopped();
	check(lxc_driver_ops.stats(g_driver, NULL, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].id, GUEST_B);
	free(list);
}

/* --- Lines added by hand ---------------------------------------------------------------------- */

static void put_addition(const char *name, const char *text)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", g_additions, name);
	if (text)
		assert_int_equal(file_replace(path, text, 0644, false), 0);
	else
		unlink(path);
}

static void lines_added_by_hand_are_taken_up_at_each_start(void **state)
{
	const char *raw[] = {"lxc.environment = RAW=1", NULL};
	struct driver_guest guest = facts(GUEST_A);
	struct driver_status status;
	struct err err = {0};

	(void)state;
	guest.raw = raw;
	put_addition("all.conf", "lxc.environment = ALL=2\n");
	put_addition("a.example.org.conf", "# of one\nlxc.environment = ONE=3\n");
	run_guest(&guest);
	for (int i = 0; i < 3; i++) {
		static const char *const words[] = {"RAW=1", "ALL=2", "ONE=3"};
		char script[64];

		snprintf(script, sizeof(script), "grep -q %s /proc/1/environ", words[i]);
		assert_int_equal(run_in(GUEST_A, script), 0);
	}
	/* A fault in one keeps the guest from starting, and says where. */
	put_addition("all.conf", "lxc.net.0.type = none\n");
	check(lxc_driver_ops.kill(g_driver, GUEST_A, &err), &err);
	assert_true(lxc_driver_ops.start(g_driver, GUEST_A, &status, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "all.conf:1");
	put_addition("all.conf", NULL);
	put_addition("a.example.org.conf", NULL);
	check(lxc_driver_ops.start(g_driver, GUEST_A, &status, &err), &err);
	assert_int_not_equal(run_in(GUEST_A, "grep -q ALL /proc/1/environ"), 0);
}

static void raw_lines_that_cannot_be_are_refused_at_once(void **state)
{
	const char *raw[] = {"lxc.environment = RAW=1", "lxc.rootfs.path = dir:/", NULL};
	struct driver_guest guest = facts(GUEST_A);
	struct err err = {0};

	(void)state;
	guest.raw = raw;
	assert_true(lxc_driver_ops.create(g_driver, &guest, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "raw[1]");
	raw[1] = "lxc.bogus = 1";
	assert_true(lxc_driver_ops.create(g_driver, &guest, &err) < 0);
	assert_string_equal(err.field, "raw[1]");
	raw[1] = NULL;
	run_guest(&guest);
	raw[0] = "lxc.include = /etc/passwd";
	assert_true(lxc_driver_ops.update(g_driver, &guest, &err) < 0);
	assert_string_equal(err.field, "raw[0]");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(a_guest_that_powers_itself_off_ended_well_and_leaves_no_groups),
		guest_test(an_init_that_ends_leaves_its_status),
		guest_test(what_was_stopped_or_killed_has_no_status_of_its_own),
		guest_test(a_guest_that_reboots_runs_on_with_another_init),
		guest_test(an_init_that_exits_at_once_is_told_with_its_status),
		guest_test(the_group_above_all_guests_outlives_the_last_one),
		guest_test(statistics_are_of_those_that_run),
		guest_test(lines_added_by_hand_are_taken_up_at_each_start),
		guest_test(raw_lines_that_cannot_be_are_refused_at_once),
	};

	node_enter();
	return cmocka_run_group_tests(tests, open_driver, close_driver);
}
