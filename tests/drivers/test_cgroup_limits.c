/* Limits of guests: what is written for each kind of host, and that all of it is set or
 * nothing, in control groups of ordinary files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "drivers/cgroup/limits.h"
#include "groups.h"

#define MIB  (1024ULL * 1024)
#define DISK "7:0"

static const struct limits_host V1 = {LIMIT_V1, LIMIT_V1, LIMIT_V1, LIMIT_V1, 0};
static const struct limits_host V2 = {LIMIT_V2, LIMIT_V2, LIMIT_V2, LIMIT_V2, 0};

static const struct guest_limits NONE = {0};
static const struct guest_limits FULL = {.cpu_milli = 1500,
	.memory = 64 * MIB,
	.swap = 32 * MIB,
	.pids = 300,
	.io_weight = 200,
	.io_read = 4 * MIB,
	.io_write = 2 * MIB};

/* --- Plans ------------------------------------------------------------------------------------ */

/* What is written where; ends with a NULL file. */
struct write {
	const char *file, *value;
};
#define WRITES(...)                                                                                \
	(const struct write[])                                                                     \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			NULL, NULL                                                                 \
		}                                                                                  \
	}

static const struct limit_write *find(const struct limit_write *list, size_t n, const char *file)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].file, file) == 0)
			return &list[i];
	return NULL;
}

/* Among others; all of them in files of the host's version, and all of them no limits or none. */
static void assert_plan(const struct limits_host *host, const struct guest_limits *limits,
	const char *disk, bool live, const struct write *wanted)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	size_t n = limits_plan(host, limits, disk, live, list);

	for (; wanted->file; wanted++) {
		const struct limit_write *w = find(list, n, wanted->file);

		if (!w)
			fail_msg("%s is not written", wanted->file);
		assert_string_equal(w->value, wanted->value);
	}
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(list[i].v2, host == &V2);
		assert_int_equal(list[i].none, limits == &NONE);
	}
}

static void no_limit_writes_nothing_at_start_and_takes_back_when_live(void **state)
{
	struct limit_write list[LIMIT_WRITES_MAX];

	(void)state;
	assert_int_equal(limits_plan(&V2, &NONE, DISK, false, list), 0);
	assert_int_equal(limits_plan(&V1, &NONE, DISK, false, list), 0);
	assert_plan(&V2, &NONE, DISK, true,
		WRITES({"memory.max", "max"}, {"memory.swap.max", "max"}, {"cpu.max", "max 100000"},
			{"pids.max", "max"}, {"io.max", DISK " rbps=max wbps=max"}));
	assert_plan(&V1, &NONE, DISK, true,
		WRITES({"memory.limit_in_bytes", "-1"}, {"memory.memsw.limit_in_bytes", "-1"},
			{"cpu.cfs_quota_us", "-1"},
			{"blkio.throttle.write_bps_device", DISK " 0"}));
}

static void all_limits_have_their_files_in_v2(void **state)
{
	(void)state;
	assert_plan(&V2, &FULL, DISK, true,
		WRITES({"memory.max", "67108864"}, {"memory.swap.max", "33554432"},
			{"cpu.max", "150000 100000"}, {"pids.max", "300"}, {"io.weight", "200"},
			{"io.bfq.weight", "109"}, {"io.max", DISK " rbps=4194304 wbps=2097152"}));
}

static void all_limits_have_their_files_in_v1(void **state)
{
	(void)state;
	assert_plan(&V1, &FULL, DISK, true,
		WRITES({"memory.limit_in_bytes", "67108864"},
			{"memory.memsw.limit_in_bytes", "100663296"},
			{"cpu.cfs_period_us", "100000"}, {"cpu.cfs_quota_us", "150000"},
			{"pids.max", "300"}, {"blkio.bfq.weight", "109"}, {"blkio.weight", "505"},
			{"blkio.throttle.read_bps_device", DISK " 4194304"},
			{"blkio.throttle.write_bps_device", DISK " 2097152"}));
}

