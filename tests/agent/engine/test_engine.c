/* The operation engine, with verbs whose steps do what the test tells them, on a real state.db and
 * a real loop: order, undo, cancel, lanes, classes, retries. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "world.h"

static void steps_run_in_order_and_the_end_is_recorded(void **state)
{
	struct world *w = *state;
	char id[OPERATION_ID_LEN + 1];
	struct operation stored;
	struct err err;

	memcpy(id, submit(w, &BOTH_WAYS, "a")->info.id, sizeof(id));
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:three");
	assert_int_equal(w->last.state, OPERATION_DONE);
	assert_int_equal(db_get_operation(w->db, id, &stored, NULL, &err), 0);
	assert_int_equal(stored.state, OPERATION_DONE);
	assert_true(stored.ended_ms >= stored.started_ms && stored.started_ms > 0);
}

static void a_failed_step_is_undone_with_all_before_it(void **state)
{
	struct world *w = *state;

	fail_at(w, "three", ERR_DRIVER, 1);
	submit(w, &BOTH_WAYS, "a");
	run_until_ended(w, 1);
	/* Step two has nothing to undo. */
	assert_string_equal(w->trace, "a:one a:two a:three a:-three a:-one");
	assert_int_equal(w->last.state, OPERATION_FAILED);
	assert_int_equal(w->last.error.code, ERR_DRIVER);
	assert_string_equal(w->last.error.message, "told to fail");
	assert_string_equal(w->last.step, "three");
}

