/* Real LXC guests and their control groups: limits as the kernel has them and as they hold, what
 * is counted, how a guest ends by itself and what is left of it, lines added by hand. The driver is
 * in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/lxc/cgroup.h"
#include "drivers/lxc/lxc.h"
#include "node.h"

#define GUEST_A "0000000000a1"
#define GUEST_B "0000000000b1"
#define MIB	(1024ULL * 1024)
#define WAIT_MS 10000

static struct driver *g_driver;
static struct cgroups g_groups;
static char g_additions[PATH_MAX];

/* --- Words ------------------------------------------------------------------------------------ */

static void check(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%s)", err->message, err->field);
}

static struct driver_guest facts(const char *id)
{
	static char links[2][16];
	char *link = links[id[10] == 'b'];

	/* As node_leftovers expects it. */
	snprintf(link, 16, "cvt%.8s", id + 4);
	return (struct driver_guest){.id = id,
		.name = id[10] == 'a' ? "a.example.org" : "b.example.org",
		.rootfs = node_rootfs(ROOTFS_PLAIN),
		.net = {.bridge = NODE_BRIDGE,
			.link = link,
			.mac = {0x00, 0x16, 0x3e, 0, 0, (uint8_t)id[10]},
			.address = 0x0a630010U + (uint32_t)id[10],
			.prefix = 24}};
}

static pid_t run_guest(const struct driver_guest *guest)
{
	struct driver_status status;
	struct err err = {0};

	check(lxc_driver_ops.create(g_driver, guest, &err), &err);
	check(lxc_driver_ops.start(g_driver, guest->id, &status, &err), &err);
	assert_int_equal(status.state, GUEST_RUNNING);
	assert_int_equal(status.exit_status, -1);
	return status.pid;
}

static struct driver_status status_of(const char *id)
{
	struct driver_status status = {0};
	struct err err = {0};

	check(lxc_driver_ops.status(g_driver, id, &status, &err), &err);
	return status;
}

static struct driver_stats stats_of(const char *id)
{
	struct driver_stats *list = NULL, one;
	struct err err = {0};
	size_t count = 0;

	check(lxc_driver_ops.stats(g_driver, id, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].id, id);
	one = list[0];
	free(list);
	return one;
}

