/* Limits of machines: what libvirt is told for each, and how memory changes while they run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/limits.h"

#define MIB_KIB 1024ULL
#define GIB_KIB (1024 * MIB_KIB)
#define MIB	(1024ULL * 1024)
#define GIB	(1024 * MIB)

static const struct limits_host HOST = {.cpus = 4, .memory_kib = 24 * GIB_KIB + 12345};

static struct limits_plan plan_of(struct guest_limits limits)
{
	struct limits_plan plan;

	limits_plan(&limits, &HOST, NULL, &plan);
	return plan;
}

/* --- Plans ------------------------------------------------------------------------------------ */

static void cpus_become_whole_ones_and_a_quota_over_the_machine(void **state)
{
	static const struct {
		uint32_t milli;
		unsigned vcpus;
		uint64_t period_us, quota_us;
	} cases[] = {
		{0, 4, 0, 0}, /* all of the node's, without a quota */
		{1, 1, 100000, 1000},
		{500, 1, 100000, 50000},
		{1000, 1, 100000, 100000},
		{1001, 2, 100000, 100100},
		{1500, 2, 100000, 150000},
		{4000, 4, 100000, 400000},
		{64000, 4, 100000,
			6400000}, /* more than there are would only be in each other's way */
		{UINT32_MAX, 4, 100000, 429496729500},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct limits_plan plan =
			plan_of((struct guest_limits){.cpu_milli = cases[i].milli});

		assert_int_equal(plan.vcpus, cases[i].vcpus);
		assert_int_equal(plan.vcpus_max, HOST.cpus);
		assert_int_equal(plan.period_us, cases[i].period_us);
		assert_int_equal(plan.quota_us, cases[i].quota_us);
	}
}

static void a_large_node_has_as_many_cpus_as_a_machine_can(void **state)
{
	struct limits_host host = {.cpus = 512, .memory_kib = GIB_KIB};
	struct guest_limits none = {0};
	struct limits_plan plan;

	(void)state;
	limits_plan(&none, &host, NULL, &plan);
	assert_int_equal(plan.vcpus, 255);
	assert_int_equal(plan.vcpus_max, 255);
}

static void memory_is_of_whole_mebibytes_and_can_grow_up_to_the_nodes(void **state)
{
	static const struct {
		uint64_t bytes, kib;
		bool grows;
	} cases[] = {
		{0, 512 * MIB_KIB, true}, {64 * MIB, 64 * MIB_KIB, false},
		{256 * MIB, 256 * MIB_KIB, false}, {512 * MIB - 1, 511 * MIB_KIB, false},
		{512 * MIB, 512 * MIB_KIB, true}, {1000000000, 953 * MIB_KIB, true},
		{23 * GIB, 23 * GIB_KIB, true},
		{24 * GIB, 24 * GIB_KIB, false}, /* there is nothing left to grow into */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct limits_plan plan = plan_of((struct guest_limits){.memory = cases[i].bytes});

		assert_int_equal(plan.memory_kib, cases[i].kib);
		assert_int_equal(plan.memory_max_kib, cases[i].grows ? 24 * GIB_KIB : 0);
		assert_int_equal(plan.slots, cases[i].grows ? 16 : 0);
	}
}

static void a_small_machine_can_grow_when_that_costs_its_kernel_nothing(void **state)
{
	struct guest_limits small = {.memory = 256 * MIB};
	struct limits_plan plan;

	(void)state;
	limits_plan(&small, &HOST, "console=ttyS0", &plan);
	assert_int_equal(plan.slots, 0);
	limits_plan(&small, &HOST, "console=ttyS0 swiotlb=noforce", &plan);
	assert_int_equal(plan.slots, 16);
	assert_int_equal(plan.memory_max_kib, 24 * GIB_KIB);
}

static void a_huge_node_gives_what_an_emulated_cpu_can_address(void **state)
{
	struct limits_host host = {.cpus = 2, .memory_kib = 4096 * GIB_KIB};
	struct guest_limits limits = {.memory = 2 * GIB};
	struct limits_plan plan;

	(void)state;
	limits_plan(&limits, &host, NULL, &plan);
	assert_int_equal(plan.memory_max_kib, 512 * GIB_KIB);
	limits.memory = 600 * GIB;
	limits_plan(&limits, &host, NULL, &plan);
	assert_int_equal(plan.memory_kib, 600 * GIB_KIB);
	assert_int_equal(plan.memory_max_kib, 0);
}

static void io_is_limited_by_bytes_and_weighed(void **state)
{
	struct limits_plan plan = plan_of((struct guest_limits){
		.io_read = 4 * MIB, .io_write = UINT64_C(1) << 50, .io_weight = 10000});

	(void)state;
	assert_int_equal(plan.io_read, 4 * MIB);
	assert_int_equal(plan.io_write, 1000000000000000);
	assert_int_equal(plan.io_weight, 1000);
	plan = plan_of((struct guest_limits){.io_weight = 1});
	assert_int_equal(plan.io_weight, 1);
	plan = plan_of((struct guest_limits){.io_weight = 100});
	assert_int_equal(plan.io_weight, 100);
	plan = plan_of((struct guest_limits){0});
	assert_int_equal(plan.io_read, 0);
	assert_int_equal(plan.io_weight, 0);
}

static void pids_swap_and_the_network_are_no_business_of_the_machine(void **state)
{
	struct limits_plan with = plan_of((struct guest_limits){
		.pids = 100, .swap = GIB, .net_ingress = MIB, .net_egress = MIB});
	struct limits_plan without = plan_of((struct guest_limits){0});

	(void)state;
	assert_memory_equal(&with, &without, sizeof(with));
}

