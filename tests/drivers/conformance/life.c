/* Lives of guests: from their definition to their end, repeated at any point, and across those of
 * the driver itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "groups.h"
#include "guests.h"

/* --- What it is and what it does not know ------------------------------------------------------
 */

static void probe_tells_name_version_and_capabilities(void **state)
{
	struct outcome o = call_ok((struct driver_request){.call = DRIVER_CALL_PROBE});

	(void)state;
	assert_true(o.info.name[0] != '\0');
	assert_true(o.info.version[0] != '\0');
	if (!o.info.usable)
		fail_msg("not usable here: %s", o.info.problem);
}

static void a_guest_that_is_not_defined_is_not_found(void **state)
{
	static const enum driver_call calls[] = {
		DRIVER_CALL_START, DRIVER_CALL_STOP, DRIVER_CALL_KILL, DRIVER_CALL_STATUS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		call_fails((struct driver_request){.call = calls[i], .id = "00000000dead"},
			ERR_NOT_FOUND);
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = "00000000dead"});
}

static void ids_that_we_never_made_are_refused(void **state)
{
	static const char *const ids[] = {
		"", "../../tmp", "..", "a/b", "ABCDEFABCDEF", "0123456789abcdef", "abc def ghi "};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct driver_guest guest = guest_facts(ids[i], ROOTFS_PLAIN);

		o = call((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
		assert_int_not_equal(o.result, 0);
		o = call((struct driver_request){.call = DRIVER_CALL_START, .id = ids[i]});
		assert_int_not_equal(o.result, 0);
		o = call((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = ids[i]});
		assert_int_not_equal(o.result, 0);
	}
	o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_int_equal(o.statuses_count, 0);
}

/* --- Life --------------------------------------------------------------------------------------
 */

static void create_defines_a_stopped_guest_and_can_be_repeated(void **state)
{
	struct outcome o;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	define_guest(GUEST_A, ROOTFS_PLAIN);
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	assert_int_equal(status_of(GUEST_A).pid, 0);
	o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_int_equal(o.statuses_count, 1);
	assert_string_equal(o.statuses[0].id, GUEST_A);
	destroy_guest(GUEST_A);
}

static void start_runs_it_and_can_be_repeated(void **state)
{
	struct driver_status first, second;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	first = start_guest(GUEST_A);
	second = start_guest(GUEST_A);
	assert_int_equal(first.pid, second.pid);
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	assert_int_equal(status_of(GUEST_A).pid, first.pid);
	destroy_guest(GUEST_A);
}

static void stop_ends_it_and_can_be_repeated(void **state)
{
	pid_t pid;
	int64_t begun;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	begun = clock_monotonic_ns();
	stop_guest(GUEST_A, 60000);
	assert_true(clock_monotonic_ns() - begun < 50 * 1000000000LL);
	assert_process_gone(pid);
	assert_nothing_left(GUEST_A, true);
	stop_guest(GUEST_A, 20000);
	start_guest(GUEST_A);
	stop_guest(GUEST_A, 20000);
	destroy_guest(GUEST_A);
}

/* Asked at once, it is not killed when time is up but ends when it hears of it. */
static void a_guest_that_has_just_begun_hears_the_request(void **state)
{
	int64_t begun;

	(void)state;
	define_guest(GUEST_A, ROOTFS_SLOW);
	call_ok((struct driver_request){.call = DRIVER_CALL_START, .id = GUEST_A});
	begun = clock_monotonic_ns();
	stop_guest(GUEST_A, 60000);
	assert_true(clock_monotonic_ns() - begun < 50 * 1000000000LL);
	destroy_guest(GUEST_A);
}

static void kill_ends_it_and_can_be_repeated(void **state)
{
	struct driver_request q = {.call = DRIVER_CALL_KILL, .id = GUEST_A};
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_STUBBORN);
	pid = start_guest(GUEST_A).pid;
	call_ok(q);
	assert_process_gone(pid);
	assert_nothing_left(GUEST_A, true);
	call_ok(q);
	destroy_guest(GUEST_A);
}

