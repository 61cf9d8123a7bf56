/* Restoring a guest to one of its snapshots: it is ended, its volume becomes what it was then, and
 * it starts again when it ran. What the volume was before is put aside until all of that is done; a
 * failure brings it back and starts the guest again. */
#include <errno.h>
#include <string.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/seed/seed.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/storage.h"

/* --- Steps ----------------------------------------------------------------------------------- */

static int restore_work(struct task *task, struct err *err)
{
	return snapshot_restore(task->storage, task->guest->id,
		json_string_value(json_object_get(task->args, "snapshot")),
		task->guest->storage_size, err);
}

static void restore_apply(struct op *op)
{
	step_storage(op, restore_work);
}

static int restore_undo_work(struct task *task, struct err *err)
{
	return snapshot_restore_undo(task->storage, task->guest->id, err);
}

static void restore_undo(struct op *op)
{
	step_storage(op, restore_undo_work);
}

static int restore_finish_work(struct task *task, struct err *err)
{
	return snapshot_restore_finish(task->storage, task->guest->id, err);
}

static void finish_apply(struct op *op)
{
	step_storage(op, restore_finish_work);
}

/* The name and keys that it has now, whatever they were then. */
static void seed_again(struct op *op)
{
	step_seed_parts(op, SEED_NAME | SEED_KEYS, NULL);
}

static void start_if_asked(struct op *op)
{
	op_step_if(op, "start", step_start);
}

static const struct step RESTORE_STEPS[] = {
	{"end", step_kill, step_run_again},
	{"restore", restore_apply, restore_undo},
	{"seed", seed_again, NULL},
	{"define", step_define, NULL},
	{"start", start_if_asked, step_kill},
	{"link", step_link, NULL},
	{"finish", finish_apply, NULL},
};

static int forget_memory_work(struct task *task, struct err *err)
{
	return volume_remove(task->storage, task->guest->id, VOLUME_MEMORY, err);
}

/* With the files of then alone the guest boots. */
static void memory_apply(struct op *op)
{
	if (op_arg(op, "memory"))
		op_step_done(op, 0, NULL);
	else
		step_storage(op, forget_memory_work);
}

static const struct step DISK_STEPS[] = {
	{"end", step_kill, step_run_again},
	{"restore", restore_apply, restore_undo},
	{"memory", memory_apply, NULL},
	{"seed", seed_again, NULL},
	{"define", step_define, NULL},
	{"start", start_if_asked, step_kill},
	{"link", step_link, NULL},
	{"finish", finish_apply, NULL},
};

/* Both halves become what they were then, and what both were is let go of in one step: there is no
 * way back from having done one. */
static void finish_both(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (!task)
		return;
	task->then = step_layer_restore_finish;
	task_run(task, restore_finish_work);
}

static const struct step CONTAINER_STEPS[] = {
	{"end", step_kill, step_run_again},
	{"restore", restore_apply, restore_undo},
	{"define", step_define, NULL},
	{"layer", step_layer_restore, step_layer_restore_undo},
	{"start", start_if_asked, step_kill},
	{"link", step_link, NULL},
	{"finish", finish_both, NULL},
};

/* --- The verb -------------------------------------------------------------------------------- */

/* A larger disk is refused before the guest is ended for it. (What a tree held is known when it is
 * compared.) */
static int check_size(
	const struct guest *guest, const struct guest_snapshot *snapshot, struct err *err)
{
	if (!guest->disk || snapshot->size <= guest->storage_size)
		return 0;
	return err_set(err, ERR_INVALID, "storage.size",
		"the disk of snapshot %s has %s, guest %s has %s: enlarge it to at least %llu "
		"bytes first",
		snapshot->name, FMT_SIZE(snapshot->size), guest->name,
		FMT_SIZE(guest->storage_size), (unsigned long long)snapshot->size);
}

/* Whether it runs, and so whether it is to run afterwards, is known when its turn has come. */
static int restore_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = has_snapshot_begin(op, txn, err);

	if (r == 0)
		r = check_size(op_guest(op)->guest,
			guest_find_snapshot(op_guest(op)->guest, op_snapshot(op)), err);
	if (r < 0)
		return r;
	op_interrupt_begin(op, txn);
	if (!json_object_get(op->args, "start"))
		json_object_set_new(op->args, "start", json_boolean(op_arg(op, "ran")));
	return 0;
}

