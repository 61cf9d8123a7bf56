/* Changes of a guest's storage: enlarge and trim; of what is asked for, and of trees of files. */
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/storage.h"

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
int resize_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *entry = op_guest(op);
	uint64_t amount = (uint64_t)json_integer_value(json_object_get(op->args, "amount"));
	uint64_t to = (uint64_t)json_integer_value(json_object_get(op->args, "to"));
	int r = op_state_begin(op, txn, err);

	if (r == 0)
		r = resize_target(entry->guest, op_guest_verb(op) == VERB_TRIM, amount, &to, err);
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

/* --- The layer of a container ---------------------------------------------------------------- */

#define BOUND_MS 5000 /* what is not told by then is not known */

static void bound_told(struct op *op, const struct driver_reply *reply)
{
	json_object_set_new(op->args, "layer_size",
		json_integer(reply->layer.bounded ? (json_int_t)reply->layer.size : 0));
	op_args_changed(op);
}

/* It stays as large as it was made until the next start: how large that is, where it is bounded.
 * Whatever comes of it, the data are resized. */
static void bound_apply(struct op *op)
{
	const struct guest_entry *entry = op_guest(op);

	if (!entry || entry->guest->state == GUEST_STOPPED)
		op_step_done(op, 0, NULL);
	else
		driver_step_layer_bound(op, BOUND_MS, bound_told);
}

static const struct step CONTAINER_STEPS[] = {
	{"layer", bound_apply, NULL},
	{"resize", resize_apply, NULL},
};

static void note_bound(const struct op *op, struct guest *guest, uint64_t to)
{
	const json_t *told = json_object_get(op->args, "layer_size");
	json_int_t size = told ? json_integer_value(told) : (json_int_t)guest->storage_size;
	json_auto_t *was = json_pack("{s:I}", "storage.size", size);
	json_auto_t *now = json_pack("{s:I}", "storage.size", (json_int_t)to);

	if (guest->container && size > 0)
		guest_note_changes(guest, was, now);
}

/* --- The end --------------------------------------------------------------------------------- */

void resize_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	uint64_t to = (uint64_t)json_integer_value(json_object_get(op->args, "to"));

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE) {
		note_bound(op, entry->guest, to);
		entry->guest->storage_size = to;
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		guest_event(agent, entry->guest, "guest.changed", txn);
	}
	op_guest_left(op, entry);
}

/* The limit is set in one piece or not at all: there is nothing to undo. */
static const struct step RESIZE_STEPS[] = {{"resize", resize_apply, NULL}};

static bool arg(const json_t *args, const char *name)
{
	return json_is_true(json_object_get(args, name));
}

static const struct op_verb *enlarge_variant(const json_t *args)
{
	if (arg(args, "container"))
		return &ENLARGE_CONTAINER;
	return arg(args, "disk") ? &ENLARGE_DISK : &GUEST_ENLARGE;
}

static const struct op_verb *trim_variant(const json_t *args)
{
	if (arg(args, "discard"))
		return &TRIM_DISCARD;
	if (arg(args, "container"))
		return &TRIM_CONTAINER;
	return arg(args, "disk") ? &TRIM_DISK : &GUEST_TRIM;
}

const struct op_verb GUEST_ENLARGE = {
	.name = "guest.enlarge",
	.variant = enlarge_variant,
	.steps = RESIZE_STEPS,
	.steps_count = ARRAY_SIZE(RESIZE_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

const struct op_verb GUEST_TRIM = {
	.name = "guest.trim",
	.variant = trim_variant,
	.steps = RESIZE_STEPS,
	.steps_count = ARRAY_SIZE(RESIZE_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

const struct op_verb ENLARGE_CONTAINER = {
	.name = "guest.enlarge",
	.steps = CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(CONTAINER_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

const struct op_verb TRIM_CONTAINER = {
	.name = "guest.trim",
	.steps = CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(CONTAINER_STEPS),
	.restore = op_guest_restore,
	.begin = resize_begin,
	.end = resize_end,
	.reject = op_guest_reject,
};

int plan_guest_resize(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, const struct resize_request *wanted, struct err *err)
{
	bool trim = verb == VERB_TRIM;
	uint64_t target = wanted->to;
	json_t *args;
	int r = guest_verb_check(verb, entry->projected, entry->guest->name, err);

	/* What waits before it may change the size: then its turn will tell. */
	if (r == 0 && entry->pending == 0)
		r = resize_target(entry->guest, trim, wanted->amount, &target, err);
	if (r < 0)
		return r;
	args = json_pack("{s:I, s:I, s:b, s:b, s:b, s:I}", "amount", (json_int_t)wanted->amount,
		"to", (json_int_t)wanted->to, "disk", entry->guest->disk != NULL, "container",
		entry->guest->container != NULL, "restart", wanted->restart, "timeout_ms",
		(json_int_t)agent->config->stop_timeout_ms);
	return op_plan_guest(
		agent, plan, trim ? trim_variant(args) : enlarge_variant(args), entry, args, err);
}

int plan_guest_discard(
	struct agent *agent, struct op_plan *plan, struct guest_entry *entry, struct err *err)
{
	int r = guest_verb_check(VERB_TRIM, entry->projected, entry->guest->name, err);

	if (r == 0)
		r = discard_check(entry->guest, entry->projected, err);
	if (r < 0)
		return r;
	return op_plan_guest(
		agent, plan, &TRIM_DISCARD, entry, json_pack("{s:b}", "discard", 1), err);
}
