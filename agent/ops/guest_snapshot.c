/* Snapshots of a guest: made and deleted. The guest's record lists them; in the pool they appear
 * and go in one piece each, so that there is never half of one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/driver_facts.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/strv.h"
#include "storage/storage.h"

const char *op_snapshot(const struct op *op)
{
	return json_string_value(json_object_get(op->args, "snapshot"));
}

void snapshot_event(struct op *op, const char *type, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	const struct guest_entry *entry = op_guest(op);

	events_publish(agent->events, txn, type,
		json_pack("{s:s, s:s, s:s}", "id", entry->guest->id, "target", entry->guest->name,
			"snapshot", op_snapshot(op)));
}

/* --- The guest's list ------------------------------------------------------------------------ */

const struct guest_snapshot *guest_find_snapshot(const struct guest *guest, const char *name)
{
	for (size_t i = 0; i < guest->snapshots_count; i++)
		if (strcmp(guest->snapshots[i].name, name) == 0)
			return &guest->snapshots[i];
	return NULL;
}

const struct guest_snapshot *guest_need_snapshot(
	const struct guest *guest, const char *name, struct err *err)
{
	const struct guest_snapshot *found = guest_find_snapshot(guest, name);

	if (!found)
		err_set(err, ERR_NOT_FOUND, "snapshot", "guest %s has no snapshot %s", guest->name,
			name);
	return found;
}

