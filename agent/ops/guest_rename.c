/* Renaming a guest. Its name is changed in all that knows it while the table still has the old one;
 * the new name is kept for it from the acceptance on, and becomes its own with the end. */
#include <errno.h>
#include <string.h>

#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/seed/seed.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"

static const char *new_name(const struct op *op)
{
	return json_string_value(json_object_get(op->args, "name"));
}

/* The guest as it will be; NULL when there is none any more, or no memory: the step has ended. */
static struct guest *renamed(struct op *op)
{
	struct guest_entry *entry = op_guest(op);
	CLEANUP(guest_freep) struct guest *guest = entry ? guest_copy(entry->guest) : NULL;
	char *name = guest ? strdup(new_name(op)) : NULL;
	struct err err;

	if (name) {
		free(guest->name);
		guest->name = name;
		return TAKE_PTR(guest);
	}
	op_step_done(op,
		entry ? err_errno(&err, ENOMEM, "cannot rename guest %s", op->info.target)
		      : err_set(&err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
				op->info.target),
		&err);
	return NULL;
}

/* --- Steps ----------------------------------------------------------------------------------- */

static void attach_renamed(struct op *op)
{
	struct guest *guest = renamed(op);

	if (guest)
		step_attach_as(op, guest);
}

static void update_renamed(struct op *op)
{
	CLEANUP(guest_freep) struct guest *guest = renamed(op);

	if (guest)
		driver_step_take_up(op, guest);
}

static void update_back(struct op *op)
{
	driver_step_take_up(op, NULL);
}

static void seed_renamed(struct op *op)
{
	struct guest *guest = renamed(op);

	if (guest)
		step_seed_parts(op, SEED_RENAMED, guest);
}

static void seed_back(struct op *op)
{
	step_seed_parts(op, SEED_RENAMED | SEED_LENIENT, NULL);
}

static const struct step RENAME_STEPS[] = {
	{"seed", seed_renamed, seed_back},
	{"attach", attach_renamed, step_attach},
	{"update", update_renamed, update_back},
};

/* --- The verb -------------------------------------------------------------------------------- */

static void release_name(struct op *op)
{
	struct agent *agent = op->agent;

	registry_release_name(agent->registry, new_name(op), op->info.guest_id);
}

static void take_name(struct op *op, struct guest_entry *entry, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	AUTOFREE char *old = strdup(entry->guest->name);

	if (registry_rename(agent->registry, entry, new_name(op)) < 0)
		return;
	guest_note_seed(entry->guest, GUEST_SEED_NAME);
	db_put_guest(txn, entry->guest);
	events_publish(agent->events, txn, "guest.renamed",
		json_pack("{s:s, s:s, s:s*}", "id", entry->guest->id, "target", entry->guest->name,
			"previous", old));
}

static void rename_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	release_name(op);
	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE)
		take_name(op, entry, txn);
	op_guest_left(op, entry);
}

static void rename_reject(struct op *op)
{
	release_name(op);
	op_guest_reject(op);
}

static int rename_restore(struct op *op, struct err *err)
{
	struct agent *agent = op->agent;
	int r = op_guest_restore(op, err);

	if (r == 0)
		r = registry_keep_name(agent->registry, new_name(op), op->info.guest_id, err);
	return r;
}

const struct op_verb GUEST_RENAME = {
	.name = "guest.rename",
	.steps = RENAME_STEPS,
	.steps_count = ARRAY_SIZE(RENAME_STEPS),
	.restore = rename_restore,
	.begin = op_state_begin,
	.end = rename_end,
	.reject = rename_reject,
};

int plan_guest_rename(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, struct err *err)
{
	const char *id = entry->guest->id;
	int r = guest_verb_check(VERB_RENAME, entry->projected, entry->guest->name, err);

	if (r == 0)
		r = registry_keep_name(agent->registry, name, id, err);
	if (r < 0)
		return r;
	r = op_plan_guest(agent, plan, &GUEST_RENAME, entry, json_pack("{s:s}", "name", name), err);
	if (r < 0)
		registry_release_name(agent->registry, name, id);
	return r;
}
