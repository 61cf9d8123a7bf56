/* The operation engine, with verbs whose steps do what the test tells them, on a real state.db and
 * a real loop: order, undo, cancel, lanes, classes, retries, and what a restart takes up. */
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

#include "agent/engine/engine.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#define DEADLINE_US (10 * 1000000)

/* --- A verb that does as it is told ---------------------------------------------------------- */

struct world {
	char dir[64];
	sd_event *loop;
	struct db *db;
	struct engine *engine;
	char trace[1024]; /* what was done, in order: "op:step" and "op:-step" for undo */
	const char *fail_step;
	enum err_code fail_code;
	unsigned fail_times;
	const char *hold_step; /* is not ended: the operation stands in it */
	struct op *held;
	unsigned ended, running, most_running;
	bool resumed_begun;    /* the args of the last taken up have what `begin` noted */
	unsigned commits_fail; /* so many of those to come */
	unsigned rows;	       /* how often the tables were asked for theirs */
	struct operation last; /* that ended */
};

static struct world *world_of(const struct op *op)
{
	return op->agent;
}

static void trace(struct op *op, const char *mark)
{
	struct world *w = world_of(op);
	size_t n = strlen(w->trace);
	char entry[64];

	snprintf(entry, sizeof(entry), "%s%.8s:%s%.8s", n ? " " : "", op->info.target, mark,
		op->verb->steps[op->info.step_index].name);
	assert_true(n + strlen(entry) < sizeof(w->trace));
	strcpy(w->trace + n, entry);
}

static void apply(struct op *op)
{
	struct world *w = world_of(op);
	struct err err;
	int r = 0;

	trace(op, "");
	if (w->hold_step && strcmp(w->hold_step, op->info.step) == 0) {
		w->held = op;
		return;
	}
	if (json_is_true(json_object_get(op->args, "full_at_end")) &&
		op->info.step_index + 1 == op->verb->steps_count)
		w->commits_fail = 1;
	if (w->fail_step && strcmp(w->fail_step, op->info.step) == 0 && w->fail_times > 0) {
		w->fail_times--;
		r = err_set(&err, w->fail_code, NULL, "told to fail");
	}
	op_step_done(op, r, &err);
}

static void undo(struct op *op)
{
	trace(op, "-");
	op_step_done(op, 0, NULL);
}

static int begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct world *w = world_of(op);

	(void)txn;
	if (json_is_true(json_object_get(op->args, "refuse")))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "refused at its turn");
	if (++w->running > w->most_running)
		w->most_running = w->running;
	json_object_set_new(op->args, "begun", json_true());
	return 0;
}

static void end(struct op *op, struct db_txn *txn)
{
	struct world *w = world_of(op);

	(void)txn;
	if (json_is_true(json_object_get(op->args, "begun")))
		w->running--;
	w->ended++;
	w->last = op->info;
}

static struct op_class g_class;

static int restore(struct op *op, struct err *err)
{
	if (json_is_true(json_object_get(op->args, "lost")))
		return err_set(err, ERR_NOT_FOUND, NULL, "what it was about is gone");
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%.100s", op->info.target);
	world_of(op)->resumed_begun = json_is_true(json_object_get(op->args, "begun"));
	world_of(op)->running++;
	return 0;
}

static const struct step STEPS[] = {
	{"one", apply, undo}, {"two", apply, NULL}, {"three", apply, undo}};

static const struct op_verb BOTH_WAYS = {.name = "test.both",
	.steps = STEPS,
	.steps_count = ARRAY_SIZE(STEPS),
	.restore = restore,
	.begin = begin,
	.end = end};

static const struct op_verb FORWARD = {.name = "test.forward",
	.steps = STEPS,
	.steps_count = ARRAY_SIZE(STEPS),
	.forward_only = true,
	.restore = restore,
	.begin = begin,
	.end = end};

static const struct op_verb *const VERBS[] = {&BOTH_WAYS, &FORWARD, NULL};

/* --- The world around it --------------------------------------------------------------------- */

static void commit(void *agent, struct db_txn *txn, bool durable,
	void (*done)(void *data, int r, const struct err *err), void *data)
{
	struct world *w = agent;
	struct err err;

	if (w->commits_fail == 0) {
		db_submit(w->db, txn, durable, done, data);
		return;
	}
	w->commits_fail--;
	db_txn_abandon(txn);
	done(data, err_errno(&err, ENOSPC, "told to fail"), &err);
}

static void rows(void *agent, const struct op *op, struct db_txn *txn)
{
	struct world *w = agent;

	(void)op;
	(void)txn;
	w->rows++;
}

static void changed(void *agent, const struct op *op, struct db_txn *txn)
{
	(void)agent;
	(void)op;
	(void)txn;
}

static void open_world(struct world *w)
{
	const struct engine_hooks hooks = {
		.agent = w, .commit = commit, .changed = changed, .rows = rows};
	char path[96];
	struct err err;

	snprintf(path, sizeof(path), "%s/state.db", w->dir);
	assert_int_equal(sd_event_new(&w->loop), 0);
	assert_int_equal(db_open(w->loop, path, false, &w->db, &err), 0);
	assert_int_equal(engine_create(w->loop, &hooks, VERBS, &w->engine, &err), 0);
}

