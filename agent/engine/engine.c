/* The operation engine, see engine.h: acceptance, lanes, the walk through the steps and back. */
#include "agent/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "agent/engine/internal.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"

#define ATTEMPTS_MAX	  5
#define RETRY_FIRST_US	  UINT64_C(200000)
#define RETRY_JOURNAL_US  UINT64_C(1000000)
#define RETRY_UNDO_MAX_US UINT64_C(30000000)

static void schedule(struct engine *engine);
static void walk(struct op *op);
static void cancelled(struct op *op);

int engine_create(sd_event *loop, const struct engine_hooks *hooks,
	const struct op_verb *const *verbs, struct engine **ret, struct err *err)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return err_errno(err, ENOMEM, "cannot make the operation engine");
	engine->loop = sd_event_ref(loop);
	engine->hooks = *hooks;
	engine->verbs = verbs;
	*ret = engine;
	return 0;
}

struct engine *engine_destroy(struct engine *engine)
{
	struct op_index *index, *tmp;

	if (!engine)
		return NULL;
	engine->started = false;
	DL_FOREACH_SAFE(engine->order, index, tmp)
	engine_delist(index->op);
	sd_event_unref(engine->loop);
	free(engine);
	return NULL;
}

/* Frees an operation that has ended; others may run now. */
static void leave(struct op *op)
{
	struct engine *engine = op->private->engine;

	engine_delist(op);
	schedule(engine);
}

/* --- Journal --------------------------------------------------------------------------------- */

static int retry_elapsed(sd_event_source *source, uint64_t usec, void *data)
{
	struct op *op = data;

	(void)source;
	(void)usec;
	op->private->retry = sd_event_source_disable_unref(op->private->retry);
	/* Asked for in the pause. */
	if (op->info.cancel_requested && op->info.state == OPERATION_RUNNING &&
		op->private->engine->started)
		cancelled(op);
	else
		walk(op);
	return 0;
}

static void later(struct op *op, uint64_t pause_us, sd_event_time_handler_t elapsed)
{
	struct engine *engine = op->private->engine;

	if (sd_event_add_time_relative(engine->loop, &op->private->retry, CLOCK_MONOTONIC, pause_us,
		    0, elapsed, op) < 0)
		log_error("operation.stuck", "op=%s reason=\"no timer\"", op->info.id);
}

/* Walks on after a pause. */
static void walk_later(struct op *op, uint64_t pause_us)
{
	later(op, pause_us, retry_elapsed);
}

static void note_step(struct op *op, const char *name)
{
	snprintf(op->info.step, sizeof(op->info.step), "%s", name);
}

/* A test ordered this step to fail. */
static void fail_step(struct op *op, void (*end)(struct op *op, int r, const struct err *err))
{
	struct err err;
	int r = err_set(&err, ERR_DRIVER, NULL, "step %s was made to fail", op->info.step);

	end(op, r, &err);
}

/* Starts the current step, or its undo, now that the journal knows. */
static void begin_step(struct op *op)
{
	const struct step *step = &op->verb->steps[op->info.step_index];

	op->private->parts = 1;
	op->private->part_r = 0;
	if (op->info.state == OPERATION_UNDOING) {
		fault_point("ops.%s.%s.undo", op->verb->name, step->name);
		step->undo(op);
	} else {
		if (fault_point("ops.%s.%s.before", op->verb->name, step->name))
			fail_step(op, op_step_done);
		else
			step->apply(op);
	}
}

static void step_journalled(void *data, int r, const struct err *err)
{
	struct op *op = data;

	if (r < 0) {
		log_warning("journal.failed", "op=%s error=%s", op->info.id, LOG_Q(err->message));
		walk_later(op, RETRY_JOURNAL_US);
		return;
	}
	op->private->row_behind = false;
	if (op->private->engine->started)
		begin_step(op);
}

/* --- The end --------------------------------------------------------------------------------- */

static void end_journalled(void *data, int r, const struct err *err);

/* Takes the transaction over. */
static void journal_end(struct op *op, struct db_txn *txn)
{
	struct engine *engine = op->private->engine;

	db_put_operation(txn, &op->info, op->private->row_behind ? op->args : NULL, NULL, NULL);
	engine->hooks.changed(engine->hooks.agent, op, txn);
	engine->hooks.commit(engine->hooks.agent, txn, false, end_journalled, op);
}

