/* Decisions about guests that ended by themselves, and the order in which guests come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/life/decide.h"
#include "agent/life/order.h"
#include "base/cleanup.h"

#define NEVER	   GUEST_RESTART_NEVER
#define ON_FAILURE GUEST_RESTART_ON_FAILURE
#define ALWAYS	   GUEST_RESTART_ALWAYS

#define EXIT(status) ((status) << 8) /* as wait(2) tells it */
#define KILLED	     9
#define UNKNOWN	     (-1)

static const struct restart_times TIMES = {
	.delay_ms = 1000, .delay_max_ms = 300000, .reset_ms = 600000};

static struct restart_decision decide(struct restart_facts facts)
{
	return restart_decide(&facts, &TIMES);
}

static void the_policy_and_how_it_ended_decide(void **state)
{
	static const struct {
		enum guest_restart policy;
		int exit_status;
		enum restart_action action;
	} table[] = {
		{NEVER, EXIT(0), RESTART_SHUT_DOWN},
		{NEVER, EXIT(1), RESTART_NOT},
		{NEVER, KILLED, RESTART_NOT},
		{NEVER, UNKNOWN, RESTART_NOT},
		{ON_FAILURE, EXIT(0), RESTART_SHUT_DOWN},
		{ON_FAILURE, EXIT(1), RESTART_LATER},
		{ON_FAILURE, KILLED, RESTART_LATER},
		{ON_FAILURE, UNKNOWN, RESTART_LATER},
		{ALWAYS, EXIT(0), RESTART_LATER},
		{ALWAYS, EXIT(1), RESTART_LATER},
		{ALWAYS, KILLED, RESTART_LATER},
		{ALWAYS, UNKNOWN, RESTART_LATER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct restart_decision decision =
			decide((struct restart_facts){.policy = table[i].policy,
				.exit_status = table[i].exit_status,
				.max = 10,
				.ran_ms = 1});

		assert_int_equal(decision.action, table[i].action);
	}
}

static void one_that_does_not_work_is_restarted_unless_never(void **state)
{
	(void)state;
	for (enum guest_restart policy = NEVER; policy < GUEST_RESTART_MAX_; policy++) {
		struct restart_decision decision = decide((struct restart_facts){
			.policy = policy, .unhealthy = true, .exit_status = EXIT(0)});

		assert_int_equal(decision.action, policy == NEVER ? RESTART_NOT : RESTART_LATER);
	}
}

static void pauses_double_up_to_the_longest(void **state)
{
	static const struct {
		uint32_t in_row;
		uint64_t delay_ms;
	} table[] = {{0, 1000}, {1, 2000}, {2, 4000}, {8, 256000}, {9, 300000}, {10, 300000},
		{4000000000U, 300000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct restart_facts facts = {.policy = ALWAYS, .in_row = table[i].in_row};
		struct restart_decision least = decide(facts);

		assert_int_equal(least.delay_ms, table[i].delay_ms);
		facts.chance = UINT16_MAX;
		assert_int_equal(decide(facts).delay_ms, table[i].delay_ms * 5 / 4);
	}
}

static void it_is_given_up_after_the_most_in_a_row_unless_there_is_no_end(void **state)
{
	static const struct {
		uint32_t max, in_row;
		int64_t ran_ms;
		enum restart_action action;
		uint32_t counts;
	} table[] = {
		{3, 2, 100, RESTART_LATER, 2},
		{3, 3, 100, RESTART_GIVE_UP, 3},
		{3, 3, -1, RESTART_GIVE_UP, 3},
		{3, 3, 599999, RESTART_GIVE_UP, 3},
		{3, 3, 600000, RESTART_LATER, 0}, /* it ran for long: anew */
		{3, 7, 100, RESTART_GIVE_UP, 7},  /* the most was lowered */
		{0, 1000000, 100, RESTART_LATER, 1000000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct restart_decision decision =
			decide((struct restart_facts){.policy = ON_FAILURE,
				.max = table[i].max,
				.in_row = table[i].in_row,
				.exit_status = UNKNOWN,
				.ran_ms = table[i].ran_ms});

		assert_int_equal(decision.action, table[i].action);
		assert_int_equal(decision.in_row, table[i].counts);
	}
}

/* "b a" "c": the groups, as they come. */
static void check_groups(struct order_item *items, size_t count, const char *const *groups)
{
	size_t at = 0;

	for (; *groups; groups++) {
		size_t n = order_group(items + at, count - at);
		char text[32] = "";

		for (size_t i = 0; i < n; i++)
			strcat(strcat(text, items[at + i].name), i + 1 < n ? " " : "");
		assert_string_equal(text, *groups);
		at += n;
	}
	assert_int_equal(at, count);
}

static void lower_numbers_come_first_and_go_last(void **state)
{
	struct order_item items[] = {{.order = 10, .name = "web2"}, {.order = 0, .name = "db"},
		{.order = 4000000000U, .name = "last"}, {.order = 10, .name = "web1"},
		{.order = 1, .name = "cache"}};

	(void)state;
	order_sort(items, ARRAY_SIZE(items), false);
	check_groups(items, ARRAY_SIZE(items),
		(const char *const[]){"db", "cache", "web1 web2", "last", NULL});
	order_sort(items, ARRAY_SIZE(items), true);
	check_groups(items, ARRAY_SIZE(items),
		(const char *const[]){"last", "web1 web2", "cache", "db", NULL});
}

static void a_group_is_followed_by_its_longest_delay(void **state)
{
	const struct order_item items[] = {
		{.delay_s = 2, .name = "a"}, {.delay_s = 7, .name = "b"}, {.name = "c"}};

	(void)state;
	assert_int_equal(order_delay(items, 3), 7);
	assert_int_equal(order_delay(items, 1), 2);
	assert_int_equal(order_delay(items, 0), 0);
	assert_int_equal(order_group(items, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policy_and_how_it_ended_decide),
		cmocka_unit_test(one_that_does_not_work_is_restarted_unless_never),
		cmocka_unit_test(pauses_double_up_to_the_longest),
		cmocka_unit_test(it_is_given_up_after_the_most_in_a_row_unless_there_is_no_end),
		cmocka_unit_test(lower_numbers_come_first_and_go_last),
		cmocka_unit_test(a_group_is_followed_by_its_longest_delay),
	};

	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