static void close_world(struct world *w)
{
	engine_stop(w->engine);
	assert_int_equal(db_flush(w->db, NULL), 0);
	w->engine = engine_destroy(w->engine);
	w->db = db_close(w->db);
	w->loop = sd_event_unref(w->loop);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(w->dir, sizeof(w->dir), "/tmp/corpus-engine-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	g_class = (struct op_class){.limit = 100};
	open_world(w);
	engine_start(w->engine);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->engine)
		close_world(w);
	assert_int_equal(file_remove_tree(w->dir), 0);
	free(w);
	return 0;
}

static struct op *submit_args(
	struct world *w, const struct op_verb *verb, const char *lane, json_t *args)
{
	struct op *op = op_create(w->engine, verb, args);

	snprintf(op->info.target, sizeof(op->info.target), "%s", lane);
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%s", lane);
	op->op_class = &g_class;
	engine_submit(w->engine, op, db_txn_create());
	return op;
}

static struct op *submit(struct world *w, const struct op_verb *verb, const char *lane)
{
	return submit_args(w, verb, lane, json_object());
}

static void run_until_ended(struct world *w, unsigned count)
{
	while (w->ended < count || engine_pending(w->engine) > (w->held ? 1 : 0))
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
}

static void run_until_held(struct world *w)
{
	while (!w->held)
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
}

/* --- Tests ----------------------------------------------------------------------------------- */

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

	w->fail_step = "three";
	w->fail_code = ERR_DRIVER;
	w->fail_times = 1;
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

	w->fail_step = "two";
	w->fail_code = ERR_DRIVER;
	w->fail_times = 1;
	submit(w, &FORWARD, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two");
	assert_int_equal(w->last.state, OPERATION_FAILED);
}

static void what_is_unavailable_is_tried_again(void **state)
{
	struct world *w = *state;

	w->fail_step = "two";
	w->fail_code = ERR_UNAVAILABLE;
	w->fail_times = 2;
	submit(w, &BOTH_WAYS, "a");
	run_until_ended(w, 1);
	assert_string_equal(w->trace, "a:one a:two a:two a:two a:three");
	assert_int_equal(w->last.state, OPERATION_DONE);
}

static void apply_parts(struct op *op)
{
	struct world *w = world_of(op);

	op_step_also(op);
	apply(op);
	assert_int_equal(w->ended, 0);
	apply(op);
}

static const struct step PARTS[] = {{"one", apply, undo}, {"two", apply_parts, undo}};

static const struct op_verb IN_PARTS = {.name = "test.parts",
	.steps = PARTS,
	.steps_count = ARRAY_SIZE(PARTS),
	.restore = restore,
	.begin = begin,
	.end = end};

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

	w->fail_step = "two";
	w->fail_code = ERR_DRIVER;
	w->fail_times = 1;
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
	struct err err;

	w->hold_step = "one";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	assert_int_equal(engine_cancel(w->held, &err), 0);
	op_step_done(TAKE_PTR(w->held), 0, NULL);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one a:-one");
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

/* --- Restarts -------------------------------------------------------------------------------- */

static int resume_one(void *data, const struct operation *info, json_t *args)
{
	struct world *w = data;
	struct err err;

	assert_int_equal(engine_resume(w->engine, info, args, &err), 0);
	return 0;
}

/* As after the death of the process: what was under way is in the journal only. */
static void restart(struct world *w)
{
	struct err err;

	close_world(w);
	w->trace[0] = '\0';
	w->held = NULL;
	w->running = 0;
	open_world(w);
	assert_int_equal(db_load_unfinished(w->db, resume_one, w, &err), 0);
	engine_start(w->engine);
}

static void after_a_restart_the_journalled_step_is_begun_again(void **state)
{
	struct world *w = *state;

	w->hold_step = "two";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, 1);
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
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, 3);
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
	w->fail_step = "three";
	w->fail_code = ERR_DRIVER;
	w->fail_times = 1;
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
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_FAILED);
	assert_int_equal(w->last.error.code, ERR_NOT_FOUND);
	assert_string_equal(w->trace, "");
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
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, 1);
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
	struct err err;

	w->hold_step = "one";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	assert_int_equal(engine_cancel(w->held, &err), 0);
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, 1);
	assert_int_equal(w->last.state, OPERATION_CANCELLED);
	assert_string_equal(w->trace, "a:one a:-one");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(what_only_goes_forward_cannot_be_cancelled),
		TEST(an_operation_refused_at_its_turn_fails_without_a_step),
		TEST(waiters_hear_of_their_moment_once_unless_they_left),
		TEST(after_a_restart_the_journalled_step_is_begun_again),
		TEST(after_a_restart_those_that_waited_run_in_their_order),
		TEST(after_a_restart_undoing_goes_on),
		TEST(what_cannot_be_taken_up_ends_as_failed),
		TEST(what_the_first_step_needs_is_journalled_when_the_disk_has_room_again),
		TEST(an_end_that_cannot_be_written_holds_its_lane_until_it_can),
		TEST(a_cancel_is_kept_over_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
