/* Changes of a guest's limits and settings. */
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
#include "base/strv.h"

/* The guest as it will be. */
static int patched(struct agent *agent, const struct guest *guest, const json_t *patch,
	struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *copy = guest_copy(guest);
	int r;

	if (!copy)
		return err_errno(err, ENOMEM, "cannot change guest %s", guest->name);
	r = guest_patch(copy, patch, err);
	if (r == 0)
		r = container_settle(agent, copy, err);
	if (r == 0)
		*ret = TAKE_PTR(copy);
	return r;
}

/* The operation's guest as it will be; NULL when the step has ended already, as failed. */
static struct guest *wanted_guest(struct op *op)
{
	struct guest_entry *entry = op_guest(op);
	struct guest *wanted = NULL;
	struct err err;
	int r = entry ? patched(op->agent, entry->guest, json_object_get(op->args, "patch"),
				&wanted, &err)
		      : err_set(&err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
				op->info.target);

	if (r < 0)
		op_step_done(op, r, &err);
	return wanted;
}

/* Keys and user data first: they may be refused by what the guest has in their place. */
static void seed_apply_changes(struct op *op)
{
	struct guest *wanted = wanted_guest(op);

	/* Taken over; the table's own guest is still as it was. */
	if (wanted)
		step_seed_parts(op, seed_parts_changed(op_guest(op)->guest, wanted), wanted);
}

/* The table still has the old ones. */
static void seed_undo_changes(struct op *op)
{
	const json_t *patch = json_object_get(op->args, "patch");
	unsigned parts = 0;

	parts |= json_object_get(patch, "ssh_keys") ? SEED_KEYS : 0;
	parts |= json_object_get(patch, "user_data") ? SEED_USER_DATA : 0;
	step_seed_parts(op, parts ? parts | SEED_LENIENT : 0, NULL);
}

#define NET_LIMITS "limits.net_" /* fields that the network refuses, and not the driver */

static bool same_rates(const struct guest_limits *a, const struct guest_limits *b)
{
	return a->net_ingress == b->net_ingress && a->net_egress == b->net_egress;
}

static bool same_container(const struct guest *a, const struct guest *b)
{
	json_auto_t *one = guest_container_to_record(a->container);
	json_auto_t *other = guest_container_to_record(b->container);

	return json_equal(one, other);
}

/* What the driver is told; rates are the network's. */
static bool same_for_driver(const struct guest *a, const struct guest *b)
{
	struct guest_limits limits = b->limits;

	limits.net_ingress = a->limits.net_ingress;
	limits.net_egress = a->limits.net_egress;
	return guest_limits_equal(&a->limits, &limits) && strv_equal(a->raw, b->raw) &&
	       same_container(a, b);
}

/* One that does not run takes them up at its next start, whatever its driver can. */
static void update_driver(struct op *op, const struct guest *wanted)
{
	if (op_guest(op)->guest->state == GUEST_STOPPED)
		driver_step_take_up(op, wanted);
	else
		driver_step(op, DRIVER_CALL_UPDATE, wanted);
}

static void limits_apply(struct op *op)
{
	CLEANUP(guest_freep) struct guest *wanted = wanted_guest(op);

	if (!wanted)
		return;
	if (same_for_driver(wanted, op_guest(op)->guest))
		op_step_done(op, 0, NULL);
	else
		update_driver(op, wanted);
}

/* Whether the driver may have taken up something: it was asked to, and did not refuse. */
static bool limits_changed(const struct op *op, const struct guest *have)
{
	CLEANUP(guest_freep) struct guest *wanted = NULL;
	const struct err *why = &op->info.error;
	bool refused = why->code == ERR_UNSUPPORTED || why->code == ERR_INVALID;

	if (refused && strncmp(why->field, NET_LIMITS, strlen(NET_LIMITS)) != 0)
		return false;
	return patched(op->agent, have, json_object_get(op->args, "patch"), &wanted, NULL) != 0 ||
	       !same_for_driver(wanted, have);
}

/* The table still has the old ones. */
static void limits_undo(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (entry && limits_changed(op, entry->guest))
		driver_step(op, DRIVER_CALL_UPDATE, NULL);
	else
		op_step_done(op, 0, NULL);
}

static void rates_apply(struct op *op)
{
	CLEANUP(guest_freep) struct guest *wanted = wanted_guest(op);

	if (!wanted)
		return;
	if (same_rates(&wanted->limits, &op_guest(op)->guest->limits))
		op_step_done(op, 0, NULL);
	else
		step_link_as(op, TAKE_PTR(wanted));
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

void op_set_precondition(struct op *op, const char *etag)
{
	json_object_set_new(op->args, "if_match", json_string(etag));
}

static int update_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	const char *wanted = json_string_value(json_object_get(op->args, "if_match"));
	const struct guest_entry *entry = op_guest(op);
	char etag[GUEST_ETAG_MAX], quoted[GUEST_ETAG_MAX + 2];

	if (wanted && entry) {
		snprintf(quoted, sizeof(quoted), "\"%s\"", guest_etag(etag, entry->guest));
		if (strcmp(wanted, quoted) != 0)
			return err_set(err, ERR_PRECONDITION, "If-Match",
				"guest %s was changed by what came before: read it again",
				entry->guest->name);
	}
	return op_state_begin(op, txn, err);
}

/* The guest is as it was asked to be; what counts from its next start is noted. */
static int take_change(struct op *op, struct guest *guest)
{
	json_auto_t *was = guest_start_settings(guest);
	json_auto_t *now = NULL;
	int r = guest_patch(guest, json_object_get(op->args, "patch"), NULL);

	if (r == 0)
		r = container_settle(op->agent, guest, NULL);
	if (r < 0)
		return r;
	now = guest_start_settings(guest);
	guest_note_changes(guest, was, now);
	return 0;
}

static void update_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	entry->slots_extra -= slots_extra(op);
	if (op->info.state == OPERATION_DONE && take_change(op, entry->guest) == 0) {
		if (json_object_get(json_object_get(op->args, "patch"), "ssh_keys"))
			guest_note_seed(entry->guest, GUEST_SEED_KEYS);
		registry_changed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
		guest_event(agent, entry->guest, "guest.changed", txn);
	}
	op_guest_left(op, entry);
}

static const struct step UPDATE_STEPS[] = {
	{"seed", seed_apply_changes, seed_undo_changes},
	{"limits", limits_apply, limits_undo},
	{"rates", rates_apply, step_link},
};

const struct op_verb GUEST_UPDATE = {
	.name = "guest.update",
	.steps = UPDATE_STEPS,
	.steps_count = ARRAY_SIZE(UPDATE_STEPS),
	.restore = update_restore,
	.begin = update_begin,
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
		r = patched(agent, entry->guest, patch, &wanted, err);
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
