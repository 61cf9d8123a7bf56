/* Restoring a guest to one of its snapshots: it is ended, its volume becomes what it was then, and
 * it starts again when it ran. What the volume was before is put aside until all of that is done; a
 * failure brings it back and starts the guest again. */
#include <errno.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/seed/seed.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

static bool arg_is_true(const struct op *op, const char *name)
{
	return json_is_true(json_object_get(op->args, name));
}

/* --- Steps ----------------------------------------------------------------------------------- */

/* It goes on as it did before. */
static void run_again(struct op *op)
{
	if (arg_is_true(op, "ran"))
		driver_step_run_again(op);
	else
		op_step_done(op, 0, NULL);
}

static void storage_step(struct op *op, int (*work)(struct task *task, struct err *err))
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, work);
}

static int restore_work(struct task *task, struct err *err)
{
	return snapshot_restore(task->storage, task->guest->id,
		json_string_value(json_object_get(task->args, "snapshot")),
		task->guest->storage_size, err);
}

static void restore_apply(struct op *op)
{
	storage_step(op, restore_work);
}

static int restore_undo_work(struct task *task, struct err *err)
{
	return snapshot_restore_undo(task->storage, task->guest->id, err);
}

static void restore_undo(struct op *op)
{
	storage_step(op, restore_undo_work);
}

static int restore_finish_work(struct task *task, struct err *err)
{
	return snapshot_restore_finish(task->storage, task->guest->id, err);
}

static void finish_apply(struct op *op)
{
	storage_step(op, restore_finish_work);
}

/* The name and keys that it has now, whatever they were then. */
static void seed_again(struct op *op)
{
	step_seed_parts(op, SEED_NAME | SEED_KEYS, NULL);
}

static void start_if_asked(struct op *op)
{
	if (arg_is_true(op, "start"))
		step_start(op);
	else
		op_step_done(op, 0, NULL);
}

static const struct step RESTORE_STEPS[] = {
	{"end", step_kill, run_again},
	{"restore", restore_apply, restore_undo},
	{"seed", seed_again, NULL},
	{"define", step_define, NULL},
	{"start", start_if_asked, step_kill},
	{"link", step_link, NULL},
	{"finish", finish_apply, NULL},
};

/* --- The verb -------------------------------------------------------------------------------- */

/* Whether it runs, and so whether it is to run afterwards, is known when its turn has come. */
static int restore_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *entry = op_guest(op);
	int r = has_snapshot_begin(op, txn, err);
	bool ran;

	if (r < 0)
		return r;
	ran = entry->guest->state == GUEST_RUNNING || entry->guest->state == GUEST_FROZEN;
	json_object_set_new(op->args, "ran", json_boolean(ran));
	if (!json_object_get(op->args, "start"))
		json_object_set_new(op->args, "start", json_boolean(ran));
	if (ran)
		agent_set_guest_state(op->agent, entry, GUEST_STOPPING, NULL, txn);
	return 0;
}

static int restore_restore(struct op *op, struct err *err)
{
	struct agent *agent = op->agent;
	int r = op_guest_restore(op, err);

	if (r == 0 && arg_is_true(op, "ran")) {
		op_guest(op)->guest->state = GUEST_STOPPING;
		registry_changed(agent->registry, op_guest(op));
	}
	return r;
}

static void restored(struct op *op, struct guest_entry *entry, struct db_txn *txn)
{
	enum guest_state after = arg_is_true(op, "start") ? GUEST_RUNNING : GUEST_STOPPED;

	op_note_cause(op, entry->guest, after);
	guest_note_seed(entry->guest, GUEST_SEED_NAME | GUEST_SEED_KEYS);
	agent_set_guest_state(op->agent, entry, after, NULL, txn);
	db_put_guest(txn, entry->guest);
	snapshot_event(op, "guest.restored", txn);
}

/* Its volume is what it was before; whether it runs as well is what its start led to. */
static void not_restored(struct op *op, struct guest_entry *entry, struct db_txn *txn)
{
	bool ran = arg_is_true(op, "ran"), runs = entry->guest->pid > 0;

	agent_set_guest_state(op->agent, entry,
		runs  ? GUEST_RUNNING
		: ran ? GUEST_ERROR
		      : GUEST_STOPPED,
		ran && !runs ? "it was ended to be restored, which failed, and cannot be started "
			       "again: see the log of its driver"
			     : NULL,
		txn);
	db_put_guest(txn, entry->guest);
}

static void restore_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE)
		restored(op, entry, txn);
	else if (json_object_get(op->args, "ran"))
		not_restored(op, entry, txn);
	op_guest_left(op, entry);
}

const struct op_verb GUEST_RESTORE = {
	.name = "guest.restore",
	.steps = RESTORE_STEPS,
	.steps_count = ARRAY_SIZE(RESTORE_STEPS),
	.restore = restore_restore,
	.begin = restore_begin,
	.end = restore_end,
	.reject = op_guest_reject,
};

int plan_guest_restore(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, const bool *start, struct err *err)
{
	json_t *args;
	int r = guest_verb_check(VERB_RESTORE, entry->projected, entry->guest->name, err);

	if (r < 0)
		return r;
	if (!guest_need_snapshot(entry->guest, name, err))
		return err_errnum(ERR_NOT_FOUND);
	args = json_pack("{s:s}", "snapshot", name);
	if (start)
		json_object_set_new(args, "start", json_boolean(*start));
	r = op_plan_guest(agent, plan, &GUEST_RESTORE, entry, args, err);
	if (r == 0 && start)
		entry->projected = *start ? GUEST_RUNNING : GUEST_STOPPED;
	return r;
}