/* Begins a command in the guest; returns what its wait status comes from, or -1. */
static int try_begin(const char *id, const char *script, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pair[2], r;
	pid_t pid;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	r = lxc_driver_ops.exec(g_driver, id,
		&(struct driver_exec){.argv = argv,
			.stdin_fd = null,
			.stdout_fd = null,
			.stderr_fd = null,
			.status_fd = pair[1]},
		&pid, err);
	close(pair[1]);
	if (r == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

static int begin(const char *id, const char *script)
{
	struct err err = {0};
	int fd = try_begin(id, script, &err);

	check(fd, &err);
	return fd;
}

/* A command that ends the guest may take with it what waits for its beginning. */
static void begin_end(const char *id, const char *script)
{
	fd_close(try_begin(id, script, NULL));
}

static int finish(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status = -1;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_true(read(fd, &status, sizeof(status)) >= 0);
	close(fd);
	return status;
}

static int run_in(const char *id, const char *script)
{
	return finish(begin(id, script));
}

static void update(const struct driver_guest *guest)
{
	struct err err = {0};

	check(lxc_driver_ops.update(g_driver, guest, &err), &err);
}

/* Waits for the end of a process that is not our child. */
static void await_end(pid_t pid)
{
	AUTOCLOSE int fd = process_pidfd(pid);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd >= 0)
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static pid_t parent_of(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	assert_int_equal(file_read(path, 4096, &text, NULL), 0);
	assert_int_equal(sscanf(strrchr(text, ')'), ") %*c %d", &parent), 1);
	return parent;
}

/* --- The kernel's files ----------------------------------------------------------------------- */

static bool has(const char *controller)
{
	return cgroups_with(&g_groups, controller) != NULL;
}

static bool is_v2(const char *controller)
{
	const struct cgroup_hierarchy *h = cgroups_with(&g_groups, controller);

	return h && h->v2;
}

static bool has_io(void)
{
	return has("io") || has("blkio");
}

static const char *kernel(const char *controller, const char *v1, const char *v2)
{
	static char text[4096];
	AUTOFREE char *all = NULL;

	if (cgroup_read(&g_groups, controller, GUEST_A, is_v2(controller) ? v2 : v1, &all) < 0)
		return "";
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(all, "\n"), all);
	return text;
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

static void need(const char *controller)
{
	if (!has(controller))
		skip();
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void limits_are_the_kernels_from_the_start_and_after_each_change(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	need("memory");
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
	need("memory");
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
	need("memory");
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
	need("memory");
	if (!has_io())
		skip();
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
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
}

static void a_cpu_limit_holds_and_its_throttling_is_counted(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_stats before, after;
	int64_t begun, ns;
	double share;

	(void)state;
	need("cpu");
	guest.limits.cpu_milli = 1000;
	run_guest(&guest);
	guest.limits.cpu_milli = 200;
	update(&guest);
	before = stats_of(GUEST_A);
	begun = clock_monotonic_ns();
	run_in(GUEST_A, "timeout 1 sh -c 'while :; do :; done'");
	ns = clock_monotonic_ns() - begun;
	after = stats_of(GUEST_A);
	share = (double)(after.cpu_ns - before.cpu_ns) / (double)ns;
	print_message("           %.3f of a cpu, 0.2 allowed\n", share);
	assert_true(share < 0.24);
	assert_true(after.cpu_throttled > before.cpu_throttled);
	assert_true(after.cpu_periods > before.cpu_periods);
	assert_true(after.cpu_throttled_ns > before.cpu_throttled_ns);
}

static void a_pids_limit_stops_forks_and_is_counted(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	need("pids");
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
	need("memory");
	guest.limits.memory = 32 * MIB;
	init = run_guest(&guest);
	neighbour = run_guest(&other);
	status = run_in(GUEST_A, "dd if=/dev/zero of=/dev/null bs=64M count=1");
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) - 128 : WTERMSIG(status), SIGKILL);
	assert_int_equal(stats_of(GUEST_A).oom_kills, 1);
	assert_int_equal(stats_of(GUEST_B).oom_kills, 0);
	assert_true(stats_of(GUEST_A).memory <= 32 * MIB);
	assert_true(stats_of(GUEST_A).memory_peak > 16 * MIB);
	assert_int_equal(status_of(GUEST_A).pid, init);
	assert_int_equal(status_of(GUEST_B).pid, neighbour);
	assert_int_equal(run_in(GUEST_B, "true"), 0);
}

/* --- Disks ------------------------------------------------------------------------------------ */

/* A file system on a loop device over a file in memory; gone with the mount. */
static void mount_disk(const char *where, char disk[static 16])
{
	AUTOCLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	char file[PATH_MAX], device[32];
	struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	struct err err = {0};
	struct stat st;

	assert_true(number >= 0);
	snprintf(file, sizeof(file), "%s/disk", node_dir());
	snprintf(device, sizeof(device), "/dev/loop%d", number);
	AUTOCLOSE int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	AUTOCLOSE int loop = open(device, O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)(160 * MIB)), 0);
	check(process_run(&(struct process_options){.argv = (const char *[]){"mkfs.btrfs", "-q",
							    file, NULL},
				  .stdin_fd = -1,
				  .stdout_fd = -1,
				  .timeout_ms = WAIT_MS},
		      &err),
		&err);
	config.fd = (uint32_t)fd;
	assert_int_equal(ioctl(loop, LOOP_CONFIGURE, &config), 0);
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
	/* An emulated machine takes its time to begin. */
	assert_true(rate > (double)limit * (getenv("CORPUS_TEST_ON_DISK") ? 0.2 : 0.8));
}

