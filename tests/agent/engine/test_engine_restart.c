/* The operation engine: what a restart takes up, and what becomes of it when the disk is full. */
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

/* --- Restarts -------------------------------------------------------------------------------- */

static void after_a_restart_the_journalled_step_is_begun_again(void **state)
{
	struct world *w = *state;

	w->hold_step = "two";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	restart_and_end(w, 1);
	assert_string_equal(w->trace, "a:two a:three");
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void after_a_restart_those_that_waited_run_in_their_order(void **state)
{
	struct world *w = *state;

	w->hold_step = "one";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	submit(w, &BOTH_WAYS, "a");
	submit(w, &BOTH_WAYS, "a");
	restart_and_end(w, 3);
	assert_string_equal(
		w->trace, "a:one a:two a:three a:one a:two a:three a:one a:two a:three");
}

static void undo_hold(struct op *op)
{
	world_of(op)->held = op;
}

static void after_a_restart_undoing_goes_on(void **state)
{
	static struct step steps[ARRAY_SIZE(STEPS)];
	static struct op_verb verb;
	struct world *w = *state;
	struct op *op;

	/* The same verb by name, whose first undo never ends. */
	memcpy(steps, STEPS, sizeof(steps));
	steps[0].undo = undo_hold;
	verb = BOTH_WAYS;
	verb.steps = steps;
	fail_at(w, "three", ERR_DRIVER, 1);
	op = op_create(w->engine, &verb, json_object());
	snprintf(op->info.target, sizeof(op->info.target), "a");
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "a");
	engine_submit(w->engine, op, db_txn_create());
	run_until_held(w);
	restart(w);
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:-one");
	assert_int_equal(w->last.state, OPERATION_FAILED);
	assert_int_equal(w->last.error.code, ERR_DRIVER);
	assert_string_equal(w->last.step, "three");
}

static void what_cannot_be_taken_up_ends_as_failed(void **state)
{
	struct world *w = *state;

	w->hold_step = "one";
	submit_args(w, &BOTH_WAYS, "a", json_pack("{s:b}", "lost", 1));
	run_until_held(w);
	restart_and_end(w, 1);
	assert_int_equal(w->last.state, OPERATION_FAILED);
	assert_int_equal(w->last.error.code, ERR_NOT_FOUND);
	assert_string_equal(w->trace, "");
}

/* What a step noted is there again, also at the end. */
static void after_a_restart_a_step_finds_what_the_one_before_noted(void **state)
{
	struct world *w = *state;
	json_auto_t *stored = NULL;
	char id[OPERATION_ID_LEN + 1];
	struct operation info;
	struct err err;

	w->hold_step = "three";
	memcpy(id, submit_args(w, &BOTH_WAYS, "a", json_pack("{s:b}", "note", 1))->info.id,
		sizeof(id));
	run_until_held(w);
	restart_and_end(w, 1);
	assert_string_equal(w->trace, "a:three");
	assert_int_equal(db_get_operation(w->db, id, &info, &stored, &err), 0);
	assert_true(json_is_true(json_object_get(stored, "noted")));
}

static void what_the_last_step_noted_is_stored_with_the_end(void **state)
{
	struct world *w = *state;
	json_auto_t *stored = NULL;
	char id[OPERATION_ID_LEN + 1];
	struct operation info;
	struct err err;

	memcpy(id, submit_args(w, &NOTE_LAST, "a", json_pack("{s:b}", "note", 1))->info.id,
		sizeof(id));
	run_until_ended(w, 1);
	assert_int_equal(db_get_operation(w->db, id, &info, &stored, &err), 0);
	assert_true(json_is_true(json_object_get(stored, "noted")));
}

/* Of two verbs of that name only the first is in the table. */
static void after_a_restart_an_operation_has_the_steps_that_it_had(void **state)
{
	struct world *w = *state;

	w->hold_step = "three";
	submit_args(w, &SHORT_WAY, "a", json_pack("{s:b}", "short", 1));
	run_until_held(w);
	restart_and_end(w, 1);
	assert_string_equal(w->trace, "a:three");
	assert_int_equal(w->last.steps_count, 1);
	assert_int_equal(w->last.state, OPERATION_DONE);
}

/* --- A disk that is full --------------------------------------------------------------------- */

static void disk_is_full(void *data, const struct op *op, const struct err *rejected)
{
	(void)op;
	assert_null(rejected);
	((struct world *)data)->commits_fail = 1;
}

static struct op *submit_accepted(struct world *w, json_t *args)
{
	struct op *op = submit_args(w, &BOTH_WAYS, "a", args);

	/* The next commit is that of its first step. */
	op_wait(op, OP_ACCEPTED, disk_is_full, w);
	return op;
}

static void what_the_first_step_needs_is_journalled_when_the_disk_has_room_again(void **state)
{
	struct world *w = *state;

	w->hold_step = "one";
	submit_accepted(w, json_object());
	run_until_held(w);
	restart_and_end(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:three");
	/* Noted by `begin`, which is not called again. */
	assert_true(w->resumed_begun);
}

static void an_end_that_cannot_be_written_holds_its_lane_until_it_can(void **state)
{
	struct world *w = *state;
	char id[OPERATION_ID_LEN + 1];
	struct operation stored;
	struct err err;

	memcpy(id, submit_args(w, &BOTH_WAYS, "a", json_pack("{s:b}", "full_at_end", 1))->info.id,
		sizeof(id));
	submit(w, &BOTH_WAYS, "a");
	while (w->ended < 1)
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
	/* The one behind it has not begun. */
	assert_string_equal(w->trace, "a:one a:two a:three");
	assert_int_equal(engine_lane_pending(w->engine, "a"), 2);
	run_until_ended(w, 2);
	assert_int_equal(w->rows, 1);
	assert_int_equal(db_get_operation(w->db, id, &stored, NULL, &err), 0);
	assert_int_equal(stored.state, OPERATION_DONE);
}

static void a_cancel_is_kept_over_a_restart(void **state)
{
	struct world *w = *state;

	cancel_in_step_one(w);
	restart_and_end(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one a:-one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_a_restart_the_journalled_step_is_begun_again),
		TEST(after_a_restart_those_that_waited_run_in_their_order),
		TEST(after_a_restart_undoing_goes_on),
		TEST(what_cannot_be_taken_up_ends_as_failed),
		TEST(after_a_restart_a_step_finds_what_the_one_before_noted),
		TEST(what_the_last_step_noted_is_stored_with_the_end),
		TEST(after_a_restart_an_operation_has_the_steps_that_it_had),
		TEST(what_the_first_step_needs_is_journalled_when_the_disk_has_room_again),
		TEST(an_end_that_cannot_be_written_holds_its_lane_until_it_can),
		TEST(a_cancel_is_kept_over_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
