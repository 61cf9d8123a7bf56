/* Changes of a guest's storage where that is a disk. A guest that runs gets a larger one under its
 * feet, and grows its file system itself where it can. A smaller one is made while it does not run;
 * it is stopped for that when that was allowed. */
#include <errno.h>

#include "agent/node/registry.h"
#include "agent/ops/driver_facts.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/storage.h"

static uint64_t target(const json_t *args)
{
	return (uint64_t)json_integer_value(json_object_get(args, "to"));
}

static bool is_up(enum guest_state state)
{
	return state == GUEST_RUNNING || state == GUEST_FROZEN;
}

static void note_text(struct op *op, const char *key, const char *value)
{
	json_object_set_new(op->args, key, json_string(value));
	op_args_changed(op);
}

/* --- Pieces of work -------------------------------------------------------------------------- */

static int cancelled(void *data, uint64_t bytes)
{
	const struct task *task = data;

	(void)bytes;
	return *task->cancel;
}

static int resize_disk(struct task *task, uint64_t size, bool cancellable, struct err *err)
{
	const struct disk_resize resize = {
		.size = size, .progress = cancellable ? cancelled : NULL, .progress_data = task};

	return volume_resize_disk(task->storage, task->guest->id, &resize, NULL, err);
}

static int room_work(struct task *task, struct err *err)
{
	return volume_make_room(task->storage, task->guest->id, target(task->args), err);
}

static int resize_work(struct task *task, struct err *err)
{
	return resize_disk(task, target(task->args), true, err);
}

/* As it was before; a disk that became larger although it was said to have failed keeps its room.
 */
static int room_back_work(struct task *task, struct err *err)
{
	const struct guest *guest = task->guest;
	uint64_t size = guest->storage_size;
	struct volume_usage usage;
	int r = volume_usage(task->storage, guest->id, false, &usage, err);

	if (r < 0)
		return r;
	return volume_make_room(
		task->storage, guest->id, usage.size > size ? usage.size : size, err);
}

static int resize_back_work(struct task *task, struct err *err)
{
	uint64_t size = task->guest->storage_size;
	int r = volume_make_room(task->storage, task->guest->id, size, err);

	return r < 0 ? r : resize_disk(task, size, false, err);
}

static void room_apply(struct op *op)
{
	step_storage(op, room_work);
}

static void room_undo(struct op *op)
{
	step_storage(op, room_back_work);
}

/* --- enlarge --------------------------------------------------------------------------------- */

static void grown(struct op *op, const struct driver_reply *reply)
{
	note_text(op, "file_system", reply->disk.file_system ? "grown" : "next_boot");
}

static void enlarged(struct op *op, struct task *task)
{
	(void)task;
	note_text(op, "file_system", "next_boot");
}

static void enlarge_apply(struct op *op)
{
	struct guest_entry *entry = op_guest(op);
	struct task *task;

	if (entry && is_up(entry->guest->state)) {
		driver_step_disk(op,
			&(struct driver_disk_work){
				.op = DRIVER_DISK_RESIZE, .size = target(op->args)},
			false, grown);
		return;
	}
	task = task_create(op, TASK_STORAGE);
	if (!task)
		return;
	task->finish = enlarged;
	task_run(task, resize_work);
}

static const struct step ENLARGE_STEPS[] = {
	{"room", room_apply, room_undo},
	{"disk", enlarge_apply, NULL},
};

const struct op_verb ENLARGE_DISK = {
	.name = "guest.enlarge",
	.steps = ENLARGE_STEPS,
	.steps_count = ARRAY_SIZE(ENLARGE_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

/* --- discard --------------------------------------------------------------------------------- */

int discard_check(const struct guest *guest, enum guest_state state, struct err *err)
{
	if (!guest->disk || state == GUEST_RUNNING)
		return 0;
	return err_set(err, ERR_ILLEGAL_STATE, "discard",
		"guest %s is %s: only while it runs can it say what it does not use", guest->name,
		guest_state_to_string(state));
}

static void discarded(struct op *op, const struct driver_reply *reply)
{
	json_object_set_new(op->args, "discarded", json_integer((json_int_t)reply->disk.freed));
	op_args_changed(op);
}

/* What a tree does not hold any more is the pool's at once. */
static void discard_apply(struct op *op)
{
	const struct guest_entry *entry = op_guest(op);
	const struct driver_reply nothing = {0};

	if (entry && entry->guest->disk) {
		driver_step_disk(op, &(struct driver_disk_work){.op = DRIVER_DISK_DISCARD}, false,
			discarded);
		return;
	}
	discarded(op, &nothing);
	op_step_done(op, 0, NULL);
}

static int discard_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = op_state_begin(op, txn, err);

	if (r == 0)
		r = discard_check(op_guest(op)->guest, op_guest(op)->guest->state, err);
	return r;
}

static void discard_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	(void)txn;
	if (entry)
		op_guest_left(op, entry);
}

static const struct step DISCARD_STEPS[] = {{"discard", discard_apply, NULL}};