/* In v1 the sum of memory and swap may at no time be below memory alone. */
static void memory_and_the_sum_go_up_and_down_in_the_order_that_v1_takes(void **state)
{
	struct guest_limits limits = {.memory = 100 * MIB, .swap = 50 * MIB};
	struct limits_host host = V1;
	struct limit_write list[LIMIT_WRITES_MAX];

	(void)state;
	host.memory_now = 120 * MIB;
	limits_plan(&host, &limits, NULL, true, list);
	assert_string_equal(list[0].file, "memory.memsw.limit_in_bytes");
	host.memory_now = 200 * MIB;
	limits_plan(&host, &limits, NULL, true, list);
	assert_string_equal(list[0].file, "memory.limit_in_bytes");
	host.memory_now = 0;
	limits_plan(&host, &limits, NULL, true, list);
	assert_string_equal(list[0].file, "memory.limit_in_bytes");
	limits.swap = 0;
	limits_plan(&host, &limits, NULL, true, list);
	assert_string_equal(list[0].value, "-1");
}

static void extremes_are_cut_to_what_the_kernel_takes(void **state)
{
	struct guest_limits limits = {.cpu_milli = 1, .io_weight = 10000};

	(void)state;
	assert_plan(&V1, &limits, DISK, false,
		WRITES({"cpu.cfs_quota_us", "1000"}, {"blkio.bfq.weight", "1000"},
			{"blkio.weight", "1000"}));
	limits.io_weight = 1;
	assert_plan(&V1, &limits, DISK, false,
		WRITES({"blkio.bfq.weight", "1"}, {"blkio.weight", "10"}));
	limits.io_weight = 100;
	assert_plan(&V1, &limits, DISK, false,
		WRITES({"blkio.bfq.weight", "100"}, {"blkio.weight", "500"}));
	limits.io_read = limits.io_write = GUEST_SIZE_MAX;
	assert_plan(&V2, &limits, "259:65536", false,
		WRITES({"io.max", "259:65536 rbps=1125899906842624 wbps=1125899906842624"}));
}

static void what_a_node_cannot_limit_is_refused_by_its_name(void **state)
{
	static const struct {
		struct limits_host host;
		struct guest_limits limits;
		const char *disk, *field;
	} cases[] = {
		{{.cpu = LIMIT_V1}, {.memory = MIB}, NULL, "limits.memory"},
		{{.cpu = LIMIT_V1}, {.swap = MIB}, NULL, "limits.swap"},
		{{.memory = LIMIT_V1}, {.cpu_milli = 1}, NULL, "limits.cpus"},
		{{.memory = LIMIT_V1}, {.pids = 1}, NULL, "limits.pids"},
		{{.memory = LIMIT_V1}, {.io_weight = 1}, NULL, "limits.io_weight"},
		{{.memory = LIMIT_V1}, {.io_read = 1}, DISK, "limits.io_read"},
		{{.io = LIMIT_V2}, {.io_write = 1}, NULL, "limits.io_write"},
		{{.memory = LIMIT_V1}, {.swap = MIB}, NULL, "limits.swap"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};

		assert_true(
			limits_check(&cases[i].host, &cases[i].limits, cases[i].disk, &err) < 0);
		assert_int_equal(err.code, ERR_UNSUPPORTED);
		assert_string_equal(err.field, cases[i].field);
	}
	assert_int_equal(limits_check(&V1, &FULL, DISK, NULL), 0);
	assert_int_equal(limits_check(&V2, &(struct guest_limits){.swap = MIB}, NULL, NULL), 0);
	/* The network's are none of ours. */
	assert_int_equal(limits_check(&(struct limits_host){0},
				 &(struct guest_limits){.net_ingress = 1}, NULL, NULL),
		0);
}

/* --- Setting ---------------------------------------------------------------------------------- */

static void make_v1(void)
{
	groups_add("memory", false, ",memory,");
	groups_put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	groups_put("memory/memory.memsw.limit_in_bytes", "9223372036854771712\n");
	groups_put("memory/memory.usage_in_bytes", "41943040\n");
	groups_put("memory/memory.stat", "total_active_file 1048576\ntotal_inactive_file 0\n");
	groups_add("cpu", false, ",cpu,cpuacct,");
	groups_put("cpu/cpu.cfs_period_us", "100000\n");
	groups_put("cpu/cpu.cfs_quota_us", "-1\n");
	groups_add("pids", false, ",pids,");
	groups_put("pids/pids.max", "max\n");
	groups_add("blkio", false, ",blkio,");
	groups_put("blkio/blkio.bfq.weight", "100\n");
	groups_put("blkio/blkio.throttle.read_bps_device", "");
	groups_put("blkio/blkio.throttle.write_bps_device", "8:0 999\n" DISK " 777\n");
}

