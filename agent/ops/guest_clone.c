/* Clones: a new guest with a copy of what another one, or a snapshot of it, has on its storage. The
 * operation is about the new guest and stands in the lanes of both, so that the other one is there
 * until the copy is made; "from" in its args is the other one's id. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

/* --- Steps ----------------------------------------------------------------------------------- */

static int clone_work(struct task *task, struct err *err)
{
	return volume_clone(task->storage, task->guest->id,
		json_string_value(json_object_get(task->args, "from")),
		json_string_value(json_object_get(task->args, "snapshot")),
		task->guest->storage_size, err);
}

static void clone_volume(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, clone_work);
}

static const struct step CLONE_STEPS[] = {
	{"volume", clone_volume, step_remove_volume},
	{"seed", step_seed_clone, NULL},
	{"attach", step_attach, step_detach},
	{"define", step_define, step_undefine},
	{"publish", step_publish_all, step_unpublish_all},
	{"start", step_start_if_wanted, step_kill},
	{"link", step_link, NULL},
};

/* The layer of the other one, as it is now or as its snapshot has it, is kept under a name that is
 * this clone's until it has one of its own. */
static bool keeps(const struct op *op)
{
	return !op_snapshot(op);
}

static void layer(struct op *op, enum driver_layer_op what)
{
	driver_step_layer(op, json_string_value(json_object_get(op->args, "from")),
		&(struct driver_layer_work){
			.op = what, .name = json_string_value(json_object_get(op->args, "layer"))});
}

static void keep_apply(struct op *op)
{
	if (keeps(op))
		layer(op, DRIVER_LAYER_KEEP);
	else
		op_step_done(op, 0, NULL);
}

static void drop_apply(struct op *op)
{
	if (keeps(op))
		layer(op, DRIVER_LAYER_DROP);
	else
		op_step_done(op, 0, NULL);
}

/* The clone is whole by now. */
static void tidy_apply(struct op *op)
{
	if (keeps(op))
		driver_step_layer_surely(op, json_string_value(json_object_get(op->args, "from")),
			&(struct driver_layer_work){.op = DRIVER_LAYER_DROP,
				.name = json_string_value(json_object_get(op->args, "layer"))});
	else
		op_step_done(op, 0, NULL);
}

static const struct step CONTAINER_STEPS[] = {
	{"layer", keep_apply, drop_apply},
	{"volume", clone_volume, step_remove_volume},
	{"attach", step_attach, step_detach},
	{"define", step_define, step_undefine},
	{"publish", step_publish_all, step_unpublish_all},
	{"start", step_start_if_wanted, step_kill},
	{"link", step_link, NULL},
	{"tidy", tidy_apply, NULL},
};

/* --- The verb -------------------------------------------------------------------------------- */

static int check_from(const struct op *op, struct err *err)
{
	const struct guest_entry *from = op_other_guest(op);
	int r;

	if (!from)
		return err_set(err, ERR_NOT_FOUND, NULL,
			"the guest that %s was to be a clone of does not exist any more",
			op->info.target);
	r = guest_verb_check(VERB_CLONE, from->guest->state, from->guest->name, err);
	if (r == 0 && op_snapshot(op) && !guest_need_snapshot(from->guest, op_snapshot(op), err))
		r = err_errnum(ERR_NOT_FOUND);
	return r;
}

static int clone_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	(void)txn;
	return check_from(op, err);
}

static void clone_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *from = op_other_guest(op);

	create_end(op, txn);
	if (from)
		op_guest_left(op, from);
}

static void clone_reject(struct op *op)
{
	struct guest_entry *from = op_other_guest(op);

	create_reject(op);
	if (from)
		op_guest_off(op, from);
}

static void hold_from(struct op *op, struct guest_entry *from)
{
	from->pending++;
	snprintf(op->lanes[1], sizeof(op->lanes[1]), "%s", from->guest->id);
}

static int clone_restore(struct op *op, struct err *err)
{
	struct guest_entry *from = op_other_guest(op);
	int r = op_guest_restore(op, err);

	if (from)
		hold_from(op, from);
	return r;
}

static const struct op_verb *clone_variant(const json_t *args)
{
	return json_object_get(args, "layer") ? &CLONE_CONTAINER : &GUEST_CLONE;
}

const struct op_verb CLONE_CONTAINER = {
	.name = "guest.clone",
	.steps = CONTAINER_STEPS,
	.steps_count = ARRAY_SIZE(CONTAINER_STEPS),
	.restore = clone_restore,
	.begin = clone_begin,
	.end = clone_end,
	.reject = clone_reject,
};

const struct op_verb GUEST_CLONE = {
	.name = "guest.clone",
	.variant = clone_variant,
	.steps = CLONE_STEPS,
	.steps_count = ARRAY_SIZE(CLONE_STEPS),
	.restore = clone_restore,
	.begin = clone_begin,
	.end = clone_end,
	.reject = clone_reject,
};

static int take_disk(struct guest *guest, const struct guest *from, struct err *err)
{
	if (!from->disk)
		return 0;
	guest->disk = malloc(sizeof(*guest->disk));
	if (!guest->disk)
		return err_errno(err, ENOMEM, "cannot make a clone");
	*guest->disk = *from->disk;
	return 0;
}

static void name_layer(struct op *op, const char *snapshot)
{
	char own[SNAPSHOT_NAME_MAX + 1];

	snprintf(own, sizeof(own), "clone.%s", op->info.guest_id);
	json_object_set_new(op->args, "layer", json_string(snapshot ? snapshot : own));
}

int plan_guest_clone(struct agent *agent, struct op_plan *plan, struct guest_entry *from,
	const char *snapshot, struct guest *guest, struct err *err)
{
	bool container = from->guest->container;
	int r = guest_verb_check(VERB_CLONE, from->projected, from->guest->name, err);

	if (r == 0 && snapshot && !guest_need_snapshot(from->guest, snapshot, err))
		r = err_errnum(ERR_NOT_FOUND);
	if (r == 0)
		r = take_disk(guest, from->guest, err);
	if (r == 0)
		r = container_settle(agent, guest, err);
	if (r < 0) {
		guest_free(guest);
		return r;
	}
	r = guest_plan_new(agent, plan, container ? &CLONE_CONTAINER : &GUEST_CLONE, guest,
		json_pack("{s:s, s:s*}", "from", from->guest->id, "snapshot", snapshot), err);
	if (r < 0)
		return r;
	if (container)
		name_layer(plan->op, snapshot);
	hold_from(plan->op, from);
	return 0;
}