static int end_retry(sd_event_source *source, uint64_t usec, void *data)
{
	struct op *op = data;
	struct engine *engine = op->private->engine;
	struct db_txn *txn;

	(void)source;
	(void)usec;
	op->private->retry = sd_event_source_disable_unref(op->private->retry);
	if (!engine->started)
		return 0;
	txn = db_txn_create();
	engine->hooks.rows(engine->hooks.agent, op, txn);
	journal_end(op, txn);
	return 0;
}

static void end_journalled(void *data, int r, const struct err *err)
{
	struct op *op = data;

	if (r < 0) {
		/* It keeps its lanes until the journal has it: else a restart would take it up
		 * after operations that came later. */
		log_error("journal.failed", "op=%s state=%s error=%s", op->info.id,
			operation_state_to_string(op->info.state), LOG_Q(err->message));
		later(op, RETRY_JOURNAL_US, end_retry);
		return;
	}
	fault_point("ops.%s.end", op->verb->name);
	op_notify(op, OP_ACCEPTED, NULL);
	op_notify(op, OP_ENDED, NULL);
	leave(op);
}

static void log_end(const struct op *op)
{
	int64_t ms = op->info.ended_ms - op->info.created_ms;

	if (op->info.state == OPERATION_DONE)
		log_info("operation.done", "op=%s verb=%s target=%s ms=%lld", op->info.id,
			op->info.verb, op->info.target, (long long)ms);
	else
		log_warning("operation.ended",
			"op=%s verb=%s target=%s state=%s step=%s code=%s error=%s", op->info.id,
			op->info.verb, op->info.target, operation_state_to_string(op->info.state),
			op->info.step, err_code_to_string(op->info.error.code),
			LOG_Q(op->info.error.message));
}

static void finish(struct op *op, enum operation_state state)
{
	struct db_txn *txn = db_txn_create();

	op->info.state = state;
	op->info.ended_ms = clock_realtime_ms();
	log_end(op);
	op->verb->end(op, txn);
	journal_end(op, txn);
}

/* --- The walk -------------------------------------------------------------------------------- */

static enum operation_state failed_state(const struct op *op)
{
	return op->info.error.code == ERR_CANCELLED ? OPERATION_CANCELLED : OPERATION_FAILED;
}

/* Moves step_index down to the next step that has something to undo; false when there is none. */
static bool find_undo(struct op *op)
{
	for (;; op->info.step_index--) {
		if (op->verb->steps[op->info.step_index].undo)
			return true;
		if (op->info.step_index == 0)
			return false;
	}
}

/* Takes the transaction over. */
static void journal_step(struct op *op, struct db_txn *txn)
{
	struct engine *engine = op->private->engine;

	/* While it is undone, the step that failed stays named. */
	if (op->info.state == OPERATION_RUNNING)
		note_step(op, op->verb->steps[op->info.step_index].name);
	if (op->info.started_ms == 0)
		op->info.started_ms = clock_realtime_ms();
	if (op->private->row_behind) {
		db_put_operation(txn, &op->info, op->args, NULL, NULL);
	} else {
		db_put_step(txn, op->info.id, op->info.state, op->info.step_index, op->info.step);
	}
	engine->hooks.changed(engine->hooks.agent, op, txn);
	engine->hooks.commit(engine->hooks.agent, txn, false, step_journalled, op);
}

/* The operation stands before step_index (or before undoing it): journal it and go on, or end. */
static void walk(struct op *op)
{
	if (!op->private->engine->started)
		return;
	if (op->info.state == OPERATION_UNDOING) {
		if (!find_undo(op))
			finish(op, failed_state(op));
		else
			journal_step(op, db_txn_create());
		return;
	}
	if (op->info.step_index == op->verb->steps_count)
		finish(op, OPERATION_DONE);
	else
		journal_step(op, db_txn_create());
}

/* From a failed or cancelled step (or the place before it) backwards. */
static void turn_back(struct op *op, const struct err *err)
{
	op->info.error = *err;
	op->private->attempts = 0;
	if (op->verb->forward_only) {
		finish(op, OPERATION_FAILED);
		return;
	}
	op->info.state = OPERATION_UNDOING;
	op->private->row_behind = true;
	if (op->info.step_index == op->verb->steps_count)
		op->info.step_index--;
	walk(op);
}

