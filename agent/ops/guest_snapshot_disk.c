/* Snapshots of guests that are held for it, with a disk or a layer: of a machine that runs. Either
 * it is held while the snapshot is made, so that all that it has written is in its files; or what
 * it has in memory is written down as well, which ends it, and it goes on from there behind the
 * snapshot. */
#include <errno.h>
#include <time.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "storage/storage.h"

/* A driver holds a guest for 30 s and then lets go by itself (driver.h, DRIVER_DISK_HOLD). */
#define HOLD_MS 30000

/* Also after a restart of corpusd; after one of the machine it begins anew. */
static int64_t since_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* --- Held ------------------------------------------------------------------------------------ */

static void held(struct op *op, const struct driver_reply *reply)
{
	op_note_consistency(op, reply->disk.file_system ? SNAPSHOT_FILE_SYSTEM : SNAPSHOT_CRASH);
	op_args_changed(op);
}

/* One that cannot be held is copied as a power cut would leave it. */
static void hold_apply(struct op *op)
{
	if (!op_arg(op, "hold")) {
		op_step_done(op, 0, NULL);
		return;
	}
	json_object_set_new(op->args, "held_ms", json_integer(since_boot_ms()));
	op_args_changed(op);
	driver_step_disk(op, &(struct driver_disk_work){.op = DRIVER_DISK_HOLD}, true, held);
}

static void release(struct op *op)
{
	driver_step_disk(op, &(struct driver_disk_work){.op = DRIVER_DISK_RELEASE}, true, NULL);
}

static void hold_undo(struct op *op)
{
	if (op_arg(op, "hold"))
		release(op);
	else
		op_step_done(op, 0, NULL);
}

/* A snapshot that was made when the guest was on its way again is none. */
static void release_apply(struct op *op)
{
	int64_t began = json_integer_value(json_object_get(op->args, "held_ms"));
	int64_t now = since_boot_ms();
	struct err err;

	if (!op_arg(op, "hold")) {
		op_step_done(op, 0, NULL);
		return;
	}
	if (now >= began && now - began <= HOLD_MS && !fault_point("ops.guest.snapshot.held")) {
		release(op);
		return;
	}
	err_set(&err, ERR_TIMEOUT, NULL,
		"the snapshot took longer than guest %s can be held (%d s): try again when the "
		"node is less busy, or stop the guest for it",
		op->info.target, HOLD_MS / 1000);
	op_step_done(op, err_errnum(ERR_TIMEOUT), &err);
}

static const struct step DISK_STEPS[] = {
	{"look", step_snapshot_look, NULL},
	{"hold", hold_apply, hold_undo},
	{"snapshot", step_snapshot, step_snapshot_delete},
	{"release", release_apply, NULL},
};

/* One that is frozen, or does not run, writes nothing. */
static int disk_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = snapshot_begin(op, txn, err);

	if (r == 0)
		json_object_set_new(op->args, "hold",
			json_boolean(op_guest(op)->guest->state == GUEST_RUNNING));
	return r;
}

const struct op_verb SNAPSHOT_DISK = {
	.name = "guest.snapshot",
	.steps = DISK_STEPS,
	.steps_count = ARRAY_SIZE(DISK_STEPS),
	.restore = op_guest_restore,
	.begin = disk_begin,
	.end = snapshot_end,
	.reject = op_guest_reject,
};

/* --- Of a container ---------------------------------------------------------------------------
 *
 * It is held around both of its halves: its data in the pool, and its layer, which its driver
 * keeps. An attempt that was given up while the driver's daemon went on with it may have left a
 * layer of that name, which would be taken for the one to be kept. */

static const struct step CONTAINER_STEPS[] = {
	{"look", step_snapshot_look, NULL},
	{"define", step_define, NULL},
	{"clear", step_layer_drop, NULL},
	{"hold", hold_apply, hold_undo},
	{"snapshot", step_snapshot, step_snapshot_delete},
	{"layer", step_layer_keep, step_layer_drop},
	{"release", release_apply, NULL},
};

const struct op_verb SNAPSHOT_CONTAINER = {
	.name = "guest.snapshot",
	.steps = CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(CONTAINER_STEPS),
	.restore = op_guest_restore,
	.begin = disk_begin,
	.end = snapshot_end,
	.reject = op_guest_reject,
};

/* --- With memory ----------------------------------------------------------------------------- */

/* What a machine's memory takes in a file: of one without a limit, what drivers give it at most
 * (driver.h), and what else it consists of. */
#define MEMORY_USUAL (UINT64_C(1) << 30)
#define MEMORY_MORE  (UINT64_C(256) << 20)

static int room_work(struct task *task, struct err *err)
{
	const struct guest *guest = task->guest;
	uint64_t memory = guest->limits.memory ? guest->limits.memory : MEMORY_USUAL;

	return volume_make_room(
		task->storage, guest->id, guest->storage_size + memory + MEMORY_MORE, err);
}

static int room_back_work(struct task *task, struct err *err)
{
	return volume_make_room(task->storage, task->guest->id, task->guest->storage_size, err);
}

/* So that it finds room also beside a disk that is full. */
static void room_apply(struct op *op)
{
	step_storage(op, room_work);
}

static void room_undo(struct op *op)
{
	step_storage(op, room_back_work);
}

static void save_apply(struct op *op)
{
	driver_step(op, DRIVER_CALL_SAVE, NULL);
}

/* Behind the save all undoing is to start it, which finds the memory as long as the guest did not
 * go on from it; so nothing ends the guest again. */
static const struct step MEMORY_STEPS[] = {
	{"look", step_snapshot_look, NULL},
	{"room", room_apply, room_undo},
	{"save", save_apply, step_run_again},
	{"snapshot", step_snapshot, step_snapshot_delete},
	{"define", step_define, NULL},
	{"start", step_start, NULL},
	{"link", step_link, NULL},
	{"tidy", room_undo, NULL},
};

int snapshot_check_running(enum guest_state state, const char *name, struct err *err)
{
	if (state == GUEST_RUNNING)
		return 0;
	return err_set(err, ERR_ILLEGAL_STATE, "memory",
		"guest %s is %s: only one that is running has memory to keep%s", name,
		guest_state_to_string(state), state == GUEST_FROZEN ? " (thaw it first)" : "");
}

static int memory_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = snapshot_begin(op, txn, err);

	if (r == 0)
		r = snapshot_check_running(
			op_guest(op)->guest->state, op_guest(op)->guest->name, err);
	if (r == 0)
		op_interrupt_begin(op, txn);
	return r;
}

static void memory_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	if (entry && op->info.state == OPERATION_DONE) {
		agent_set_guest_state(op->agent, entry, GUEST_RUNNING, NULL, txn);
		db_put_guest(txn, entry->guest);
	} else if (entry) {
		op_interrupt_failed(op, "to keep its memory", txn);
	}
	snapshot_end(op, txn);
}

const struct op_verb SNAPSHOT_MEMORY = {
	.name = "guest.snapshot",
	.steps = MEMORY_STEPS,
	.steps_count = ARRAY_SIZE(MEMORY_STEPS),
	.restore = op_interrupt_restore,
	.begin = memory_begin,
	.end = memory_end,
	.reject = op_guest_reject,
};
