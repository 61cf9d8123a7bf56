/* A real machine, booted once, that is changed while it runs: what changes is looked for inside it.
 * Its memory is then saved, and it goes on from there: test_kvm_live_memory.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libvirt/libvirt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/kvm/kvm.h"
#include "kvm_live.h"
#include "kvm_node.h"
#include "need.h"

static int stats(struct driver_stats *list, struct result *ret)
{
	for (size_t i = 0; i < ret->count && i < ARRAY_SIZE(ret->stats); i++)
		ret->stats[i] = list[i];
	free(list);
	return 0;
}

static int stats_of_one(struct result *ret)
{
	struct driver_stats *list = NULL;
	int r = kvm_driver_ops.stats(g_driver, ID, &list, &ret->count, &ret->err);

	return r < 0 ? r : stats(list, ret);
}

static int stats_of_all(struct result *ret)
{
	struct driver_stats *list = NULL;
	int r = kvm_driver_ops.stats(g_driver, NULL, &list, &ret->count, &ret->err);

	return r < 0 ? r : stats(list, ret);
}

static void processors_come_and_go_inside_and_their_time_is_limited(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	need(cpus >= 2, "two processors");
	assert_int_equal(guest_number("nproc"), 1);
	g_guest.limits.cpu_milli = 1500;
	live_ok(update);
	await_number("nproc", 2, 2);
	assert_int_equal(quota(), 150000);
	g_guest.limits.cpu_milli = 500;
	live_ok(update);
	await_number("nproc", 1, 1);
	assert_int_equal(quota(), 50000);
	g_guest.limits.cpu_milli = 0;
	live_ok(update);
	await_number("nproc", cpus, cpus);
	assert_true(quota() < 0);
}

#define MEMORY_MIB "echo $(($(grep MemTotal /proc/meminfo | tr -dc 0-9) / 1024))"

/* What its balloon leaves it. */
static unsigned long long given_mib(void)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int n = virDomainMemoryStats(g_domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);

	for (int i = 0; i < n; i++)
		if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON)
			return stats[i].val / 1024;
	return 0;
}

/* Its balloon goes on with what it was asked for when nobody waits for it any more. */
static void await_memory(long long min, long long max)
{
	int64_t end = clock_monotonic_ns() + LIVE_PATIENCE_S * INT64_C(1000000000);

	while (given_mib() != g_guest.limits.memory / MIB && clock_monotonic_ns() < end)
		pause_briefly();
	assert_int_equal(given_mib(), g_guest.limits.memory / MIB);
	await_number(MEMORY_MIB, min, max);
}

static void memory_shrinks_and_grows_beyond_what_it_booted_with(void **state)
{
	long long before = guest_number(MEMORY_MIB);

	(void)state;
	g_guest.limits.memory = 192 * MIB;
	live_ok(update);
	await_memory(before - 66, before - 62);
	g_guest.limits.memory = 256 * MIB;
	live_ok(update);
	await_memory(before - 2, before);
	g_guest.limits.memory = 400 * MIB;
	live_ok(update);
	await_memory(before + 138, before + 144);
}

static void less_memory_than_is_used_is_refused_and_nothing_changes(void **state)
{
	long long before = guest_number(MEMORY_MIB);
	long long quota_before = quota();

	(void)state;
	g_guest.limits.memory = 65 * MIB;
	g_guest.limits.cpu_milli = 700;
	live_fails(update, ERR_INVALID);
	assert_string_equal(g_result->err.field, "limits.memory");
	g_guest.limits.memory = 400 * MIB;
	g_guest.limits.cpu_milli = 0;
	await_memory(before, before);
	assert_int_equal(quota(), quota_before);
}

/* Hundredths of a second for it. */
#define READ_3_MIB                                                                                 \
	"now() { cut -d' ' -f1 /proc/uptime | tr -d .; }; a=$(now); "                              \
	"dd if=/dev/vda of=/dev/null bs=1M count=3 iflag=direct 2>/dev/null; echo $(($(now) - a))"

/* What is in the way of the definition's next version. */
static const char *obstacle(void)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/state/%s/.guest.json.new", node_dir(), ID);
	return path;
}