static int list_snapshot(struct guest *guest, const struct guest_snapshot *snapshot)
{
	struct guest_snapshot *grown =
		reallocarray(guest->snapshots, guest->snapshots_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[guest->snapshots_count++] = *snapshot;
	guest->snapshots = grown;
	return 0;
}

static void unlist_snapshot(struct guest *guest, const char *name)
{
	const struct guest_snapshot *found = guest_find_snapshot(guest, name);
	size_t i;

	if (!found)
		return;
	i = (size_t)(found - guest->snapshots);
	guest->snapshots_count--;
	memmove(&guest->snapshots[i], &guest->snapshots[i + 1],
		(guest->snapshots_count - i) * sizeof(guest->snapshots[0]));
}

static int check_new(const struct guest *guest, const char *name, struct err *err)
{
	if (guest_find_snapshot(guest, name))
		return err_set(err, ERR_EXISTS, "name", "guest %s has a snapshot %s already",
			guest->name, name);
	if (guest->snapshots_count >= GUEST_SNAPSHOTS_MAX)
		return err_set(err, ERR_CONFLICT, "snapshots",
			"guest %s has %d snapshots, the most: delete one", guest->name,
			GUEST_SNAPSHOTS_MAX);
	return 0;
}

/* --- snapshot: steps ------------------------------------------------------------------------- */

static int look_work(struct task *task, struct err *err)
{
	CLEANUP(strv_freep) char **names = NULL;
	const char *name = json_string_value(json_object_get(task->args, "snapshot"));
	int r = snapshot_list(task->storage, task->guest->id, &names, err);

	for (char **have = names; r == 0 && *have; have++)
		if (strcmp(*have, name) == 0)
			r = err_set(err, ERR_EXISTS, "name",
				"the pool has a snapshot %s of guest %s that state.db does not "
				"know: choose another name",
				name, task->guest->name);
	return r;
}

/* What the pool has already under that name would be taken for what is made now. */
void step_snapshot_look(struct op *op)
{
	step_storage(op, look_work);
}

static int snapshot_work(struct task *task, struct err *err)
{
	task->memory = driver_facts_has_memory(task->storage, task->guest);
	return snapshot_create(task->storage, task->guest->id,
		json_string_value(json_object_get(task->args, "snapshot")), err);
}

/* A guest that was not started since a restore has its memory in its volume. */
static void snapshot_made(struct op *op, struct task *task)
{
	if (!task->memory)
		return;
	json_object_set_new(op->args, "has_memory", json_true());
	op_args_changed(op);
}

void step_snapshot(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (!task)
		return;
	task->finish = snapshot_made;
	task_run(task, snapshot_work);
}

static int delete_work(struct task *task, struct err *err)
{
	return snapshot_delete(task->storage, task->guest->id,
		json_string_value(json_object_get(task->args, "snapshot")), err);
}

void step_snapshot_delete(struct op *op)
{
	step_storage(op, delete_work);
}

static const struct step SNAPSHOT_STEPS[] = {
	{"look", step_snapshot_look, NULL},
	{"snapshot", step_snapshot, step_snapshot_delete},
};

/* --- snapshot: the verb ---------------------------------------------------------------------- */

/* A name from the time, "20261122t160903z", that the guest has not used yet. */
static void choose_name(
	const struct guest *guest, int64_t now_ms, char name[static GUEST_SNAPSHOT_NAME_MAX + 1])
{
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm utc;
	char stamp[24];

	gmtime_r(&seconds, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dt%H%M%Sz", &utc);
	snprintf(name, GUEST_SNAPSHOT_NAME_MAX + 1, "%s", stamp);
	for (unsigned i = 2; guest_find_snapshot(guest, name); i++)
		snprintf(name, GUEST_SNAPSHOT_NAME_MAX + 1, "%s-%u", stamp, i);
}

static enum snapshot_consistency consistency_of(const struct op *op)
{
	const char *text = json_string_value(json_object_get(op->args, "consistency"));

	for (int i = 0; text && i < SNAPSHOT_CONSISTENCY_MAX_; i++)
		if (strcmp(snapshot_consistency_to_string((enum snapshot_consistency)i), text) == 0)
			return (enum snapshot_consistency)i;
	return SNAPSHOT_CRASH;
}

void op_note_consistency(struct op *op, enum snapshot_consistency consistency)
{
	json_object_set_new(
		op->args, "consistency", json_string(snapshot_consistency_to_string(consistency)));
}

/* Its time is that of its turn, and so is its name when none was asked for. */
int snapshot_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	char name[GUEST_SNAPSHOT_NAME_MAX + 1];
	int64_t now_ms = clock_realtime_ms();
	int r = op_state_begin(op, txn, err);

	if (r < 0)
		return r;
	if (json_is_true(json_object_get(op->args, "unnamed"))) {
		choose_name(op_guest(op)->guest, now_ms, name);
		json_object_set_new(op->args, "snapshot", json_string(name));
	}
	json_object_set_new(op->args, "created_ms", json_integer(now_ms));
	op_note_consistency(op,
		op_guest(op)->guest->state == GUEST_STOPPED ? SNAPSHOT_STOPPED : SNAPSHOT_CRASH);
	return check_new(op_guest(op)->guest, op_snapshot(op), err);
}

void snapshot_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct guest_snapshot made = {
		.created_ms = json_integer_value(json_object_get(op->args, "created_ms")),
		.consistency = consistency_of(op),
		.memory = op_arg(op, "has_memory")};

	if (!entry)
		return;
	made.size = entry->guest->storage_size;
	snprintf(made.name, sizeof(made.name), "%s", op_snapshot(op));
	if (op->info.state == OPERATION_DONE && list_snapshot(entry->guest, &made) == 0) {
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		snapshot_event(op, "snapshot.created", txn);
	}
	op_guest_left(op, entry);
}

static const struct op_verb *snapshot_variant(const json_t *args)
{
	if (json_is_true(json_object_get(args, "memory")))
		return &SNAPSHOT_MEMORY;
	if (json_is_true(json_object_get(args, "container")))
		return &SNAPSHOT_CONTAINER;
	return json_is_true(json_object_get(args, "disk")) ? &SNAPSHOT_DISK : &GUEST_SNAPSHOT;
}

const struct op_verb GUEST_SNAPSHOT = {
	.name = "guest.snapshot",
	.variant = snapshot_variant,
	.steps = SNAPSHOT_STEPS,
	.steps_count = ARRAY_SIZE(SNAPSHOT_STEPS),
	.restore = op_guest_restore,
	.begin = snapshot_begin,
	.end = snapshot_end,
	.reject = op_guest_reject,
};