static void bandwidth_of_the_disk_is_limited_both_ways(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char root[PATH_MAX], disk[16];
	struct driver_stats before, after;
	int64_t begun;

	(void)state;
	if (!has_io())
		skip();
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
	struct driver_status last;
	const char *left;

	run_guest(&guest);
	lxc_driver_ops.watch_dispatch(g_driver, GUEST_A, NULL, NULL);
	begin_end(GUEST_A, script);
	last = await_stopped();
	assert_int_equal(last.exit_status, status);
	assert_int_equal(status_of(GUEST_A).exit_status, status);
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
	assert_int_equal(status_of(GUEST_A).exit_status, -1);
}

static void what_was_stopped_or_killed_has_no_status_of_its_own(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct err err = {0};

	(void)state;
	run_guest(&guest);
	check(lxc_driver_ops.stop(g_driver, GUEST_A, 5000, &err), &err);
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	assert_int_equal(status_of(GUEST_A).exit_status, -1);
	run_guest(&guest);
	check(lxc_driver_ops.kill(g_driver, GUEST_A, &err), &err);
	assert_int_equal(status_of(GUEST_A).exit_status, -1);
	/* A monitor that is killed takes its guest with it: nobody saw the end. */
	await_end(({
		pid_t init = run_guest(&guest);

		kill(parent_of(init), SIGKILL);
		init;
	}));
	assert_int_equal(status_of(GUEST_A).exit_status, -1);
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
	while ((status = status_of(GUEST_A)).state != GUEST_RUNNING)
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
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	assert_null(node_leftovers(GUEST_A, true));
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
	kill(status_of(GUEST_A).pid, SIGKILL);
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

/* ---------------------------------------------------------------------------------------------- */

static int remove_all(void **state)
{
	const char *ids[] = {GUEST_A, GUEST_B};
	const char *left = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct err err = {0};

		if (lxc_driver_ops.destroy(g_driver, ids[i], &err) < 0)
			fprintf(stderr, "%s\n", err.message);
		lxc_driver_ops.watch_dispatch(g_driver, ids[i], NULL, NULL);
		left = left ? left : node_leftovers(ids[i], false);
	}
	if (left)
		fprintf(stderr, "left: %s\n", left);
	return left ? -1 : 0;
}

static int open_driver(void **state)
{
	static char dirs[3][PATH_MAX];
	struct driver_config config = {.state_dir = dirs[0],
		.run_dir = dirs[1],
		.log_dir = dirs[2],
		.additions_dir = g_additions};
	struct err err = {0};

	(void)state;
	snprintf(dirs[0], PATH_MAX, "%s/state", node_dir());
	snprintf(dirs[1], PATH_MAX, "%s/run", node_dir());
	snprintf(dirs[2], PATH_MAX, "%s/log", node_dir());
	snprintf(g_additions, PATH_MAX, "%s/additions", node_dir());
	check(file_mkdirs(g_additions, 0755), &err);
	check(lxc_driver_ops.open(&config, &g_driver, &err), &err);
	check(cgroups_find(&g_groups, &err), &err);
	return lxc_driver_ops.watch_fd(g_driver, &err) < 0;
}

static int close_driver(void **state)
{
	(void)state;
	lxc_driver_ops.close(g_driver);
	return 0;
}

#define guest_test(f) cmocka_unit_test_teardown(f, remove_all)

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
		guest_test(a_guest_that_powers_itself_off_ended_well_and_leaves_no_groups),
		guest_test(an_init_that_ends_leaves_its_status),
		guest_test(what_was_stopped_or_killed_has_no_status_of_its_own),
		guest_test(a_guest_that_reboots_runs_on_with_another_init),
		guest_test(an_init_that_exits_at_once_is_told_with_its_status),
		guest_test(statistics_are_of_those_that_run),
		guest_test(lines_added_by_hand_are_taken_up_at_each_start),
		guest_test(raw_lines_that_cannot_be_are_refused_at_once),
	};

	node_enter();
	return cmocka_run_group_tests(tests, open_driver, close_driver);
}
