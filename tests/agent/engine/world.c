/* A world for tests of the engine, see world.h. */
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

#include "base/file.h"
#include "base/log.h"
#include "world.h"

/* --- A verb that does as it is told ---------------------------------------------------------- */

struct world *world_of(const struct op *op)
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

void step_apply(struct op *op)
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
	if (json_is_true(json_object_get(op->args, "note")) && strcmp(op->info.step, "two") == 0) {
		json_object_set_new(op->args, "noted", json_true());
		op_args_changed(op);
	}
	if (w->fail_step && strcmp(w->fail_step, op->info.step) == 0 && w->fail_times > 0) {
		w->fail_times--;
		r = err_set(&err, w->fail_code, NULL, "told to fail");
	}
	op_step_done(op, r, &err);
}

void step_undo(struct op *op)
{
	trace(op, "-");
	op_step_done(op, 0, NULL);
}

int world_begin(struct op *op, struct db_txn *txn, struct err *err)
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

void world_end(struct op *op, struct db_txn *txn)
{
	struct world *w = world_of(op);

	(void)txn;
	if (json_is_true(json_object_get(op->args, "begun")))
		w->running--;
	w->ended++;
	w->last = op->info;
}

struct op_class g_class;

int world_restore(struct op *op, struct err *err)
{
	if (json_is_true(json_object_get(op->args, "lost")))
		return err_set(err, ERR_NOT_FOUND, NULL, "what it was about is gone");
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%.100s", op->info.target);
	world_of(op)->resumed_begun = json_is_true(json_object_get(op->args, "begun"));
	world_of(op)->running++;
	return 0;
}

const struct step STEPS[STEPS_COUNT] = {{"one", step_apply, step_undo}, {"two", step_apply, NULL},
	{"three", step_apply, step_undo}};

static const struct op_verb *variant(const json_t *args)
{
	return json_is_true(json_object_get(args, "short")) ? &SHORT_WAY : &BOTH_WAYS;
}

const struct op_verb BOTH_WAYS = {.name = "test.both",
	.variant = variant,
	.steps = STEPS,
	.steps_count = ARRAY_SIZE(STEPS),
	.restore = world_restore,
	.begin = world_begin,
	.end = world_end};

const struct op_verb SHORT_WAY = {.name = "test.both",
	.steps = STEPS + 2,
	.steps_count = 1,
	.restore = world_restore,
	.begin = world_begin,
	.end = world_end};

const struct op_verb NOTE_LAST = {.name = "test.note",
	.steps = STEPS,
	.steps_count = 2,
	.restore = world_restore,
	.begin = world_begin,
	.end = world_end};

const struct op_verb FORWARD = {.name = "test.forward",
	.steps = STEPS,
	.steps_count = ARRAY_SIZE(STEPS),
	.forward_only = true,
	.restore = world_restore,
	.begin = world_begin,
	.end = world_end};

static const struct op_verb *const VERBS[] = {&BOTH_WAYS, &FORWARD, &NOTE_LAST, NULL};

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

int world_setup(void **state)
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

int world_teardown(void **state)
{
	struct world *w = *state;

	if (w->engine)
		close_world(w);
	assert_int_equal(file_remove_tree(w->dir), 0);
	free(w);
	return 0;
}

struct op *submit_args(struct world *w, const struct op_verb *verb, const char *lane, json_t *args)
{
	struct op *op = op_create(w->engine, verb, args);

	snprintf(op->info.target, sizeof(op->info.target), "%s", lane);
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%s", lane);
	op->op_class = &g_class;
	engine_submit(w->engine, op, db_txn_create());
	return op;
}

struct op *submit(struct world *w, const struct op_verb *verb, const char *lane)
{
	return submit_args(w, verb, lane, json_object());
}

void run_until_ended(struct world *w, unsigned count)
{
	while (w->ended < count || engine_pending(w->engine) > (w->held ? 1 : 0))
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
}

void run_until_held(struct world *w)
{
	while (!w->held)
		assert_true(sd_event_run(w->loop, DEADLINE_US) > 0);
}

void cancel_in_step_one(struct world *w)
{
	struct err err;

	w->hold_step = "one";
	submit(w, &BOTH_WAYS, "a");
	run_until_held(w);
	assert_int_equal(engine_cancel(w->held, &err), 0);
}

static int resume_one(void *data, const struct operation *info, json_t *args)
{
	struct world *w = data;
	struct err err;

	assert_int_equal(engine_resume(w->engine, info, args, &err), 0);
	return 0;
}

void restart(struct world *w)
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

void restart_and_end(struct world *w, unsigned count)
{
	w->hold_step = NULL;
	restart(w);
	run_until_ended(w, count);
}

void fail_at(struct world *w, const char *step, enum err_code code, unsigned times)
{
	w->fail_step = step;
	w->fail_code = code;
	w->fail_times = times;
}
