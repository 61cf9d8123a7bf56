/* What can be changed and asked of a guest while it runs: its limits, its name, its figures, and
 * whether it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "groups.h"
#include "guests.h"

#define MEMORY_LIMIT (256ULL * 1024 * 1024)

static void limits_change_while_it_runs_and_stay(void **state)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);
	struct driver_request q = {.call = DRIVER_CALL_UPDATE, .guest = &guest};

	(void)state;
	call_fails(q, ERR_NOT_FOUND);
	define_guest(GUEST_A, ROOTFS_PLAIN);
	guest.limits = (struct guest_limits){.memory = MEMORY_LIMIT, .pids = 100, .cpu_milli = 500};
	call_ok(q);
	start_guest(GUEST_A);
	call_ok(q);
	guest.limits = (struct guest_limits){0};
	call_ok(q);
	guest.limits.memory = MEMORY_LIMIT;
	call_ok(q);
	stop_guest(GUEST_A, 20000);
	start_guest(GUEST_A);
	destroy_guest(GUEST_A);
}

static void a_new_name_is_taken_up_at_the_next_start_at_the_latest(void **state)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	guest.name = "renamed.example.org";
	call_ok((struct driver_request){.call = DRIVER_CALL_UPDATE, .guest = &guest});
	stop_guest(GUEST_A, 20000);
	start_guest(GUEST_A);
	/* Where commands run in the guest itself. */
	if (environment()->console_device)
		assert_exec((const char *[]){"cat", "/proc/sys/kernel/hostname", NULL}, "",
			"renamed.example.org\n", "", 0);
	destroy_guest(GUEST_A);
}

static struct outcome stats_of(const char *id)
{
	return call((struct driver_request){.call = DRIVER_CALL_STATS, .id = id});
}

static void assert_plausible(const struct driver_stats *s, const char *id)
{
	assert_string_equal(s->id, id);
	assert_true(s->cpu_ns < 3600 * UINT64_C(1000000000));
	if (environment()->no_memory_limits || environment()->end_played)
		return;
	assert_in_range(s->memory, 1, UINT64_C(1) << 40);
	/* What runs in a machine only its kernel knows. */
	assert_in_range(s->pids, environment()->disk ? 0 : 1, 1000);
	assert_int_equal(s->oom_kills, 0);
}

static void statistics_are_told_of_guests_that_run(void **state)
{
	struct outcome o;

	(void)state;
	assert_int_equal(stats_of(GUEST_A).error.code, ERR_NOT_FOUND);
	define_guest(GUEST_A, ROOTFS_PLAIN);
	define_guest(GUEST_B, ROOTFS_PLAIN);
	assert_int_equal(stats_of(GUEST_A).error.code, ERR_ILLEGAL_STATE);
	assert_int_equal(stats_of(NULL).stats_count, 0);
	start_guest(GUEST_A);
	o = stats_of(GUEST_A);
	assert_int_equal(o.stats_count, 1);
	assert_plausible(&o.stats[0], GUEST_A);
	o = stats_of(NULL);
	assert_int_equal(o.stats_count, 1);
	assert_plausible(&o.stats[0], GUEST_A);
	destroy_guest(GUEST_A);
	destroy_guest(GUEST_B);
}

static void a_memory_limit_below_what_is_used_is_refused(void **state)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);
	struct driver_request q = {.call = DRIVER_CALL_UPDATE, .guest = &guest};
	struct outcome o;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	guest.limits.memory = 4096;
	o = call_fails(q, ERR_INVALID);
	assert_string_equal(o.error.field, "limits.memory");
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	destroy_guest(GUEST_A);
}

static void a_guest_can_be_frozen_and_thawed(void **state)
{
	struct driver_request freeze = {.call = DRIVER_CALL_FREEZE, .id = GUEST_A, .frozen = true};
	struct driver_request thaw = {.call = DRIVER_CALL_FREEZE, .id = GUEST_A};

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	call_ok(freeze);
	call_ok(freeze);
	assert_int_equal(status_of(GUEST_A).state, GUEST_FROZEN);
	call_ok(thaw);
	call_ok(thaw);
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	/* A frozen one is ended like any other. */
	call_ok(freeze);
	stop_guest(GUEST_A, 3000);
	assert_nothing_left(GUEST_A, true);
	destroy_guest(GUEST_A);
}

int limits_run(const char *name)
{
	const bool update = can(DRIVER_CAN_UPDATE);
	const bool memory = update && !environment()->no_memory_limits;
	const bool real = !environment()->end_played;
	const struct CMUnitTest tests[] = {
		guest_test_if(memory && real, limits_change_while_it_runs_and_stay),
		guest_test_if(update, a_new_name_is_taken_up_at_the_next_start_at_the_latest),
		guest_test_if(can(DRIVER_CAN_STATS), statistics_are_told_of_guests_that_run),
		guest_test_if(memory, a_memory_limit_below_what_is_used_is_refused),
		guest_test_if(can(DRIVER_CAN_FREEZE), a_guest_can_be_frozen_and_thawed),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
