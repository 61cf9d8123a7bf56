/* What is read of running machines: what they use, by libvirt's figures and the kernel's files of
 * either kind of control groups; what they are made of, by libvirt's XML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <libvirt/libvirt.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/machine.h"
#include "drivers/kvm/stats.h"

#define MIB (1024ULL * 1024)

/* --- Figures ---------------------------------------------------------------------------------- */

struct params {
	virTypedParameterPtr list;
	int n, max;
};

static void add(struct params *p, const char *name, unsigned long long value)
{
	assert_int_equal(virTypedParamsAddULLong(&p->list, &p->n, &p->max, name, value), 0);
}

static void finish(struct params *p)
{
	virTypedParamsFree(p->list, p->n);
}

static void add_disks(struct params *p, unsigned count)
{
	assert_int_equal(virTypedParamsAddUInt(&p->list, &p->n, &p->max, "block.count", count), 0);
	add(p, "block.0.rd.bytes", 4096);
	add(p, "block.0.rd.reqs", 2);
	add(p, "block.0.wr.bytes", 8192);
	add(p, "block.0.wr.reqs", 3);
	add(p, "block.1.rd.bytes", 100);
	add(p, "block.1.rd.reqs", 1);
}

static void memory_is_what_is_taken_inside(void **state)
{
	CLEANUP(finish) struct params p = {0};
	struct driver_stats stats = {0};

	(void)state;
	add(&p, "cpu.time", 1234567890);
	add(&p, "balloon.current", 262144);
	add(&p, "balloon.available", 204800);
	add(&p, "balloon.unused", 102400);
	add(&p, "balloon.disk_caches", 10240);
	add_disks(&p, 2);
	stats_take(p.list, p.n, &stats);
	stats_take_process(
		"VmHWM:\t  307200 kB\nVmRSS:\t 204800 kB\nVmSwap:\t 1024 kB\n", NULL, &stats);
	assert_int_equal(stats.cpu_ns, 1234567890);
	assert_int_equal(stats.memory, 100 * MIB);
	assert_int_equal(stats.memory_cache, 10 * MIB);
	assert_int_equal(stats.memory_peak, 300 * MIB);
	assert_int_equal(stats.swap, MIB);
	assert_int_equal(stats.io_read_bytes, 4196);
	assert_int_equal(stats.io_reads, 3);
	assert_int_equal(stats.io_write_bytes, 8192);
	assert_int_equal(stats.io_writes, 3);
	assert_int_equal(stats.oom_kills + stats.pids + stats.pids_refused, 0);
}

static void memory_is_that_of_the_process_when_the_guest_does_not_tell(void **state)
{
	CLEANUP(finish) struct params p = {0};
	struct driver_stats stats = {0};

	(void)state;
	add(&p, "balloon.current", 262144);
	stats_take(p.list, p.n, &stats);
	assert_int_equal(stats.memory, 0);
	stats_take_process("Name:\tqemu\nVmRSS:\t  204800 kB\n", NULL, &stats);
	assert_int_equal(stats.memory, 200 * MIB);
	assert_int_equal(stats.memory_cache, 0);
}

/* A guest may tell what it likes. */
static void what_cannot_be_is_not_believed(void **state)
{
	CLEANUP(finish) struct params p = {0};
	struct driver_stats stats = {0};

	(void)state;
	add(&p, "balloon.current", 1000);
	add(&p, "balloon.available", 1000);
	add(&p, "balloon.unused", UINT64_MAX);
	add_disks(&p, UINT32_MAX);
	stats_take(p.list, p.n, &stats);
	assert_int_equal(stats.memory, 0);
	assert_int_equal(stats.io_reads, 3);
}

static void throttling_is_read_of_either_kind_of_control_groups(void **state)
{
	struct driver_stats stats = {0};

	(void)state;
	stats_take_process(NULL, "nr_periods 100\nnr_throttled 7\nthrottled_time 5000\n", &stats);
	assert_int_equal(stats.cpu_periods, 100);
	assert_int_equal(stats.cpu_throttled, 7);
	assert_int_equal(stats.cpu_throttled_ns, 5000);
	stats_take_process(NULL,
		"usage_usec 9\nnr_periods 10\nnr_throttled 3\nthrottled_usec 5\nnr_bursts 0\n",
		&stats);
	assert_int_equal(stats.cpu_periods, 10);
	assert_int_equal(stats.cpu_throttled, 3);
	assert_int_equal(stats.cpu_throttled_ns, 5000);
}