static uint64_t retry_pause(unsigned attempt)
{
	uint64_t pause = RETRY_FIRST_US << (attempt < 10 ? attempt : 10);

	return pause < RETRY_UNDO_MAX_US ? pause : RETRY_UNDO_MAX_US;
}

static void undo_step_done(struct op *op, int r, const struct err *err)
{
	if (r < 0) {
		/* Never given up: what was done to the host must be taken back. */
		log_warning("operation.undo_failed", "op=%s step=%s attempt=%u error=%s",
			op->info.id, op->info.step, op->private->attempts, LOG_Q(err->message));
		walk_later(op, retry_pause(op->private->attempts++));
		return;
	}
	op->private->attempts = 0;
	if (op->info.step_index == 0) {
		finish(op, failed_state(op));
		return;
	}
	op->info.step_index--;
	walk(op);
}

static bool worth_retrying(const struct op *op, const struct err *err)
{
	return err->code == ERR_UNAVAILABLE && op->private->attempts < ATTEMPTS_MAX &&
	       !op->info.cancel_requested;
}

static void cancelled(struct op *op)
{
	struct err err;

	err_set(&err, ERR_CANCELLED, NULL, "the operation was cancelled");
	turn_back(op, &err);
}

static void step_done(struct op *op, int r, const struct err *err)
{
	if (!op->private->engine->started)
		return; /* the next start takes the step up again */
	if (op->info.state == OPERATION_UNDOING) {
		undo_step_done(op, r, err);
		return;
	}
	if (r < 0 && worth_retrying(op, err)) {
		walk_later(op, retry_pause(op->private->attempts++));
		return;
	}
	if (r < 0) {
		turn_back(op, err);
		return;
	}
	if (fault_point("ops.%s.%s.after", op->verb->name, op->info.step)) {
		fail_step(op, step_done);
		return;
	}
	op->private->attempts = 0;
	op->info.step_index++;
	/* Past the last step the change is made: too late to cancel. */
	if (op->info.cancel_requested && op->info.step_index < op->verb->steps_count)
		cancelled(op);
	else
		walk(op);
}

void op_step_also(struct op *op)
{
	op->private->parts++;
}

void op_args_changed(struct op *op)
{
	op->private->row_behind = true;
}

void op_step_done(struct op *op, int r, const struct err *err)
{
	struct op_private *private = op->private;

	if (r < 0 && private->part_r == 0) {
		private->part_r = r;
		private->part_err = *err;
	}
	if (--private->parts == 0)
		step_done(op, private->part_r, &private->part_err);
}

/* --- Scheduling ------------------------------------------------------------------------------ */

static bool runnable(struct engine *engine, const struct op *op)
{
	if (!op->private->accepted || op->private->begun)
		return false;
	if (op->op_class && op->op_class->running >= op->op_class->limit)
		return false;
	return engine_heads_lanes(engine, op);
}

static void begin(struct op *op)
{
	struct db_txn *txn;
	struct err err;

	op->private->begun = true;
	op->private->row_behind = true;
	if (op->op_class)
		op->op_class->running++;
	if (op->info.state != OPERATION_QUEUED) {
		walk(op); /* taken up again */
		return;
	}
	txn = db_txn_create();
	op->info.state = OPERATION_RUNNING;
	if (op->verb->begin && op->verb->begin(op, txn, &err) < 0) {
		db_txn_abandon(txn);
		op->info.error = err;
		finish(op, failed_state(op));
		return;
	}
	journal_step(op, txn);
}

/* Begins whatever may run. An operation's end calls this again, from within. */
static void schedule(struct engine *engine)
{
	struct op_index *index, *tmp;

	if (!engine->started || engine->scheduling)
		return;
	engine->scheduling = true;
	DL_FOREACH_SAFE(engine->order, index, tmp)
	if (runnable(engine, index->op))
		begin(index->op);
	engine->scheduling = false;
}

/* Ended while it waited: nothing was done. */
static void end_unbegun(struct op *op, enum operation_state state, const struct err *err)
{
	op->info.error = *err;
	op->private->begun = true;
	if (op->op_class)
		op->op_class->running++;
	finish(op, state);
}