static void a_change_that_fails_at_its_end_is_taken_back_whole(void **state)
{
	long long before = guest_number(MEMORY_MIB);
	struct driver_guest was = g_guest;
	AUTOFREE char *title = NULL;

	(void)state;
	assert_int_equal(mkdir(obstacle(), 0700), 0);
	g_guest.limits = (struct guest_limits){.memory = 224 * MIB, .cpu_milli = 1000};
	g_guest.name = "three";
	live_fails(update, ERR_INTERNAL);
	g_guest = was;
	assert_int_equal(rmdir(obstacle()), 0);
	await_memory(before, before);
	await_number("nproc", sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(quota() < 0);
	title = virDomainGetMetadata(g_domain, VIR_DOMAIN_METADATA_TITLE, NULL, 0);
	assert_string_equal(title, was.name);
}

static void a_change_that_was_cut_off_is_made_whole_by_its_repeat(void **state)
{
	static const char *const points[] = {
		"driver.kvm.update.part0", "driver.kvm.update.part5", "driver.kvm.update.applied"};
	struct driver_guest was = g_guest;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		g_guest.limits.cpu_milli = 1000;
		g_guest.limits.memory = 360 * MIB;
		live_killed_at(points[i], update);
		live_ok(update);
		assert_int_equal(guest_number("nproc"), 1);
		assert_int_equal(quota(), 100000);
		g_guest = was;
		live_ok(update);
		assert_true(quota() < 0);
	}
}

static void a_disk_is_slowed_down_and_let_go(void **state)
{
	(void)state;
	g_guest.limits.io_read = MIB;
	live_ok(update);
	assert_true(guest_number(READ_3_MIB) >= 150);
	g_guest.limits.io_read = 0;
	live_ok(update);
	await_number(READ_3_MIB, 0, 149);
}

static void a_new_name_is_its_title(void **state)
{
	AUTOFREE char *title = NULL;

	(void)state;
	g_guest.name = "two<&\"'>";
	live_ok(update);
	title = virDomainGetMetadata(g_domain, VIR_DOMAIN_METADATA_TITLE, NULL, 0);
	assert_string_equal(title, g_guest.name);
}

static void statistics_are_those_of_the_machine(void **state)
{
	const struct driver_stats *one = &g_result->stats[0];
	uint64_t before;

	(void)state;
	g_guest.limits.cpu_milli = 200;
	live_ok(update);
	free(guest_says("i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done"));
	live_ok(stats_of_one);
	g_guest.limits.cpu_milli = 0;
	assert_int_equal(g_result->count, 1);
	assert_string_equal(one->id, ID);
	assert_true(one->cpu_ns > 1000000000);
	assert_in_range(one->memory, 20 * MIB, 400 * MIB);
	assert_in_range(one->memory_cache, MIB, one->memory);
	assert_in_range(one->memory_peak, 64 * MIB, 1024 * MIB);
	assert_true(one->io_read_bytes > MIB);
	assert_true(one->io_reads > 10);
	assert_true(one->cpu_throttled > 0);
	before = one->cpu_ns;
	live_ok(update);
	live_ok(stats_of_all);
	assert_int_equal(g_result->count, 1);
	assert_string_equal(one->id, ID);
	assert_true(one->cpu_ns >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processors_come_and_go_inside_and_their_time_is_limited),
		cmocka_unit_test(memory_shrinks_and_grows_beyond_what_it_booted_with),
		cmocka_unit_test(less_memory_than_is_used_is_refused_and_nothing_changes),
		cmocka_unit_test(a_change_that_fails_at_its_end_is_taken_back_whole),
		cmocka_unit_test(a_change_that_was_cut_off_is_made_whole_by_its_repeat),
		cmocka_unit_test(a_disk_is_slowed_down_and_let_go),
		cmocka_unit_test(a_new_name_is_its_title),
		cmocka_unit_test(statistics_are_those_of_the_machine),
		cmocka_unit_test(
			a_machine_goes_on_from_its_memory_with_the_time_and_the_limits_of_now),
		cmocka_unit_test(a_save_or_a_start_cut_off_anywhere_is_finished_by_its_repeat),
		cmocka_unit_test(a_save_whose_caller_dies_is_waited_for),
		cmocka_unit_test(a_save_that_libvirtd_does_not_survive_leaves_the_guest_running),
		cmocka_unit_test(memory_that_is_damaged_is_refused_and_kept),
		cmocka_unit_test(without_room_the_guest_runs_on),
	};

	return cmocka_run_group_tests(tests, live_boot, live_end);
}
