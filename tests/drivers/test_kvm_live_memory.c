/* The memory of a machine that runs is saved in files, and it goes on from there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "conformance/program.h"
#include "drivers/kvm/kvm.h"
#include "kvm_live.h"
#include "kvm_node.h"

static int save(struct result *ret)
{
	return kvm_driver_ops.save(g_driver, ID, &ret->err);
}

/* What is kept nowhere but in its memory. */
static void mark(void)
{
	free(guest_says("mkdir -p /run/m; mount -t tmpfs m /run/m; echo mine >/run/m/mark"));
}

static void assert_marked(void)
{
	AUTOFREE char *text = NULL;

	wait_for_agent();
	text = guest_says("cat /run/m/mark");
	assert_string_equal(text, "mine\n");
}

/* Its clock is a real one's, which knows seconds, read and set by a guest that may be slow. */
static void await_clock(void)
{
	long long now = time(NULL);
	char line[128];

	snprintf(line, sizeof(line), "echo $(($(date +%%s) - %lld))", now);
	await_number(line, -5, LIVE_PATIENCE_S);
}

static bool left_over(void)
{
	return access(in_volume("memory"), F_OK) == 0 ||
	       access(in_volume("memory.new"), F_OK) == 0 ||
	       access(in_volume("memory.going"), F_OK) == 0;
}

void a_machine_goes_on_from_its_memory_with_the_time_and_the_limits_of_now(void **state)
{
	(void)state;
	mark();
	free(guest_says("date -s 2001-01-01"));
	live_ok(save);
	assert_false(runs());
	assert_int_equal(access(in_volume("memory"), F_OK), 0);
	live_ok(save);
	g_guest.limits.cpu_milli = 1000;
	live_ok(update);
	live_ok(start);
	assert_true(runs());
	assert_false(left_over());
	assert_marked();
	assert_int_equal(quota(), 100000);
	await_clock();
	g_guest.limits.cpu_milli = 0;
	live_ok(update);
	live_ok(start);
	assert_true(runs());
}

void a_save_or_a_start_cut_off_anywhere_is_finished_by_its_repeat(void **state)
{
	static const char *const saves[] = {
		"driver.kvm.save.before", "driver.kvm.save.written", "driver.kvm.save.taken"};
	static const char *const starts[] = {"driver.kvm.restore.before",
		"driver.kvm.restore.paused", "driver.kvm.restore.renamed",
		"driver.kvm.restore.resumed"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		if (i < ARRAY_SIZE(saves))
			live_killed_at(saves[i], save);
		live_ok(save);
		assert_false(runs());
		live_killed_at(starts[i], start);
		live_ok(start);
		assert_true(runs());
		assert_false(left_over());
		assert_marked();
	}
}

/* To the middle of it, or to its end where that is reached before this is seen. */
static pid_t begin_save(void)
{
	int64_t end = clock_monotonic_ns() + LIVE_PATIENCE_S * INT64_C(1000000000);
	pid_t pid = live_begin(save, "");

	while (access(in_volume("memory.new"), F_OK) < 0 && access(in_volume("memory"), F_OK) < 0) {
		assert_true(clock_monotonic_ns() < end);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return pid;
}

void a_save_whose_caller_dies_is_waited_for(void **state)
{
	pid_t pid = begin_save();

	(void)state;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	live_ok(save);
	assert_false(runs());
	live_ok(start);
	assert_marked();
}

static int save_without_libvirtd(void)
{
	pid_t pid = begin_save();

	kvm_node_signal(SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	kvm_node_start();
	virDomainFree(g_domain);
	virConnectClose(g_conn);
	g_domain = NULL;
	g_conn = virConnectOpen(KVM_NODE_URI);
	assert_non_null(g_conn);
	return g_result->r;
}

void a_save_that_libvirtd_does_not_survive_leaves_the_guest_running(void **state)
{
	(void)state;
	/* One that was quicker says nothing of that. */
	for (int tries = 5; save_without_libvirtd() == 0; tries--) {
		assert_true(tries > 1);
		live_ok(start);
		assert_true(runs());
	}
	assert_int_equal(g_result->err.code, ERR_UNAVAILABLE);
	live_ok(start);
	assert_true(runs());
	assert_false(left_over());
	assert_marked();
}

void memory_that_is_damaged_is_refused_and_kept(void **state)
{
	struct stat st;

	(void)state;
	live_ok(save);
	RUN("cp", in_volume("memory"), in_volume("whole"));
	assert_int_equal(stat(in_volume("memory"), &st), 0);
	assert_int_equal(truncate(in_volume("memory"), st.st_size / 2), 0);
	live_fails(start, ERR_DRIVER);
	assert_non_null(strstr(g_result->err.message, "without it"));
	assert_false(runs());
	assert_int_equal(truncate(in_volume("memory"), 10), 0);
	live_fails(start, ERR_DRIVER);
	assert_int_equal(access(in_volume("memory"), F_OK), 0);
	assert_int_equal(rename(in_volume("whole"), in_volume("memory")), 0);
	live_ok(start);
	assert_true(runs());
	assert_marked();
}

void without_room_the_guest_runs_on(void **state)
{
	const char *small = in_volume("small");

	(void)state;
	assert_int_equal(mkdir(small, 0711), 0);
	assert_int_equal(mount("small", small, "tmpfs", 0, "size=4m"), 0);
	g_disk.memory = in_volume("small/memory");
	live_ok(create);
	live_fails(save, ERR_NO_ROOM);
	assert_true(runs());
	assert_int_equal(access(in_volume("small/memory.new"), F_OK), -1);
	g_disk.memory = in_volume("memory");
	live_ok(create);
	assert_int_equal(umount(small), 0);
	assert_marked();
}