static void a_guest_that_ignores_the_request_is_killed_at_the_timeout(void **state)
{
	int64_t begun, ms;
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_STUBBORN);
	pid = start_guest(GUEST_A).pid;
	begun = clock_monotonic_ns();
	stop_guest(GUEST_A, 700);
	ms = (clock_monotonic_ns() - begun) / 1000000;
	assert_in_range(ms, 690, 50000);
	assert_process_gone(pid);
	assert_nothing_left(GUEST_A, true);
	destroy_guest(GUEST_A);
}

static void destroy_of_a_running_guest_leaves_nothing_but_its_root(void **state)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);
	struct stat st;
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	destroy_guest(GUEST_A);
	assert_process_gone(pid);
	assert_int_equal(stat(guest.disk	   ? guest.disk->path
				 : guest.container ? guest.container->data
						   : guest.rootfs,
				 &st),
		0);
	destroy_guest(GUEST_A);
	call_fails(
		(struct driver_request){.call = DRIVER_CALL_STATUS, .id = GUEST_A}, ERR_NOT_FOUND);
	assert_int_equal(
		call_ok((struct driver_request){.call = DRIVER_CALL_LIST}).statuses_count, 0);
}

static void a_guest_without_init_fails_to_start_and_leaves_nothing_running(void **state)
{
	const char *says = environment()->broken_says;

	(void)state;
	define_guest(GUEST_A, ROOTFS_NO_INIT);
	for (int i = 0; i < 2; i++) {
		struct outcome o = call_fails(
			(struct driver_request){.call = DRIVER_CALL_START, .id = GUEST_A},
			ERR_DRIVER);

		assert_non_null(strstr(o.error.message, says ? says : "init"));
		assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
		assert_nothing_left(GUEST_A, true);
	}
	/* Redefined with a root that has one, it starts. */
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	destroy_guest(GUEST_A);
}

static void several_guests_start_and_end_side_by_side(void **state)
{
	const char *const ids[] = {
		GUEST_A, GUEST_B, guest_id('c'), guest_id('d'), guest_id('e'), guest_id('f')};
	struct driver_request q[ARRAY_SIZE(ids)];
	struct outcome o[ARRAY_SIZE(ids)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		define_guest(ids[i], ROOTFS_PLAIN);
		q[i] = (struct driver_request){.call = DRIVER_CALL_START, .id = ids[i]};
	}
	subject_call(subject(), q, o, ARRAY_SIZE(ids));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		if (o[i].result < 0)
			fail_msg("%s: %s", ids[i], o[i].error.message);
		assert_int_equal(o[i].statuses[0].state, GUEST_RUNNING);
		q[i].call = DRIVER_CALL_DESTROY;
	}
	assert_int_equal(call_ok((struct driver_request){.call = DRIVER_CALL_LIST}).statuses_count,
		ARRAY_SIZE(ids));
	subject_call(subject(), q, o, ARRAY_SIZE(ids));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(o[i].result, 0);
		assert_nothing_left(ids[i], false);
	}
}

/* --- Events, and lives of the driver itself ----------------------------------------------------
 */

static void changes_come_as_events(void **state)
{
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	subject_forget_events(subject()); /* that it was stopped when it was defined, too */
	end_guest(pid);
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	assert_nothing_left(GUEST_A, true);
	start_guest(GUEST_A);
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	stop_guest(GUEST_A, 20000);
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	destroy_guest(GUEST_A);
}

static void guests_outlive_the_driver(void **state)
{
	struct outcome o;
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	subject_crash(subject());
	subject_forget_events(subject());
	o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_int_equal(o.statuses_count, 1);
	assert_int_equal(o.statuses[0].state, GUEST_RUNNING);
	assert_int_equal(o.statuses[0].pid, pid);
	/* The new one sees the end of what the old one began. */
	end_guest(pid);
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	start_guest(GUEST_A);
	destroy_guest(GUEST_A);
}