const struct op_verb TRIM_DISCARD = {
	.name = "guest.trim",
	.steps = DISCARD_STEPS,
	.steps_count = ARRAY_SIZE(DISCARD_STEPS),
	.restore = op_guest_restore,
	.begin = discard_begin,
	.end = discard_end,
	.reject = op_guest_reject,
};

/* --- trim ------------------------------------------------------------------------------------ */

static int check_memory(const struct trim_trial *trial, struct err *err)
{
	if (!driver_facts_has_memory(trial->storage, trial->guest))
		return 0;
	return err_set(err, ERR_ILLEGAL_STATE, NULL,
		"guest %s goes on from saved memory at its next start, which knows the disk as it "
		"is: start it first",
		trial->guest->name);
}

int trim_try(const struct trim_trial *trial, struct err *err)
{
	const struct guest *guest = trial->guest;
	char reason[200] = "";
	uint64_t least;
	int r = volume_disk_least(trial->storage, guest->id, &least, reason, sizeof(reason), err);

	if (r < 0)
		return r;
	if (least == 0)
		return err_set(err, ERR_UNSUPPORTED, "storage.size",
			"the disk of guest %s cannot be made smaller (%s): the least possible size "
			"is the %llu bytes (%s) that it has",
			guest->name, reason, (unsigned long long)guest->storage_size,
			FMT_SIZE(guest->storage_size));
	if (trial->to < least)
		return err_set(err, ERR_INVALID, "storage.size",
			"%s hold too much for %s: the least possible size is %llu bytes (%s)",
			guest->name, FMT_SIZE(trial->to), (unsigned long long)least,
			FMT_SIZE(least));
	if (is_up(guest->state) && !trial->restart)
		return err_set(err, ERR_ILLEGAL_STATE, "restart",
			"a disk is made smaller while its guest does not run: stop guest %s "
			"first, or allow it to be restarted (\"restart\": true); the least "
			"possible "
			"size is %llu bytes (%s)",
			guest->name, (unsigned long long)least, FMT_SIZE(least));
	return check_memory(trial, err);
}

static int look_work(struct task *task, struct err *err)
{
	const struct trim_trial trial = {.storage = task->storage,
		.guest = task->guest,
		.to = target(task->args),
		.restart = json_is_true(json_object_get(task->args, "restart"))};

	return trim_try(&trial, err);
}

/* Refused before anything is changed. */
static void look_apply(struct op *op)
{
	step_storage(op, look_work);
}

/* What moving blocks would move for nothing. */
static void discard_first(struct op *op)
{
	if (op_arg(op, "runs"))
		driver_step_disk(
			op, &(struct driver_disk_work){.op = DRIVER_DISK_DISCARD}, true, discarded);
	else
		op_step_done(op, 0, NULL);
}

/* Only now it is known that it is for something. */
static void stop_apply(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (!op_arg(op, "ran")) {
		op_step_done(op, 0, NULL);
		return;
	}
	if (entry)
		agent_observe_guest(op->agent, entry, GUEST_STOPPING, entry->guest->pid, NULL);
	step_stop(op);
}

static void resize_apply(struct op *op)
{
	step_storage(op, resize_work);
}

static void resize_undo(struct op *op)
{
	step_storage(op, resize_back_work);
}

static void define_if_ran(struct op *op)
{
	op_step_if(op, "ran", step_define);
}

static void link_if_ran(struct op *op)
{
	op_step_if(op, "ran", step_link);
}

static void kill_if_ran(struct op *op)
{
	op_step_if(op, "ran", step_kill);
}

static const struct step TRIM_STEPS[] = {
	{"look", look_apply, NULL},
	{"discard", discard_first, NULL},
	{"stop", stop_apply, step_run_again},
	{"resize", resize_apply, resize_undo},
	{"room", room_apply, NULL},
	{"define", define_if_ran, NULL},
	{"start", step_start_if_ran, kill_if_ran},
	{"link", link_if_ran, NULL},
};

static int trim_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = resize_begin(op, txn, err);
	enum guest_state state;

	if (r < 0)
		return r;
	state = op_guest(op)->guest->state;
	json_object_set_new(op->args, "runs", json_boolean(state == GUEST_RUNNING));
	json_object_set_new(op->args, "ran", json_boolean(is_up(state) && op_arg(op, "restart")));
	return 0;
}

static void trim_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);
	bool stopped = entry && entry->guest->state == GUEST_STOPPING;

	if (stopped && op->info.state == OPERATION_DONE)
		agent_set_guest_state(op->agent, entry, GUEST_RUNNING, NULL, txn);
	else if (stopped)
		op_interrupt_failed(op, "to get a smaller disk", txn);
	resize_end(op, txn);
}

const struct op_verb TRIM_DISK = {
	.name = "guest.trim",
	.steps = TRIM_STEPS,
	.steps_count = ARRAY_SIZE(TRIM_STEPS),
	.restore = op_guest_restore,
	.begin = trim_begin,
	.end = trim_end,
	.reject = op_guest_reject,
};
