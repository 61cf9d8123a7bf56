/* Limits of real LXC guests: as the kernel has them in its control groups, as they hold, and what
 * of them is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/program.h"
#include "lxc_guests.h"
#include "need.h"
#include "node.h"
#include "storage/loop.h"

/* --- The kernel's files ----------------------------------------------------------------------- */

static bool has_io(void)
{
	return has("io") || has("blkio");
}

/* Numbers of "no limit" in v1, and "max" in v2. */
static bool is_unlimited(const char *text)
{
	return strncmp(text, "max", 3) == 0 || strncmp(text, "-1", 2) == 0 ||
	       strtoull(text, NULL, 10) > GUEST_SIZE_MAX;
}

static uint64_t sum_limit(const struct guest_limits *l)
{
	return is_v2("memory") ? l->swap : l->memory + l->swap;
}

static bool counts_swap(void)
{
	return *kernel("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
}

static void assert_kernel_has(const struct guest_limits *l)
{
	char cpu[64];

	assert_int_equal(
		strtoull(kernel("memory", "memory.limit_in_bytes", "memory.max"), NULL, 10),
		l->memory);
	assert_int_equal(strtoull(kernel("pids", "pids.max", "pids.max"), NULL, 10), l->pids);
	snprintf(cpu, sizeof(cpu), is_v2("cpu") ? "%u 100000" : "%u", l->cpu_milli * 100);
	assert_string_equal(kernel("cpu", "cpu.cfs_quota_us", "cpu.max"), cpu);
	if (counts_swap() && l->swap)
		assert_int_equal(
			strtoull(kernel("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
				NULL, 10),
			sum_limit(l));
}

static void need_controller(const char *name)
{
	need(has(name), "the controller %s", name);
}

static void need_io(void)
{
	need(has_io(), "the controller io or blkio");
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void limits_are_the_kernels_from_the_start_and_after_each_change(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	need_controller("memory");
	guest.limits = (struct guest_limits){.cpu_milli = 500, .memory = 64 * MIB, .pids = 100};
	run_guest(&guest);
	guest.limits.swap = counts_swap() ? 32 * MIB : 0;
	update(&guest);
	assert_kernel_has(&guest.limits);
	/* Up and down, both sides of what the sum was. */
	for (int i = 0; i < 3; i++) {
		static const uint64_t memory[] = {512 * MIB, 128 * MIB, 96 * MIB};

		guest.limits.memory = memory[i];
		guest.limits.pids += 10;
		guest.limits.cpu_milli += 250;
		update(&guest);
		assert_kernel_has(&guest.limits);
	}
	guest.limits = (struct guest_limits){0};
	update(&guest);
	assert_true(is_unlimited(kernel("memory", "memory.limit_in_bytes", "memory.max")));
	assert_true(is_unlimited(kernel("pids", "pids.max", "pids.max")));
	assert_true(is_unlimited(kernel("cpu", "cpu.cfs_quota_us", "cpu.max")));
}

static void a_changed_limit_is_there_after_the_next_start(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_status status;
	struct err err = {0};

	(void)state;
	need_controller("memory");
	run_guest(&guest);
	guest.limits = (struct guest_limits){.cpu_milli = 1500, .memory = 64 * MIB, .pids = 77};
	guest.limits.swap = counts_swap() ? 8 * MIB : 0;
	update(&guest);
	check(lxc_driver_ops.kill(g_driver, GUEST_A, &err), &err);
	check(lxc_driver_ops.start(g_driver, GUEST_A, &status, &err), &err);
	assert_kernel_has(&guest.limits);
}

static void a_memory_limit_below_what_is_used_is_refused_and_changes_nothing(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct guest_limits before;
	struct err err = {0};

	(void)state;
	need_controller("memory");
	guest.limits = before =
		(struct guest_limits){.cpu_milli = 500, .memory = 64 * MIB, .pids = 100};
	run_guest(&guest);
	/* Files in memory cannot be taken back, unlike those of a disk. */
	assert_int_equal(run_in(GUEST_A, "mount -t tmpfs none /run && "
					 "dd if=/dev/zero of=/run/held bs=1M count=24"),
		0);
	guest.limits = (struct guest_limits){.cpu_milli = 900, .memory = 16 * MIB, .pids = 9};
	assert_true(lxc_driver_ops.update(g_driver, &guest, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "limits.memory");
	assert_non_null(strstr(err.message, "the guest uses 2"));
	assert_int_equal(strtoull(kernel("pids", "pids.max", "pids.max"), NULL, 10), before.pids);
	assert_int_equal(
		strtoull(kernel("memory", "memory.limit_in_bytes", "memory.max"), NULL, 10),
		before.memory);
	assert_int_equal(run_in(GUEST_A, "rm /run/held"), 0);
	update(&guest);
	assert_kernel_has(&guest.limits);
}

static void a_limit_that_cannot_be_set_puts_the_others_back(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct guest_limits before;
	struct err err = {0};

	(void)state;
	need_controller("memory");
	need_io();
	guest.limits = before =
		(struct guest_limits){.cpu_milli = 500, .memory = 64 * MIB, .pids = 100};
	run_guest(&guest);
	guest.limits = (struct guest_limits){
		.cpu_milli = 900, .memory = 128 * MIB, .pids = 9, .io_read = MIB};
	guest.block_device = "240:7"; /* of a number that no disk gets */
	assert_true(lxc_driver_ops.update(g_driver, &guest, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_string_equal(err.field, "limits.io_read");
	guest.limits = before;
	assert_int_equal(strtoull(kernel("pids", "pids.max", "pids.max"), NULL, 10), before.pids);
	assert_int_equal(
		strtoull(kernel("memory", "memory.limit_in_bytes", "memory.max"), NULL, 10),
		before.memory);
	assert_int_equal(guest_status(GUEST_A).state, GUEST_RUNNING);
}

/* Until it has been throttled: where others want the processors, too, it may get less than it may
 * have. */
static void use_processors_until_throttled(uint64_t throttled)
{
	int64_t end = clock_monotonic_ns() + WAIT_MS * 1000000LL;

	do {
		assert_true(clock_monotonic_ns() < end);
		run_in(GUEST_A,
			"for i in 1 2; do timeout 1 sh -c 'while :; do :; done' & done; wait");
	} while (stats_of(GUEST_A).cpu_throttled == throttled);
}

static void a_cpu_limit_holds_and_its_throttling_is_counted(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_stats before, after;
	int64_t begun, ns;
	double share;

	(void)state;
	need_controller("cpu");
	guest.limits.cpu_milli = 1000;
	run_guest(&guest);
	guest.limits.cpu_milli = 200;
	update(&guest);
	before = stats_of(GUEST_A);
	begun = clock_monotonic_ns();
	use_processors_until_throttled(before.cpu_throttled);
	ns = clock_monotonic_ns() - begun;
	after = stats_of(GUEST_A);
	share = (double)(after.cpu_ns - before.cpu_ns) / (double)ns;
	print_message("           %.3f of a cpu, 0.2 allowed\n", share);
	assert_true(share < 0.24);
	assert_true(after.cpu_periods > before.cpu_periods);
	assert_true(after.cpu_throttled_ns > before.cpu_throttled_ns);
}

static void a_pids_limit_stops_forks_and_is_counted(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	need_controller("pids");
	guest.limits.pids = 16;
	run_guest(&guest);
	assert_int_not_equal(run_in(GUEST_A, "for i in 1 2 3 4 5 6 7 8 9 a b c d e f g h i; do "
					     "sleep 60 & done"),
		0);
	assert_true(stats_of(GUEST_A).pids <= 16);
	assert_true(stats_of(GUEST_A).pids > 8);
	assert_true(stats_of(GUEST_A).pids_refused > 0);
}

static void a_hog_is_killed_inside_its_guest_alone_and_counted(void **state)
{
	struct driver_guest guest = facts(GUEST_A), other = facts(GUEST_B);
	pid_t init, neighbour;
	int status;

	(void)state;
	need_controller("memory");
	guest.limits.memory = 32 * MIB;
	init = run_guest(&guest);
	neighbour = run_guest(&other);
	status = run_in(GUEST_A, "dd if=/dev/zero of=/dev/null bs=64M count=1");
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) - 128 : WTERMSIG(status), SIGKILL);
	assert_int_equal(stats_of(GUEST_A).oom_kills, 1);
	assert_int_equal(stats_of(GUEST_B).oom_kills, 0);
	assert_true(stats_of(GUEST_A).memory <= 32 * MIB);
	assert_true(stats_of(GUEST_A).memory_peak > 16 * MIB);
	assert_int_equal(guest_status(GUEST_A).pid, init);
	assert_int_equal(guest_status(GUEST_B).pid, neighbour);
	assert_int_equal(run_in(GUEST_B, "true"), 0);
}

/* --- Disks ------------------------------------------------------------------------------------ */

/* A file system on a loop device over a file in memory; gone with the mount. */
static void mount_disk(const char *where, char disk[static 16])
{
	char file[PATH_MAX], device[LOOP_DEVICE_MAX];
	struct err err = {0};
	struct stat st;

	snprintf(file, sizeof(file), "%s/disk", node_dir());
	check(loop_make(file, 160 * MIB, &err), &err);

	AUTOCLOSE int loop = loop_attach(file, device, &err);

	check(loop, &err);
	assert_int_equal(mkdir(where, 0755), 0);
	assert_int_equal(mount(device, where, "btrfs", 0, NULL), 0);
	assert_int_equal(fstat(loop, &st), 0);
	snprintf(disk, 16, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
}

static void assert_rate(const char *what, uint64_t bytes, int64_t ns, uint64_t limit)
{
	double rate = (double)bytes / ((double)ns / 1e9);

	print_message("           %s: %.2f MiB/s, %.2f allowed\n", what, rate / (double)MIB,
		(double)limit / (double)MIB);
	assert_true(rate < (double)limit * 1.2);
	/* A busy or an emulated machine takes its time to begin. */
	assert_true(rate > (double)limit * 0.1);
}

static void bandwidth_of_the_disk_is_limited_both_ways(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char root[PATH_MAX], disk[16];
	struct driver_stats before, after;
	int64_t begun;

	(void)state;
	need_io();
	snprintf(root, sizeof(root), "%s/private/disk", node_dir());
	mount_disk(root, disk);
	node_make_rootfs(
		root, "#!/bin/sh\ntrap 'exit 0' PWR\nwhile :; do sleep 1000 & wait; done\n");
	guest.rootfs = root;
	guest.block_device = disk;
	guest.limits = (struct guest_limits){.io_write = 4 * MIB};
	run_guest(&guest);
	before = stats_of(GUEST_A);
	begun = clock_monotonic_ns();
	assert_int_equal(
		run_in(GUEST_A, "dd if=/dev/zero of=/tmp/f bs=64k count=64 oflag=direct"), 0);
	assert_rate("written", 4 * MIB, clock_monotonic_ns() - begun, 4 * MIB);
	after = stats_of(GUEST_A);
	assert_in_range(after.io_write_bytes - before.io_write_bytes, 4 * MIB, 5 * MIB);
	assert_true(after.io_writes > before.io_writes);
	guest.limits = (struct guest_limits){.io_read = 8 * MIB};
	update(&guest);
	begun = clock_monotonic_ns();
	assert_int_equal(
		run_in(GUEST_A,
			"for i in 1 2; do dd if=/tmp/f of=/dev/null bs=64k iflag=direct; done"),
		0);
	assert_rate("read", 8 * MIB, clock_monotonic_ns() - begun, 8 * MIB);
	assert_true(stats_of(GUEST_A).io_read_bytes - after.io_read_bytes >= 8 * MIB);
	guest.limits = (struct guest_limits){0};
	update(&guest);
	assert_null(strstr(
		kernel(has("io") ? "io" : "blkio", "blkio.throttle.read_bps_device", "io.max"),
		disk));
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(limits_are_the_kernels_from_the_start_and_after_each_change),
		guest_test(a_changed_limit_is_there_after_the_next_start),
		guest_test(a_memory_limit_below_what_is_used_is_refused_and_changes_nothing),
		guest_test(a_limit_that_cannot_be_set_puts_the_others_back),
		guest_test(a_cpu_limit_holds_and_its_throttling_is_counted),
		guest_test(a_pids_limit_stops_forks_and_is_counted),
		guest_test(a_hog_is_killed_inside_its_guest_alone_and_counted),
		guest_test(bandwidth_of_the_disk_is_limited_both_ways),
	};

	node_enter();
	return cmocka_run_group_tests(tests, open_driver, close_driver);
}