static void what_only_goes_forward_is_not_undone(void **state)
{
	struct world *w = *state;

	fail_at(w, "two", ERR_DRIVER, 1);
	submit(w, &FORWARD, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two");
	assert_int_equal(w->last.state, OPERATION_FAILED);
}

static void what_is_unavailable_is_tried_again(void **state)
{
	struct world *w = *state;

	fail_at(w, "two", ERR_UNAVAILABLE, 2);
	submit(w, &BOTH_WAYS, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:two a:two a:three");
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void apply_parts(struct op *op)
{
	struct world *w = world_of(op);

	op_step_also(op);
	step_apply(op);
	assert_int_equal(w->ended, 0);
	step_apply(op);
}

static const struct step PARTS[] = {
	{"one", step_apply, step_undo}, {"two", apply_parts, step_undo}};

static const struct op_verb IN_PARTS = {.name = "test.parts",
	.steps = PARTS,
	.steps_count = ARRAY_SIZE(PARTS),
	.restore = world_restore,
	.begin = world_begin,
	.end = world_end};

static void a_step_in_parts_ends_with_its_last_part(void **state)
{
	struct world *w = *state;

	submit(w, &IN_PARTS, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:two");
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void one_failed_part_fails_the_step_after_the_others_ended(void **state)
{
	struct world *w = *state;

	fail_at(w, "two", ERR_DRIVER, 1);
	submit(w, &IN_PARTS, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:two a:-two a:-one");
	assert_int_equal(w->last.error.code, ERR_DRIVER);
}

static void one_lane_runs_in_the_order_of_acceptance(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++)
		submit(w, &BOTH_WAYS, "a");
	run_until_ended(w, 5);
	assert_int_equal(w->most_running, 1);
}

static void different_lanes_run_side_by_side_up_to_the_limit_of_their_class(void **state)
{
	struct world *w = *state;
	char lane[8];

	g_class.limit = 3;
	for (int i = 0; i < 12; i++) {
		snprintf(lane, sizeof(lane), "g%d", i);
		submit(w, &BOTH_WAYS, lane);
	}
	run_until_ended(w, 12);
	assert_int_equal(w->most_running, 3);
	assert_int_equal(g_class.running, 0);
}

static void an_operation_in_two_lanes_waits_for_both(void **state)
{
	struct world *w = *state;
	struct op *both;

	submit(w, &BOTH_WAYS, "a");
	submit(w, &BOTH_WAYS, "b");
	both = op_create(w->engine, &BOTH_WAYS, json_object());
	snprintf(both->info.target, sizeof(both->info.target), "ab");
	snprintf(both->lanes[0], sizeof(both->lanes[0]), "a");
	snprintf(both->lanes[1], sizeof(both->lanes[1]), "b");
	engine_submit(w->engine, both, db_txn_create());
	submit(w, &BOTH_WAYS, "b");
	run_until_ended(w, 4);
	assert_non_null(strstr(w->trace, "ab:three"));
	/* The first two are over when it begins, and the last begins when it is over. */
	assert_true(strstr(w->trace, "a:three") < strstr(w->trace, "ab:one"));
	assert_true(strstr(w->trace, " b:three") < strstr(w->trace, "ab:one"));
	assert_non_null(strstr(strstr(w->trace, "ab:three"), " b:one"));
}

static void a_queued_operation_is_cancelled_at_once_and_does_nothing(void **state)
{
	struct world *w = *state;
	struct op *second;
	struct err err;

	w->hold_step = "one";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	second = submit(w, &BOTH_WAYS, "a");
	while (!op_is_accepted(second))
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
	assert_int_equal(engine_cancel(second, &err), 0);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one");
	w->hold_step = NULL;
	op_step_done(TAKE_PTR(w->held), 0, NULL);
	run_until_ended(w, 2);
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void a_running_operation_is_cancelled_after_its_step_and_undone(void **state)
{
	struct world *w = *state;

	cancel_in_step_one(w);
	op_step_done(TAKE_PTR(w->held), 0, NULL);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one a:-one");
}

static void one_that_waits_to_try_again_is_cancelled_without_another_try(void **state)
{
	struct world *w = *state;
	struct op *op;
	struct err err;

	fail_at(w, "two", ERR_UNAVAILABLE, 1);
	op = submit(w, &BOTH_WAYS, "a");
	while (!strstr(w->trace, "a:two"))
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
	assert_int_equal(engine_cancel(op, &err), 0);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one a:two a:-one");
}

static void what_only_goes_forward_cannot_be_cancelled(void **state)
{
	struct world *w = *state;
	struct err err;

	w->hold_step = "one";
	submit(w, &FORWARD, "a");
	run_until_held(w);
	assert_true(engine_cancel(w->held, &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	op_step_done(TAKE_PTR(w->held), 0, NULL);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void an_operation_refused_at_its_turn_fails_without_a_step(void **state)
{
	struct world *w = *state;

	submit_args(w, &BOTH_WAYS, "a", json_pack("{s:b}", "refuse", 1));
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_FAILED);
	assert_int_equal(w->last.error.code, ERR_ILLEGAL_STATE);
	assert_string_equal(w->trace, "");
}

struct heard {
	unsigned accepted, ended;
};

static void hear_accepted(void *data, const struct op *op, const struct err *rejected)
{
	(void)op;
	assert_null(rejected);
	((struct heard *)data)->accepted++;
}

static void hear_ended(void *data, const struct op *op, const struct err *rejected)
{
	assert_null(rejected);
	assert_int_equal(op->info.state, OPERATION_DONE);
	((struct heard *)data)->ended++;
}

static void waiters_hear_of_their_moment_once_unless_they_left(void **state)
{
	struct world *w = *state;
	struct heard heard = {0}, left = {0};
	struct op *op = submit(w, &BOTH_WAYS, "a");

	op_wait(op, OP_ACCEPTED, hear_accepted, &heard);
	op_wait(op, OP_ENDED, hear_ended, &heard);
	op_wait_cancel(op_wait(op, OP_ENDED, hear_ended, &left));
	run_until_ended(w, 1);
	assert_int_equal(heard.accepted, 1);
	assert_int_equal(heard.ended, 1);
	assert_int_equal(left.ended, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(steps_run_in_order_and_the_end_is_recorded),
		TEST(a_failed_step_is_undone_with_all_before_it),
		TEST(what_only_goes_forward_is_not_undone),
		TEST(what_is_unavailable_is_tried_again),
		TEST(a_step_in_parts_ends_with_its_last_part),
		TEST(one_failed_part_fails_the_step_after_the_others_ended),
		TEST(one_lane_runs_in_the_order_of_acceptance),
		TEST(different_lanes_run_side_by_side_up_to_the_limit_of_their_class),
		TEST(an_operation_in_two_lanes_waits_for_both),
		TEST(a_queued_operation_is_cancelled_at_once_and_does_nothing),
		TEST(a_running_operation_is_cancelled_after_its_step_and_undone),
		TEST(one_that_waits_to_try_again_is_cancelled_without_another_try),
		TEST(what_only_goes_forward_cannot_be_cancelled),
		TEST(an_operation_refused_at_its_turn_fails_without_a_step),
		TEST(waiters_hear_of_their_moment_once_unless_they_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
