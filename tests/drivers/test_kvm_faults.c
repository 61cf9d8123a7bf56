/* The KVM driver while libvirtd goes away, hangs, or is killed in the middle of a call: guests go
 * on, calls fail in time and say why, and what was begun can be finished. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "conformance/guests.h"
#include "kvm_machines.h"
#include "kvm_node.h"

#define SECOND INT64_C(1000000000)
#define MIB    (1024ULL * 1024)

/* --- Words ----------------------------------------------------------------------------------- */

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void take_daemon_away(void)
{
	if (kill(kvm_node_libvirtd(), 0) == 0)
		kvm_node_signal(SIGKILL);
}

static int bring_daemon_back(void **state)
{
	(void)state;
	unsetenv("CORPUS_FAULT");
	take_daemon_away(); /* also one that hangs */
	kvm_node_start();
	return guests_remove_all(state);
}

static void expect_runs(pid_t pid)
{
	assert_int_equal(0, kill(pid, 0));
}

/* Fails within the time, in a way that says what is the matter. */
static void expect_unavailable(struct driver_request request, int seconds)
{
	int64_t begun = clock_monotonic_ns();
	struct outcome o = call_fails(request, ERR_UNAVAILABLE);

	assert_true(clock_monotonic_ns() - begun < seconds * SECOND);
	assert_non_null(strstr(o.error.message, "libvirt"));
}

static void expect_all_calls_unavailable(int seconds)
{
	static const enum driver_call calls[] = {DRIVER_CALL_START, DRIVER_CALL_STOP,
		DRIVER_CALL_KILL, DRIVER_CALL_DESTROY, DRIVER_CALL_FREEZE};
	struct outcome o;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		expect_unavailable(
			(struct driver_request){
				.call = calls[i], .id = GUEST_A, .timeout_ms = 1000},
			seconds);
	assert_int_equal(status_at_once(GUEST_A).state, GUEST_UNKNOWN);
	o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_int_equal(o.statuses_count, 1);
	assert_int_equal(o.statuses[0].state, GUEST_UNKNOWN);
}

/* --- Away, and hung -------------------------------------------------------------------------- */

static void guests_go_on_without_libvirtd_and_are_known_again_with_it(void **state)
{
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	take_daemon_away();
	subject_wait_event(subject(), GUEST_A, GUEST_UNKNOWN);
	expect_runs(pid);
	expect_all_calls_unavailable(30);
	/* What needs no libvirt is done. */
	define_guest(GUEST_B, ROOTFS_PLAIN);
	expect_runs(pid);
	subject_forget_events(subject());
	kvm_node_start();
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	assert_int_equal(status_of(GUEST_A).pid, pid);
	stop_guest(GUEST_A, 10000);
	assert_process_gone(pid);
	assert_nothing_left(GUEST_A, true);
}

static void what_ends_without_libvirtd_is_told_when_it_is_back(void **state)
{
	struct driver_status status;
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	take_daemon_away();
	subject_wait_event(subject(), GUEST_A, GUEST_UNKNOWN);
	kill(pid, SIGKILL);
	kvm_node_start();
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	status = status_of(GUEST_A);
	assert_int_equal(status.pid, 0);
	assert_int_equal(status.exit_status, 1 << 8);
}

static void a_libvirtd_that_hangs_is_noticed_and_costs_no_call_its_deadline(void **state)
{
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	kvm_node_signal(SIGSTOP);
	expect_unavailable((struct driver_request){.call = DRIVER_CALL_START, .id = GUEST_A}, 30);
	assert_int_equal(status_at_once(GUEST_A).state, GUEST_UNKNOWN);
	subject_wait_event(subject(), GUEST_A, GUEST_UNKNOWN);
	expect_runs(pid);
	kvm_node_signal(SIGCONT);
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	assert_int_equal(status_of(GUEST_A).pid, pid);
}

/* --- Killed in the middle -------------------------------------------------------------------- */

struct moment {
	enum driver_call call;
	const char *point; /* where the driver waits meanwhile; NULL: it does not */
	long after_ms;
};

static void repeat_to_the_end(const struct moment *m, struct driver_request request)
{
	call_ok(request);
	if (m->call == DRIVER_CALL_START)
		assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	if (m->call == DRIVER_CALL_STOP)
		assert_nothing_left(GUEST_A, true);
	destroy_guest(GUEST_A);
}

static void kill_libvirtd_at(const struct moment *m)
{
	struct driver_request request = {.call = m->call, .id = GUEST_A, .timeout_ms = 5000};
	AUTOFREE char *rule = NULL;
	pid_t killer;

	define_guest(GUEST_A, ROOTFS_PLAIN);
	if (m->call != DRIVER_CALL_START)
		start_guest(GUEST_A);
	assert_true(asprintf(&rule, "%s=wait:400", m->point ? m->point : "none") > 0);
	setenv("CORPUS_FAULT", rule, 1);
	subject_crash(subject());
	call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	killer = fork();
	if (killer == 0) {
		sleep_ms(m->after_ms);
		kill(kvm_node_libvirtd(), SIGKILL);
		_exit(0);
	}
	call(request);
	waitpid(killer, NULL, 0);
	unsetenv("CORPUS_FAULT");
	subject_crash(subject());
	take_daemon_away();
	kvm_node_start();
	repeat_to_the_end(m, request);
}