static void the_machines_group_is_found(void **state)
{
	static const struct {
		const char *cgroup, *path;
	} cases[] = {
		{"4:memory:/machine/qemu-1-x.libvirt-qemu\n"
		 "2:cpuacct,cpu:/machine/qemu-1-x.libvirt-qemu/emulator\n"
		 "0::/machine/qemu-1-x.libvirt-qemu/emulator\n",
			"/sys/fs/cgroup/cpuacct,cpu/machine/qemu-1-x.libvirt-qemu/cpu.stat"},
		{"3:cpuset:/machine/a/emulator\n1:cpu:/machine/a/emulator\n",
			"/sys/fs/cgroup/cpu/machine/a/cpu.stat"},
		{"0::/machine.slice/machine-qemu.scope/libvirt/emulator\n",
			"/sys/fs/cgroup//machine.slice/machine-qemu.scope/libvirt/cpu.stat"},
		{"1:cpu:/\n0::/user.slice\n", NULL},
		{"2:cpuacct:/machine/a/emulator\n", NULL},
		{"", NULL},
		{"nonsense", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[PATH_MAX] = "";
		int r = stats_group(cases[i].cgroup, path, sizeof(path));

		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
		else
			assert_int_equal(r, -ENOENT);
	}
}

/* --- Machines --------------------------------------------------------------------------------- */

#define DISK(path, target)                                                                         \
	"<disk type='file' device='disk'><source file='" path "'/><target dev='" target            \
	"' bus='virtio'/></disk>"

static const char MACHINE[] =
	"<domain type='qemu' id='1'><maxMemory slots='16' unit='KiB'>8388608</maxMemory>"
	"<devices>" DISK("/pool/it&apos;s/seed.iso", "vdb") DISK("/pool/it&apos;s/disk.qcow2",
		"vda") "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' "
		       "state='connected'/></channel><memory model='dimm'/><memory model='dimm'/>"
		       "</devices></domain>";

static void a_machine_is_known_by_its_description(void **state)
{
	struct machine m;
	struct err err = {0};

	(void)state;
	assert_int_equal(machine_read(MACHINE, "/pool/it's/disk.qcow2", &m, &err), 0);
	assert_false(m.accelerated);
	assert_true(m.agent);
	assert_int_equal(m.memory_max_kib, 8388608);
	assert_int_equal(m.slots_free, 14);
	assert_string_equal(m.disk, "vda");
}

static void a_plain_machine_has_none_of_it(void **state)
{
	static const char xml[] =
		"<domain type='kvm'><devices><channel><target name='org.qemu.guest_agent.0' "
		"state='disconnected'/></channel></devices></domain>";
	struct machine m;
	struct err err = {0};

	(void)state;
	assert_int_equal(machine_read(xml, "/pool/disk.qcow2", &m, &err), 0);
	assert_true(m.accelerated);
	assert_false(m.agent);
	assert_int_equal(m.memory_max_kib, 0);
	assert_int_equal(m.slots_free, 0);
	assert_string_equal(m.disk, "");
}

static void what_is_no_description_is_an_error(void **state)
{
	struct machine m;
	struct err err = {0};

	(void)state;
	assert_true(machine_read("<domain", "/", &m, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_what_is_taken_inside),
		cmocka_unit_test(memory_is_that_of_the_process_when_the_guest_does_not_tell),
		cmocka_unit_test(what_cannot_be_is_not_believed),
		cmocka_unit_test(throttling_is_read_of_either_kind_of_control_groups),
		cmocka_unit_test(the_machines_group_is_found),
		cmocka_unit_test(a_machine_is_known_by_its_description),
		cmocka_unit_test(a_plain_machine_has_none_of_it),
		cmocka_unit_test(what_is_no_description_is_an_error),
	};

	if (virInitialize() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