static void cancel_unbegun(struct op *op)
{
	struct err err;

	err_set(&err, ERR_CANCELLED, NULL, "the operation was cancelled before it began");
	end_unbegun(op, OPERATION_CANCELLED, &err);
}

static void rejected(struct op *op, const struct err *err)
{
	log_error("operation.rejected", "op=%s verb=%s target=%s error=%s", op->info.id,
		op->info.verb, op->info.target, LOG_Q(err->message));
	op_notify(op, OP_ACCEPTED, err);
	if (op->verb->reject)
		op->verb->reject(op);
	leave(op);
}

static void accepted(void *data, int r, const struct err *err)
{
	struct op *op = data;

	if (r < 0) {
		rejected(op, err);
		return;
	}
	fault_point("ops.%s.accepted", op->verb->name);
	op->private->accepted = true;
	op_notify(op, OP_ACCEPTED, NULL);
	if (op->info.cancel_requested)
		cancel_unbegun(op);
	else
		schedule(op->private->engine);
}

void engine_submit(struct engine *engine, struct op *op, struct db_txn *txn)
{
	struct err err;

	if (engine_enlist(engine, op) < 0) {
		db_txn_abandon(txn);
		err_errno(&err, ENOMEM, "cannot accept the operation");
		rejected(op, &err);
		return;
	}
	db_put_operation(txn, &op->info, op->args, op->request_key, op->request_hash);
	engine->hooks.changed(engine->hooks.agent, op, txn);
	engine->hooks.commit(engine->hooks.agent, txn, true, accepted, op);
}

static const struct op_verb *find_verb(
	const struct engine *engine, const char *name, const json_t *args)
{
	for (const struct op_verb *const *verb = engine->verbs; *verb; verb++)
		if (strcmp((*verb)->name, name) == 0)
			return (*verb)->variant ? (*verb)->variant(args) : *verb;
	return NULL;
}

int engine_resume(
	struct engine *engine, const struct operation *info, json_t *args, struct err *err)
{
	const struct op_verb *verb = find_verb(engine, info->verb, args);
	struct err why;
	struct op *op;
	int r;

	if (!verb)
		return err_set(err, ERR_INTERNAL, NULL, "operation %s has the unknown verb %s",
			info->id, info->verb);
	op = op_create(engine, verb, json_incref(args));
	if (!op)
		return err_errno(err, ENOMEM, "cannot take up operation %s", info->id);
	op->info = *info;
	op->info.steps_count = (uint32_t)verb->steps_count;
	op->private->accepted = true;
	r = verb->restore(op, &why);
	if (engine_enlist(engine, op) < 0) {
		op_discard(op);
		return err_errno(err, ENOMEM, "cannot take up operation %s", info->id);
	}
	if (r < 0) {
		end_unbegun(op, OPERATION_FAILED, &why);
		return 0;
	}
	log_info("operation.resumed", "op=%s verb=%s target=%s state=%s step=%s", info->id,
		info->verb, info->target, operation_state_to_string(info->state), info->step);
	return 0;
}

void engine_start(struct engine *engine)
{
	engine->started = true;
	schedule(engine);
}

void engine_stop(struct engine *engine)
{
	engine->started = false;
}

static void journal_cancel(struct op *op)
{
	struct engine *engine = op->private->engine;
	struct db_txn *txn = db_txn_create();

	db_put_operation(txn, &op->info, op->args, NULL, NULL);
	engine->hooks.commit(engine->hooks.agent, txn, false, NULL, NULL);
}

int engine_cancel(struct op *op, struct err *err)
{
	if (op->verb->forward_only)
		return err_set(err, ERR_CONFLICT, NULL,
			"operation %s (%s) can only go forward and cannot be cancelled",
			op->info.id, op->info.verb);
	if (op->info.cancel_requested)
		return 0;
	op->info.cancel_requested = true;
	/* One that waits for acceptance or is in a step sees it afterwards, also when a restart
	 * lies between. */
	if (op->private->accepted && !op->private->begun)
		cancel_unbegun(op);
	else if (op->private->accepted)
		journal_cancel(op);
	if (op->private->begun && op->verb->cancel)
		op->verb->cancel(op);
	return 0;
}