static void libvirtd_killed_in_any_call_costs_only_a_repeat(void **state)
{
	static const struct moment moments[] = {
		{DRIVER_CALL_START, "driver.kvm.start.cleared", 200},
		{DRIVER_CALL_START, "driver.kvm.start.defined", 200},
		{DRIVER_CALL_START, NULL, 80},
		{DRIVER_CALL_START, NULL, 200},
		{DRIVER_CALL_START, "driver.kvm.start.created", 500},
		{DRIVER_CALL_STOP, "driver.kvm.stop.marked", 200},
		{DRIVER_CALL_STOP, "driver.kvm.stop.asked", 200},
		{DRIVER_CALL_DESTROY, "driver.kvm.stop.killed", 200},
		{DRIVER_CALL_DESTROY, "driver.kvm.destroy.ended", 500},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		print_message("           killed in %s at %s\n",
			driver_call_to_string(moments[i].call),
			moments[i].point ? moments[i].point : "work");
		kill_libvirtd_at(&moments[i]);
	}
}

/* --- The driver's own processes -------------------------------------------------------------- */

/* The one that waits for libvirt's events is the driver's only lasting child. */
/* The kernel may leave out children of a process that is at work (proc(5)). */
static pid_t watcher_of(pid_t driver)
{
	int64_t end = clock_monotonic_ns() + 60 * SECOND;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", driver, driver);
	while (clock_monotonic_ns() < end) {
		AUTOFREE char *text = NULL;

		assert_int_equal(0, file_read(path, 4096, &text, NULL));
		if (atoi(text) > 1)
			return atoi(text);
		sleep_ms(10);
	}
	fail_msg("nothing watches");
	return 0;
}

static void await_gone(pid_t pid)
{
	int64_t end = clock_monotonic_ns() + 60 * SECOND;

	while (kill(pid, 0) == 0 && clock_monotonic_ns() < end)
		sleep_ms(10);
	assert_process_gone(pid);
}

static void what_watches_is_replaced_when_it_dies_and_ends_with_the_driver(void **state)
{
	pid_t pid, watcher;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	watcher = watcher_of(subject_pid(subject()));
	kill(watcher, SIGKILL);
	subject_wait_event(subject(), GUEST_A, GUEST_UNKNOWN);
	subject_wait_event(subject(), GUEST_A, GUEST_RUNNING);
	kill(pid, SIGKILL);
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	watcher = watcher_of(subject_pid(subject()));
	kill(subject_pid(subject()), SIGKILL);
	await_gone(watcher);
	subject_crash(subject());
}

/* What sanitizers add to a process is many times its own size. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static uint64_t memory_of(pid_t pid)
{
	AUTOFREE char *text = NULL;
	unsigned long kib = 0;
	const char *at;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	assert_int_equal(0, file_read(path, 65536, &text, NULL));
	at = strstr(text, "\nPss:");
	assert_non_null(at);
	assert_int_equal(1, sscanf(at, "\nPss: %lu", &kib));
	return kib * 1024;
}

static void fifty_guests_take_less_than_sixteen_mebibytes(void **state)
{
	uint64_t host, watcher;
	pid_t pid;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);
		char id[GUEST_ID_LEN + 1];

		snprintf(id, sizeof(id), "%012x", i + 256);
		guest.id = id;
		call_ok((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
	}
	subject_crash(subject());
	assert_int_equal(
		50, call_ok((struct driver_request){.call = DRIVER_CALL_LIST}).statuses_count);
	/* What watches has looked at them, too. */
	subject_wait_event(subject(), "000000000131", GUEST_STOPPED);
	pid = subject_pid(subject());
	host = memory_of(pid);
	watcher = memory_of(watcher_of(pid));
	print_message("           %.1f MiB and %.1f MiB\n", (double)host / (double)MIB,
		(double)watcher / (double)MIB);
	assert_true(host + watcher <= 16 * MIB);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(guests_go_on_without_libvirtd_and_are_known_again_with_it,
			bring_daemon_back),
		cmocka_unit_test_teardown(
			what_ends_without_libvirtd_is_told_when_it_is_back, bring_daemon_back),
		cmocka_unit_test_teardown(
			a_libvirtd_that_hangs_is_noticed_and_costs_no_call_its_deadline,
			bring_daemon_back),
		cmocka_unit_test_teardown(
			libvirtd_killed_in_any_call_costs_only_a_repeat, bring_daemon_back),
		guest_test(what_watches_is_replaced_when_it_dies_and_ends_with_the_driver),
		guest_test_if(!SANITIZED, fifty_guests_take_less_than_sixteen_mebibytes),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	struct environment e = {.program = KVM_PROGRAM,
		.bridge = NODE_BRIDGE,
		.disk = kvm_machine_disk,
		.leftovers = kvm_node_leftovers};
	int failed;

	kvm_node_enter();
	e.config = node_config();
	guests_begin(&e);
	failed = cmocka_run_group_tests_name("kvm faults", tests, NULL, NULL);
	guests_end();
	return failed;
}
