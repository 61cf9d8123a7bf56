/* What is read from the files of control groups, as kernels write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "drivers/cgroup/stats.h"
#include "groups.h"

static struct driver_stats read_stats(const char *disk)
{
	struct driver_stats stats;

	assert_int_equal(stats_read(groups_guest(), disk, &stats), 0);
	return stats;
}

static void assert_all(const struct driver_stats *s)
{
	assert_int_equal(s->cpu_ns, 81234000);
	assert_int_equal(s->cpu_periods, 120);
	assert_int_equal(s->cpu_throttled, 7);
	assert_int_equal(s->cpu_throttled_ns, 350000000);
	assert_int_equal(s->memory, 41943040);
	assert_int_equal(s->memory_peak, 52428800);
	assert_int_equal(s->memory_cache, 3000);
	assert_int_equal(s->swap, 4096);
	assert_int_equal(s->oom_kills, 3);
	assert_int_equal(s->pids, 12);
	assert_int_equal(s->pids_refused, 5);
	assert_int_equal(s->io_read_bytes, 1048576);
	assert_int_equal(s->io_write_bytes, 2097152);
	assert_int_equal(s->io_reads, 16);
	assert_int_equal(s->io_writes, 32);
}

static void make_v2(void)
{
	groups_add("all", true, ",cpuset,cpu,io,memory,pids,");
	groups_put("all/cpu.stat", "usage_usec 81234\nuser_usec 50000\nsystem_usec 31234\n"
				   "nr_periods 120\nnr_throttled 7\nthrottled_usec 350000\n"
				   "nr_bursts 0\nburst_usec 0\n");
	groups_put("all/memory.current", "41943040\n");
	groups_put("all/memory.peak", "52428800\n");
	groups_put("all/memory.stat",
		"anon 1\nfile 99999\nkernel 5\ninactive_anon 9\nactive_anon 8\n"
		"inactive_file 1000\nactive_file 2000\nunevictable 0\n"
		"workingset_refault_file 77\n");
	groups_put("all/memory.swap.current", "4096\n");
	groups_put("all/memory.events",
		"low 0\nhigh 0\nmax 60\noom 4\noom_kill 3\noom_group_kill 0\n");
	groups_put("all/pids.current", "12\n");
	groups_put("all/pids.events", "max 5\n");
	groups_put("all/io.stat",
		"254:0 rbytes=1060864 wbytes=2097152 rios=20 wios=40 dbytes=0 dios=0\n"
		"7:0 rbytes=1048576 wbytes=2097152 rios=16 wios=32 dbytes=0 dios=0\n"
		"7:10 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n");
}

static void make_v1(void)
{
	groups_add("cpu", false, ",cpu,");
	groups_put("cpu/cpu.stat", "nr_periods 120\nnr_throttled 7\nthrottled_time 350000000\n"
				   "nr_bursts 0\nburst_time 0\n");
	groups_add("cpuacct", false, ",cpuacct,");
	groups_put("cpuacct/cpuacct.usage", "81234000\n");
	groups_add("memory", false, ",memory,");
	groups_put("memory/memory.usage_in_bytes", "41943040\n");
	groups_put("memory/memory.max_usage_in_bytes", "52428800\n");
	groups_put("memory/memory.stat",
		"cache 5\nrss 6\nswap 0\ninactive_file 1\nactive_file 1\n"
		"total_cache 5\ntotal_swap 4096\ntotal_inactive_file 1000\n"
		"total_active_file 2000\n");
	groups_put("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
	groups_add("pids", false, ",pids,");
	groups_put("pids/pids.current", "12\n");
	groups_put("pids/pids.events", "max 5\n");
	groups_add("blkio", false, ",blkio,");
	groups_put("blkio/blkio.throttle.io_service_bytes_recursive",
		"254:0 Read 1060864\n254:0 Write 2097152\n254:0 Sync 0\n254:0 Async 1\n"
		"254:0 Discard 0\n254:0 Total 3158016\n"
		"7:0 Read 1048576\n7:0 Write 2097152\n7:0 Total 3145728\nTotal 6303744\n");
	groups_put("blkio/blkio.throttle.io_serviced_recursive",
		"254:0 Read 20\n254:0 Write 40\n254:0 Total 60\n"
		"7:0 Read 16\n7:0 Write 32\n7:0 Total 48\nTotal 108\n");
}

static void all_is_read_in_v2(void **state)
{
	struct driver_stats s;

	(void)state;
	make_v2();
	s = read_stats("7:0");
	assert_all(&s);
}

static void all_is_read_in_v1(void **state)
{
	struct driver_stats s;

	(void)state;
	make_v1();
	s = read_stats("7:0");
	assert_all(&s);
}

/* A loop device over a file counts what its disk counts once more. */
static void without_a_disk_the_busiest_counts_once(void **state)
{
	struct driver_stats s;

	(void)state;
	make_v2();
	s = read_stats(NULL);
	assert_int_equal(s.io_read_bytes, 1060864);
	assert_int_equal(s.io_reads, 20);
	s = read_stats("8:16");
	assert_int_equal(s.io_read_bytes, 0);
}

static void what_a_kernel_does_not_count_is_zero(void **state)
{
	struct driver_stats s;

	(void)state;
	make_v2();
	groups_remove("all/memory.peak");
	groups_remove("all/memory.swap.current");
	groups_put("all/io.stat", "");
	groups_put("all/memory.events", "\n\nlow");
	s = read_stats("7:0");
	assert_int_equal(s.memory_peak, 0);
	assert_int_equal(s.swap, 0);
	assert_int_equal(s.io_reads, 0);
	assert_int_equal(s.oom_kills, 0);
	assert_int_equal(s.pids, 12);
}

static void time_is_counted_by_v2_where_no_controller_does(void **state)
{
	(void)state;
	groups_add("unified", true, ",hugetlb,");
	groups_put("unified/cpu.stat", "usage_usec 5\n");
	assert_int_equal(read_stats(NULL).cpu_ns, 5000);
}

static void kills_in_groups_below_count_in_v1(void **state)
{
	(void)state;
	make_v1();
	groups_put("memory/system.slice/memory.oom_control", "oom_kill 4\n");
	groups_put("memory/system.slice/a.service/memory.oom_control", "oom_kill 2\n");
	assert_int_equal(read_stats(NULL).oom_kills, 9);
}

static void a_guest_without_groups_does_not_run(void **state)
{
	struct driver_stats s;
	struct cgroup none;

	(void)state;
	make_v1();
	assert_int_equal(cgroup_at(groups(), "corpus/00000000000b/guest", &none), 0);
	assert_int_equal(stats_read(&none, NULL, &s), -ENOENT);
}

#define groups_test(f) cmocka_unit_test_setup_teardown(f, groups_begin, groups_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		groups_test(all_is_read_in_v2),
		groups_test(all_is_read_in_v1),
		groups_test(without_a_disk_the_busiest_counts_once),
		groups_test(what_a_kernel_does_not_count_is_zero),
		groups_test(time_is_counted_by_v2_where_no_controller_does),
		groups_test(kills_in_groups_below_count_in_v1),
		groups_test(a_guest_without_groups_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