static void restored(struct op *op, struct guest_entry *entry, struct db_txn *txn)
{
	enum guest_state after = op_arg(op, "start") ? GUEST_RUNNING : GUEST_STOPPED;

	op_note_cause(op, entry->guest, after);
	guest_note_seed(entry->guest, GUEST_SEED_NAME | GUEST_SEED_KEYS);
	agent_set_guest_state(op->agent, entry, after, NULL, txn);
	db_put_guest(txn, entry->guest);
	snapshot_event(op, "guest.restored", txn);
}

/* Its volume is what it was before. */
static void not_restored(struct op *op, struct db_txn *txn)
{
	struct err *err = &op->info.error;

	op_interrupt_failed(op, "to be restored", txn);
	if (op_arg(op, "memory") && strcmp(op->info.step, "start") == 0 && err->code == ERR_DRIVER)
		err_prefix(err, "it cannot go on from its memory of then (\"memory\": false boots "
				"it instead)");
}

static void restore_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE)
		restored(op, entry, txn);
	else
		not_restored(op, txn);
	op_guest_left(op, entry);
}

static const struct op_verb *restore_variant(const json_t *args)
{
	if (json_is_true(json_object_get(args, "container")))
		return &RESTORE_CONTAINER;
	return json_is_true(json_object_get(args, "disk")) ? &RESTORE_DISK : &GUEST_RESTORE;
}

const struct op_verb GUEST_RESTORE = {
	.name = "guest.restore",
	.variant = restore_variant,
	.steps = RESTORE_STEPS,
	.steps_count = ARRAY_SIZE(RESTORE_STEPS),
	.restore = op_interrupt_restore,
	.begin = restore_begin,
	.end = restore_end,
	.reject = op_guest_reject,
};

const struct op_verb RESTORE_DISK = {
	.name = "guest.restore",
	.steps = DISK_STEPS,
	.steps_count = ARRAY_SIZE(DISK_STEPS),
	.restore = op_interrupt_restore,
	.begin = restore_begin,
	.end = restore_end,
	.reject = op_guest_reject,
};

const struct op_verb RESTORE_CONTAINER = {
	.name = "guest.restore",
	.steps = CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(CONTAINER_STEPS),
	.restore = op_interrupt_restore,
	.begin = restore_begin,
	.end = restore_end,
	.reject = op_guest_reject,
};

static int check_memory(const struct guest_snapshot *snapshot, const struct restore_request *wanted,
	struct err *err)
{
	if (!wanted->memory || !*wanted->memory || snapshot->memory)
		return 0;
	return err_set(err, ERR_CONFLICT, "memory",
		"snapshot %s does not hold what the guest had in memory: leave memory out",
		snapshot->name);
}

int plan_guest_restore(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const struct restore_request *wanted, struct err *err)
{
	const struct guest_snapshot *snapshot;
	bool memory;
	json_t *args;
	int r = guest_verb_check(VERB_RESTORE, entry->projected, entry->guest->name, err);

	if (r < 0)
		return r;
	snapshot = guest_need_snapshot(entry->guest, wanted->snapshot, err);
	if (!snapshot)
		return err_errnum(ERR_NOT_FOUND);
	r = check_memory(snapshot, wanted, err);
	/* What waits before it may change the size. */
	if (r == 0 && entry->pending == 0)
		r = check_size(entry->guest, snapshot, err);
	if (r < 0)
		return r;
	memory = wanted->memory ? *wanted->memory : snapshot->memory;
	args = json_pack("{s:s, s:b, s:b, s:b}", "snapshot", wanted->snapshot, "disk",
		entry->guest->disk != NULL, "container", entry->guest->container != NULL, "memory",
		memory);
	if (wanted->start)
		json_object_set_new(args, "start", json_boolean(*wanted->start));
	r = op_plan_guest(agent, plan, restore_variant(args), entry, args, err);
	if (r == 0 && wanted->start)
		entry->projected = *wanted->start ? GUEST_RUNNING : GUEST_STOPPED;
	return r;
}