static void make_v2(void)
{
	groups_add("all", true, ",cpu,memory,pids,io,");
	groups_put("all/memory.max", "max\n");
	groups_put("all/memory.swap.max", "max\n");
	groups_put("all/memory.current", "41943040\n");
	groups_put("all/memory.stat", "active_file 1048576\ninactive_file 0\n");
	groups_put("all/cpu.max", "max 100000\n");
	groups_put("all/pids.max", "max\n");
	groups_put("all/io.bfq.weight", "100\n");
	groups_put("all/io.max", "8:0 rbps=1 wbps=2 riops=max wiops=max\n");
}

static int apply(const struct guest_limits *limits, struct err *err)
{
	*err = (struct err){0};
	return limits_apply(groups_guest(), limits, DISK, err);
}

static void assert_texts(const struct write *wanted)
{
	for (; wanted->file; wanted++)
		assert_string_equal(groups_text(wanted->file), wanted->value);
}

static void all_are_set_in_v1(void **state)
{
	struct err err;

	(void)state;
	make_v1();
	assert_int_equal(apply(&FULL, &err), 0);
	assert_texts(WRITES({"memory/memory.limit_in_bytes", "67108864"},
		{"memory/memory.memsw.limit_in_bytes", "100663296"},
		{"cpu/cpu.cfs_quota_us", "150000"}, {"pids/pids.max", "300"},
		{"blkio/blkio.bfq.weight", "109"},
		{"blkio/blkio.throttle.read_bps_device", DISK " 4194304"}));
}

static void all_are_set_in_v2_with_the_weight_of_bfq_where_that_is_what_there_is(void **state)
{
	struct err err;

	(void)state;
	make_v2();
	assert_int_equal(apply(&FULL, &err), 0);
	assert_texts(WRITES({"all/memory.max", "67108864"}, {"all/io.bfq.weight", "109"},
		{"all/io.max", DISK " rbps=4194304 wbps=2097152"}));
}

static void controllers_of_both_versions_are_used_side_by_side(void **state)
{
	struct guest_limits limits = {.memory = 64 * MIB, .cpu_milli = 500};
	struct err err;

	(void)state;
	groups_add("unified", true, ",memory,hugetlb,");
	groups_put("unified/memory.max", "max\n");
	groups_put("unified/memory.current", "4096\n");
	groups_put("unified/memory.stat", "active_file 0\n");
	groups_add("cpu", false, ",cpu,");
	groups_put("cpu/cpu.cfs_period_us", "100000\n");
	groups_put("cpu/cpu.cfs_quota_us", "-1\n");
	assert_int_equal(apply(&limits, &err), 0);
	assert_texts(WRITES({"unified/memory.max", "67108864"}, {"cpu/cpu.cfs_quota_us", "50000"}));
}