static void run_crashing_call(int in)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);
	struct driver_request calls[] = {
		[CRASH_CREATE] = {.call = DRIVER_CALL_CREATE, .guest = &guest},
		[CRASH_START] = {.call = DRIVER_CALL_START, .id = GUEST_A},
		[CRASH_STOP] = {.call = DRIVER_CALL_STOP, .id = GUEST_A, .timeout_ms = 5000},
		[CRASH_DESTROY] = {.call = DRIVER_CALL_DESTROY, .id = GUEST_A},
	};
	struct outcome o = call(calls[in]);

	assert_int_not_equal(o.result, 0);
	unsetenv("CORPUS_FAULT");
	subject_crash(subject());
	call_ok(calls[in]);
}

static void crash_in_call(const struct crash_point *p)
{
	AUTOFREE char *rule = NULL;

	if (p->in != CRASH_CREATE)
		define_guest(GUEST_A, ROOTFS_PLAIN);
	if (p->in == CRASH_STOP || p->in == CRASH_DESTROY)
		start_guest(GUEST_A);
	assert_true(asprintf(&rule, "%s=kill", p->point) > 0);
	setenv("CORPUS_FAULT", rule, 1);
	subject_crash(subject());
	run_crashing_call(p->in);
	if (p->in == CRASH_START)
		assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	if (p->in == CRASH_STOP)
		assert_nothing_left(GUEST_A, true);
	destroy_guest(GUEST_A);
}

static void a_call_cut_off_anywhere_can_be_repeated(void **state)
{
	const struct crash_point *p = environment()->crash_points;

	(void)state;
	for (; p->point; p++) {
		print_message("           killed at %s\n", p->point);
		crash_in_call(p);
	}
}

static size_t count_fds(pid_t pid)
{
	AUTOFREE char *path = NULL;
	size_t n = 0;

	assert_true(asprintf(&path, "/proc/%d/fd", pid) > 0);
	CLEANUP(closedirp) DIR *dir = opendir(path);

	while (dir && readdir(dir))
		n++;
	return n;
}

/* A call is answered a moment before what belonged to it is closed. */
static void assert_fds_come_down_to(size_t most)
{
	int64_t end = clock_monotonic_ns() + 60 * 1000000000LL;

	while (count_fds(subject_pid(subject())) > most)
		assert_true(clock_monotonic_ns() < end);
}

static void calls_leak_no_descriptors(void **state)
{
	size_t before;

	(void)state;
	/* The first call opens what stays open. */
	call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	before = count_fds(subject_pid(subject()));
	for (int i = 0; i < 4; i++) {
		define_guest(GUEST_A, ROOTFS_PLAIN);
		start_guest(GUEST_A);
		destroy_guest(GUEST_A);
	}
	assert_fds_come_down_to(before);
	call_fails(
		(struct driver_request){.call = DRIVER_CALL_START, .id = GUEST_A}, ERR_NOT_FOUND);
	assert_fds_come_down_to(before);
}

int life_run(const char *name)
{
	const bool real = !environment()->end_played;
	const bool crashes = subject_is_process(subject()) && environment()->crash_points;
	const struct CMUnitTest tests[] = {
		guest_test(probe_tells_name_version_and_capabilities),
		guest_test(a_guest_that_is_not_defined_is_not_found),
		guest_test(ids_that_we_never_made_are_refused),
		guest_test(create_defines_a_stopped_guest_and_can_be_repeated),
		guest_test(start_runs_it_and_can_be_repeated),
		guest_test(stop_ends_it_and_can_be_repeated),
		guest_test(a_guest_that_has_just_begun_hears_the_request),
		guest_test(kill_ends_it_and_can_be_repeated),
		guest_test_if(real, a_guest_that_ignores_the_request_is_killed_at_the_timeout),
		guest_test(destroy_of_a_running_guest_leaves_nothing_but_its_root),
		guest_test(a_guest_without_init_fails_to_start_and_leaves_nothing_running),
		guest_test(several_guests_start_and_end_side_by_side),
		guest_test(changes_come_as_events),
		guest_test(guests_outlive_the_driver),
		guest_test_if(crashes, a_call_cut_off_anywhere_can_be_repeated),
		guest_test(calls_leak_no_descriptors),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
