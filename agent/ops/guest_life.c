/* A guest's life after creation: start, stop, restart, kill, destroy; changes of its limits and of
 * its storage. */
#include <errno.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/storage.h"

/* --- From state to state --------------------------------------------------------------------- */

/* Each start defines the guest anew: what was changed while it was stopped is taken up, and a
 * definition that was lost comes back. */
static const struct step START_STEPS[] = {
	{"define", step_define, NULL},
	{"start", step_start, step_kill},
	{"link", step_link, NULL},
};

const struct op_verb GUEST_START = {
	.name = "guest.start",
	.steps = START_STEPS,
	.steps_count = ARRAY_SIZE(START_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step STOP_STEPS[] = {{"stop", step_stop, NULL}};

const struct op_verb GUEST_STOP = {
	.name = "guest.stop",
	.steps = STOP_STEPS,
	.steps_count = ARRAY_SIZE(STOP_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step RESTART_STEPS[] = {
	{"stop", step_stop, NULL},
	{"define", step_define, NULL},
	{"start", step_start, step_kill},
	{"link", step_link, NULL},
};

const struct op_verb GUEST_RESTART = {
	.name = "guest.restart",
	.steps = RESTART_STEPS,
	.steps_count = ARRAY_SIZE(RESTART_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step KILL_STEPS[] = {{"kill", step_kill, NULL}};

const struct op_verb GUEST_KILL = {
	.name = "guest.kill",
	.steps = KILL_STEPS,
	.steps_count = ARRAY_SIZE(KILL_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static void destroy_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state != OPERATION_DONE) {
		agent_set_guest_state(agent, entry, GUEST_ERROR, op->info.error.message, txn);
		db_put_guest(txn, entry->guest);
		op_guest_off(op, entry);
		return;
	}
	db_delete_guest(txn, entry->guest->id);
	guest_event(agent, entry->guest, "guest.destroyed", txn);
	guest_forget(agent, entry);
}

static const struct step DESTROY_STEPS[] = {
	{"unpublish", step_unpublish_all, NULL},
	{"undefine", step_end, NULL},
	{"volume", step_remove_volume, NULL},
};

const struct op_verb GUEST_DESTROY = {
	.name = "guest.destroy",
	.steps = DESTROY_STEPS,
	.steps_count = ARRAY_SIZE(DESTROY_STEPS),
	.forward_only = true,
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = destroy_end,
	.reject = op_guest_reject,
};

static const struct op_verb *const SIMPLE[VERB_MAX_] = {
	[VERB_START] = &GUEST_START,
	[VERB_STOP] = &GUEST_STOP,
	[VERB_RESTART] = &GUEST_RESTART,
	[VERB_KILL] = &GUEST_KILL,
	[VERB_DESTROY] = &GUEST_DESTROY,
};

int plan_guest_simple(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, uint64_t timeout_ms, struct err *err)
{
	uint64_t timeout = timeout_ms ? timeout_ms : agent->config->stop_timeout_ms;
	enum guest_state after = guest_verb_after(verb);
	int r = guest_verb_check(verb, entry->projected, entry->guest->name, err);

	if (r < 0)
		return r;
	r = op_plan_guest(agent, plan, SIMPLE[verb], entry,
		json_pack("{s:I}", "timeout_ms", (json_int_t)timeout), err);
	if (r < 0)
		return r;
	entry->projected = verb == VERB_DESTROY ? GUEST_DESTROYING : after;
	return 0;
}

/* --- Limits and settings --------------------------------------------------------------------- */

/* The guest as it will be. */
static int patched(
	const struct guest *guest, const json_t *patch, struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *copy = guest_copy(guest);
	int r;

	if (!copy)
		return err_errno(err, ENOMEM, "cannot change guest %s", guest->name);
	r = guest_patch(copy, patch, err);
	if (r == 0)
		*ret = TAKE_PTR(copy);
	return r;
}

static void limits_apply(struct op *op)
{
	struct guest_entry *entry = op_guest(op);
	CLEANUP(guest_freep) struct guest *wanted = NULL;
	struct err err;

	if (!entry ||
		patched(entry->guest, json_object_get(op->args, "patch"), &wanted, &err) != 0) {
		if (!entry)
			err_set(&err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
				op->info.target);
		op_step_done(op, -err.errnum, &err);
		return;
	}
	if (guest_limits_equal(&wanted->limits, &entry->guest->limits))
		op_step_done(op, 0, NULL);
	else
		driver_step(op, DRIVER_CALL_SET_LIMITS, &wanted->limits);
}

static void limits_undo(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	/* The table still has the old ones. A driver that could not change them has nothing to
	 * undo. */
	if (entry && op->info.error.code != ERR_UNSUPPORTED && op->info.error.code != ERR_INVALID)
		driver_step(op, DRIVER_CALL_SET_LIMITS, &entry->guest->limits);
	else
		op_step_done(op, 0, NULL);
}

/* Slots that this operation reserves beyond those of its guest. */
static uint32_t slots_extra(const struct op *op)
{
	return (uint32_t)json_integer_value(json_object_get(op->args, "slots_extra"));
}

static void update_reject(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (entry)
		entry->slots_extra -= slots_extra(op);
	op_guest_reject(op);
}

static int update_restore(struct op *op, struct err *err)
{
	int r = op_guest_restore(op, err);

	if (op_guest(op))
		op_guest(op)->slots_extra += slots_extra(op);
	return r;
}

static void update_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	entry->slots_extra -= slots_extra(op);
	if (op->info.state == OPERATION_DONE &&
		guest_patch(entry->guest, json_object_get(op->args, "patch"), NULL) == 0) {
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		guest_event(agent, entry->guest, "guest.changed", txn);
	}
	op_guest_left(op, entry);
}

static const struct step UPDATE_STEPS[] = {{"limits", limits_apply, limits_undo}};

const struct op_verb GUEST_UPDATE = {
	.name = "guest.update",
	.steps = UPDATE_STEPS,
	.steps_count = ARRAY_SIZE(UPDATE_STEPS),
	.restore = update_restore,
	.begin = op_state_begin,
	.end = update_end,
	.reject = update_reject,
};

int plan_guest_update(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const json_t *patch, struct err *err)
{
	CLEANUP(guest_freep) struct guest *wanted = NULL;
	uint32_t extra, reserved, used = registry_slots_used(agent->registry, &reserved);
	int r = guest_verb_check(VERB_UPDATE, entry->projected, entry->guest->name, err);

	if (r == 0)
		r = patched(entry->guest, patch, &wanted, err);
	if (r != 0)
		return r;
	extra = wanted->slots > entry->guest->slots ? wanted->slots - entry->guest->slots : 0;
	if (extra > 0 && used + extra > agent_slots_total(agent))
		return err_set(err, ERR_NO_SLOT, "slots",
			"the node has %u slots and %u are used: there is no room for %u more",
			agent_slots_total(agent), used, extra);
	r = op_plan_guest(agent, plan, &GUEST_UPDATE, entry,
		json_pack("{s:O, s:I}", "patch", (json_t *)patch, "slots_extra", (json_int_t)extra),
		err);
	if (r == 0)
		entry->slots_extra += extra;
	return r;
}

/* --- Storage --------------------------------------------------------------------------------- */

/* The size that adding or removing `amount`, or going to *to, leads to from the size of now. */
static int resize_target(
	const struct guest *guest, bool trim, uint64_t amount, uint64_t *to, struct err *err)
{
	uint64_t size = guest->storage_size;

	if (*to == 0 && trim && amount >= size)
		return err_set(err, ERR_INVALID, "size",
			"guest %s has %s of storage: %s cannot be removed", guest->name,
			FMT_SIZE(size), FMT_SIZE(amount));
	if (*to == 0)
		*to = trim ? size - amount : size + amount;
	if (*to > GUEST_SIZE_MAX)
		return err_set(err, ERR_INVALID, "size",
			"guest %s has %s of storage: %s more is beyond the most there can be",
			guest->name, FMT_SIZE(size), FMT_SIZE(amount));
	if (trim ? *to > size : *to < size)
		return err_set(err, ERR_INVALID, "to",
			"guest %s has %s of storage: use %s to get %s", guest->name, FMT_SIZE(size),
			trim ? "enlarge" : "trim", FMT_SIZE(*to));
	return 0;
}

/* What is asked for becomes a size only now, when all that was accepted before has ended; it is
 * journalled, so that a repeat after a crash does not add twice. */
static int resize_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *entry = op_guest(op);
	uint64_t amount = (uint64_t)json_integer_value(json_object_get(op->args, "amount"));
	uint64_t to = (uint64_t)json_integer_value(json_object_get(op->args, "to"));
	int r = op_state_begin(op, txn, err);

	if (r == 0)
		r = resize_target(entry->guest, op->verb == &GUEST_TRIM, amount, &to, err);
	if (r == 0)
		json_object_set_new(op->args, "to", json_integer((json_int_t)to));
	return r;
}

static int resize_work(struct task *task, struct err *err)
{
	return volume_resize(task->storage, task->guest->id, task->size, NULL, err);
}

static void resize_apply(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (!task)
		return;
	task->size = (uint64_t)json_integer_value(json_object_get(op->args, "to"));
	task_run(task, resize_work);
}

static void resize_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE) {
		entry->guest->storage_size =
			(uint64_t)json_integer_value(json_object_get(op->args, "to"));
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		guest_event(agent, entry->guest, "guest.changed", txn);
	}
	op_guest_left(op, entry);
}

/* The limit is set in one piece or not at all: there is nothing to undo. */
static const struct step RESIZE_STEPS[] = {{"resize", resize_apply, NULL}};

const struct op_verb GUEST_ENLARGE = {
	.name = "guest.enlarge",
	.steps = RESIZE_STEPS,
	.steps_count = ARRAY_SIZE(RESIZE_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

const struct op_verb GUEST_TRIM = {
	.name = "guest.trim",
	.steps = RESIZE_STEPS,
	.steps_count = ARRAY_SIZE(RESIZE_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

int plan_guest_resize(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, uint64_t amount, uint64_t to, struct err *err)
{
	bool trim = verb == VERB_TRIM;
	uint64_t target = to;
	int r = guest_verb_check(verb, entry->projected, entry->guest->name, err);

	/* What waits before it may change the size: then its turn will tell. */
	if (r == 0 && entry->pending == 0)
		r = resize_target(entry->guest, trim, amount, &target, err);
	if (r < 0)
		return r;
	return op_plan_guest(agent, plan, trim ? &GUEST_TRIM : &GUEST_ENLARGE, entry,
		json_pack("{s:I, s:I}", "amount", (json_int_t)amount, "to", (json_int_t)to), err);
}