static void a_memory_limit_below_what_is_used_changes_nothing(void **state)
{
	struct guest_limits limits = FULL;
	struct err err;

	(void)state;
	make_v2();
	limits.memory = 38 * MIB;
	assert_true(apply(&limits, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "limits.memory");
	assert_non_null(strstr(err.message, "39 MiB"));
	assert_texts(WRITES({"all/memory.max", "max\n"}, {"all/cpu.max", "max 100000\n"}));
	/* Its page cache does not count. */
	limits.memory = 39 * MIB;
	assert_int_equal(apply(&limits, &err), 0);
}

static void when_one_cannot_be_set_those_before_are_put_back(void **state)
{
	struct err err;

	(void)state;
	make_v1();
	groups_jam("blkio/blkio.throttle.read_bps_device");
	assert_true(apply(&FULL, &err) < 0);
	assert_non_null(strstr(err.message, "limits.io_read"));
	assert_texts(WRITES({"memory/memory.limit_in_bytes", "9223372036854771712"},
		{"memory/memory.memsw.limit_in_bytes", "9223372036854771712"},
		{"cpu/cpu.cfs_quota_us", "-1"}, {"pids/pids.max", "max"},
		{"blkio/blkio.bfq.weight", "100"}));
	/* A line of a device comes back as it was, without those of others. */
	groups_remove("blkio/blkio.throttle.read_bps_device");
	groups_put("blkio/blkio.throttle.read_bps_device", "");
	assert_int_equal(apply(&FULL, &err), 0);
	groups_put("blkio/blkio.throttle.read_bps_device", "8:0 1\n" DISK " 555\n");
	groups_jam("blkio/blkio.throttle.write_bps_device");
	assert_true(apply(&FULL, &err) < 0);
	assert_string_equal(groups_text("blkio/blkio.throttle.read_bps_device"), DISK " 555");
}

static void a_file_that_this_kernel_lacks_is_refused_unless_no_limit_is_wanted(void **state)
{
	struct guest_limits limits = {.memory = 64 * MIB};
	struct err err;

	(void)state;
	make_v1();
	groups_remove("memory/memory.memsw.limit_in_bytes");
	groups_remove("blkio/blkio.bfq.weight");
	assert_int_equal(apply(&limits, &err), 0);
	limits.memory = 65 * MIB;
	limits.io_weight = 50;
	assert_true(apply(&limits, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_string_equal(err.field, "limits.io_weight");
	assert_string_equal(groups_text("memory/memory.limit_in_bytes"), "67108864");
	limits = (struct guest_limits){.memory = 64 * MIB, .swap = MIB};
	assert_true(apply(&limits, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_string_equal(err.field, "limits.swap");
	assert_non_null(strstr(err.message, "swapaccount=1"));
	groups_put("blkio/blkio.weight", "500\n");
	limits = (struct guest_limits){.io_weight = 100};
	assert_int_equal(apply(&limits, &err), 0);
	assert_string_equal(groups_text("blkio/blkio.weight"), "500");
}

static void a_start_sets_what_the_configuration_does_not(void **state)
{
	(void)state;
	make_v2();
	assert_int_equal(limits_apply_later(groups_guest(), &FULL, DISK, NULL), 0);
	assert_texts(WRITES({"all/memory.swap.max", "33554432"}, {"all/io.bfq.weight", "109"},
		{"all/io.max", DISK " rbps=4194304 wbps=2097152"}, {"all/memory.max", "max\n"},
		{"all/pids.max", "max\n"}));
}

static void only_what_an_engine_does_not_set_is_set(void **state)
{
	struct err err = {0};

	(void)state;
	make_v2();
	assert_int_equal(limits_apply_io(groups_guest(), &FULL, DISK, NULL), 0);
	assert_texts(WRITES({"all/io.bfq.weight", "109"},
		{"all/io.max", DISK " rbps=4194304 wbps=2097152"}, {"all/memory.max", "max\n"},
		{"all/cpu.max", "max 100000\n"}));
	assert_int_equal(limits_apply_io(groups_guest(), &(struct guest_limits){0}, DISK, NULL), 0);
	assert_string_equal(groups_text("all/io.max"), DISK " rbps=max wbps=max");
	assert_true(limits_apply_io(groups_guest(), &FULL, NULL, &err) < 0);
	assert_string_equal(err.field, "limits.io_read");
}

static void memory_may_not_be_less_than_what_is_used(void **state)
{
	struct err err = {0};

	(void)state;
	make_v2();
	assert_int_equal(limits_check_memory(groups_guest(), 0, NULL), 0);
	assert_int_equal(limits_check_memory(groups_guest(), 39 * MIB, NULL), 0);
	assert_true(limits_check_memory(groups_guest(), 39 * MIB - 1, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "limits.memory");
}

#define groups_test(f) cmocka_unit_test_setup_teardown(f, groups_begin, groups_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limit_writes_nothing_at_start_and_takes_back_when_live),
		cmocka_unit_test(all_limits_have_their_files_in_v2),
		cmocka_unit_test(all_limits_have_their_files_in_v1),
		cmocka_unit_test(memory_and_the_sum_go_up_and_down_in_the_order_that_v1_takes),
		cmocka_unit_test(extremes_are_cut_to_what_the_kernel_takes),
		cmocka_unit_test(what_a_node_cannot_limit_is_refused_by_its_name),
		groups_test(all_are_set_in_v1),
		groups_test(all_are_set_in_v2_with_the_weight_of_bfq_where_that_is_what_there_is),
		groups_test(controllers_of_both_versions_are_used_side_by_side),
		groups_test(a_memory_limit_below_what_is_used_changes_nothing),
		groups_test(when_one_cannot_be_set_those_before_are_put_back),
		groups_test(a_file_that_this_kernel_lacks_is_refused_unless_no_limit_is_wanted),
		groups_test(a_start_sets_what_the_configuration_does_not),
		groups_test(only_what_an_engine_does_not_set_is_set),
		groups_test(memory_may_not_be_less_than_what_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