static void what_no_machine_can_have_is_refused_with_the_field(void **state)
{
	static const struct {
		uint64_t memory;
		const char *says; /* NULL: it is fine */
	} cases[] = {
		{0, NULL},
		{64 * MIB, NULL},
		{24 * GIB, NULL},
		{64 * MIB - 1, "does not boot with less"},
		{4 * MIB, "4 MiB"},
		{25 * GIB, "this node has only"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest_limits limits = {.memory = cases[i].memory};
		struct err err = {0};
		int r = limits_check(&limits, &HOST, &err);

		assert_int_equal(r < 0, cases[i].says != NULL);
		if (r == 0)
			continue;
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.field, "limits.memory");
		assert_non_null(strstr(err.message, cases[i].says));
	}
}

static void the_host_is_this_one(void **state)
{
	struct limits_host host;
	struct err err = {0};

	(void)state;
	assert_int_equal(limits_host(&host, &err), 0);
	assert_true(host.cpus >= 1);
	assert_true(host.memory_kib > 100 * MIB_KIB);
}

/* --- Memory of a machine that runs ------------------------------------------------------------ */

/* 512 MiB of which 200 could be taken: it uses 312. */
static const struct limits_memory NOW = {.total_kib = 512 * MIB_KIB,
	.max_kib = 4 * GIB_KIB,
	.slots_free = 16,
	.given_kib = 512 * MIB_KIB,
	.usable_kib = 200 * MIB_KIB,
	.known = true};

static void memory_goes_down_by_the_balloon_and_up_by_it_and_modules(void **state)
{
	static const struct {
		uint64_t want_mib, module_mib, balloon_mib;
	} cases[] = {
		{328, 0, 328}, {400, 0, 400}, {512, 0, 512}, {513, 128, 513}, {640, 128, 640},
		{1024, 512, 1024}, {4096, 3584, 4096},
		{8192, 3584, 4096}, /* the rest at its next start */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct limits_memory_change change;
		struct err err = {0};

		assert_int_equal(
			limits_memory(&NOW, cases[i].want_mib * MIB_KIB, &change, &err), 0);
		assert_int_equal(change.module_kib, cases[i].module_mib * MIB_KIB);
		assert_int_equal(change.balloon_kib, cases[i].balloon_mib * MIB_KIB);
	}
}

static void less_than_is_used_is_refused_and_the_least_named(void **state)
{
	struct limits_memory_change change;
	struct err err = {0};

	(void)state;
	assert_true(limits_memory(&NOW, 327 * MIB_KIB, &change, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "limits.memory");
	assert_non_null(strstr(err.message, "uses 312 MiB"));
	assert_non_null(strstr(err.message, "less than 328 MiB"));
}

/* One whose memory is full is not refused more of it. */
static void more_than_it_has_is_never_refused(void **state)
{
	struct limits_memory now = NOW;
	struct limits_memory_change change;
	struct err err = {0};

	(void)state;
	now.given_kib = 300 * MIB_KIB;
	now.usable_kib = 1 * MIB_KIB;
	assert_int_equal(limits_memory(&now, 301 * MIB_KIB, &change, &err), 0);
	assert_int_equal(change.balloon_kib, 301 * MIB_KIB);
	assert_true(limits_memory(&now, 299 * MIB_KIB, &change, &err) < 0);
}

static void without_a_balloon_nothing_is_known_and_nothing_refused(void **state)
{
	struct limits_memory now = NOW;
	struct limits_memory_change change;
	struct err err = {0};

	(void)state;
	now.known = false;
	assert_int_equal(limits_memory(&now, 64 * MIB_KIB, &change, &err), 0);
	assert_int_equal(change.balloon_kib, 64 * MIB_KIB);
}

static void without_slots_memory_stays_below_what_it_booted_with(void **state)
{
	struct limits_memory now = NOW;
	struct limits_memory_change change;
	struct err err = {0};

	(void)state;
	now.slots_free = 0;
	assert_int_equal(limits_memory(&now, 2 * GIB_KIB, &change, &err), 0);
	assert_int_equal(change.module_kib, 0);
	assert_int_equal(change.balloon_kib, 512 * MIB_KIB);
	now.slots_free = 1;
	now.max_kib = 0;
	assert_int_equal(limits_memory(&now, 2 * GIB_KIB, &change, &err), 0);
	assert_int_equal(change.module_kib, 0);
	now.max_kib = 600 * MIB_KIB; /* less than a module of room */
	assert_int_equal(limits_memory(&now, 2 * GIB_KIB, &change, &err), 0);
	assert_int_equal(change.module_kib, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus_become_whole_ones_and_a_quota_over_the_machine),
		cmocka_unit_test(a_large_node_has_as_many_cpus_as_a_machine_can),
		cmocka_unit_test(memory_is_of_whole_mebibytes_and_can_grow_up_to_the_nodes),
		cmocka_unit_test(a_small_machine_can_grow_when_that_costs_its_kernel_nothing),
		cmocka_unit_test(a_huge_node_gives_what_an_emulated_cpu_can_address),
		cmocka_unit_test(io_is_limited_by_bytes_and_weighed),
		cmocka_unit_test(pids_swap_and_the_network_are_no_business_of_the_machine),
		cmocka_unit_test(what_no_machine_can_have_is_refused_with_the_field),
		cmocka_unit_test(the_host_is_this_one),
		cmocka_unit_test(memory_goes_down_by_the_balloon_and_up_by_it_and_modules),
		cmocka_unit_test(less_than_is_used_is_refused_and_the_least_named),
		cmocka_unit_test(more_than_it_has_is_never_refused),
		cmocka_unit_test(without_a_balloon_nothing_is_known_and_nothing_refused),
		cmocka_unit_test(without_slots_memory_stays_below_what_it_booted_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