static int check_memory(
	struct agent *agent, const struct guest_entry *entry, bool memory, struct err *err)
{
	const struct agent_driver *driver = agent_driver(agent, entry->guest->driver, NULL);

	if (!memory)
		return 0;
	if (!entry->guest->disk ||
		(driver && driver->info.name[0] && !(driver->info.capabilities & DRIVER_CAN_SAVE)))
		return err_set(err, ERR_UNSUPPORTED, "memory",
			"driver %s cannot keep what its guests have in memory: leave memory out",
			entry->guest->driver);
	return snapshot_check_running(entry->projected, entry->guest->name, err);
}

int plan_guest_snapshot(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, bool memory, struct err *err)
{
	char chosen[GUEST_SNAPSHOT_NAME_MAX + 1];
	json_t *args;
	int r = guest_verb_check(VERB_SNAPSHOT, entry->projected, entry->guest->name, err);

	if (r == 0)
		r = check_memory(agent, entry, memory, err);
	if (name)
		snprintf(chosen, sizeof(chosen), "%s", name);
	else
		choose_name(entry->guest, clock_realtime_ms(), chosen);
	if (r == 0)
		r = check_new(entry->guest, chosen, err);
	if (r < 0)
		return r;
	args = json_pack("{s:s, s:b, s:b, s:b, s:b}", "snapshot", chosen, "unnamed", !name, "disk",
		entry->guest->disk != NULL, "container", entry->guest->container != NULL, "memory",
		memory);
	return op_plan_guest(agent, plan, snapshot_variant(args), entry, args, err);
}

/* --- delete ---------------------------------------------------------------------------------- */

/* What is accepted before may have deleted it. */
int has_snapshot_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	int r = op_state_begin(op, txn, err);

	if (r == 0 && !guest_need_snapshot(op_guest(op)->guest, op_snapshot(op), err))
		r = err_errnum(ERR_NOT_FOUND);
	return r;
}

static void delete_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE) {
		unlist_snapshot(entry->guest, op_snapshot(op));
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		snapshot_event(op, "snapshot.deleted", txn);
	}
	op_guest_left(op, entry);
}

/* It goes in one piece or not at all: there is nothing to undo. */
static const struct step DELETE_STEPS[] = {{"delete", step_snapshot_delete, NULL}};

/* The half that is the more likely to fail comes first; it can be deleted again then. */
static const struct step DELETE_CONTAINER_STEPS[] = {
	{"layer", step_layer_drop, NULL},
	{"delete", step_snapshot_delete, NULL},
};

static const struct op_verb *delete_variant(const json_t *args)
{
	return json_is_true(json_object_get(args, "container")) ? &SNAPSHOT_DELETE_CONTAINER
								: &GUEST_SNAPSHOT_DELETE;
}

const struct op_verb SNAPSHOT_DELETE_CONTAINER = {
	.name = "guest.snapshot-delete",
	.steps = DELETE_CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(DELETE_CONTAINER_STEPS),
	.restore = op_guest_restore,
	.begin = has_snapshot_begin,
	.end = delete_end,
	.reject = op_guest_reject,
};

const struct op_verb GUEST_SNAPSHOT_DELETE = {
	.name = "guest.snapshot-delete",
	.variant = delete_variant,
	.steps = DELETE_STEPS,
	.steps_count = ARRAY_SIZE(DELETE_STEPS),
	.restore = op_guest_restore,
	.begin = has_snapshot_begin,
	.end = delete_end,
	.reject = op_guest_reject,
};

int plan_guest_snapshot_delete(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, struct err *err)
{
	int r = guest_verb_check(VERB_SNAPSHOT_DELETE, entry->projected, entry->guest->name, err);

	if (r < 0)
		return r;
	if (!guest_need_snapshot(entry->guest, name, err))
		return err_errnum(ERR_NOT_FOUND);
	return op_plan_guest(agent, plan,
		entry->guest->container ? &SNAPSHOT_DELETE_CONTAINER : &GUEST_SNAPSHOT_DELETE,
		entry,
		json_pack("{s:s, s:b}", "snapshot", name, "container",
			entry->guest->container != NULL),
		err);
}
