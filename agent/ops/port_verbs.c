/* Verbs of published ports: publish, unpublish, and switch from one guest to another. A port
 * belongs to the guest it leads to; its operation stands in the lane of that guest, a switch in
 * both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "net/ipam.h"
#include "net/net.h"

struct net_port net_port_of(const struct port *port, uint32_t address)
{
	return (struct net_port){
		.proto = port->proto, .host = port->host, .address = address, .guest = port->guest};
}

static json_t *port_args(const struct port *port)
{
	return json_pack("{s:o}", "port", port_to_json(port));
}

/* The port an operation is about. */
static struct port port_of(const struct op *op)
{
	struct port port = {0};

	port_from_json(json_object_get(op->args, "port"), "port", &port, NULL);
	return port;
}

static void port_event(struct op *op, const char *type, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct port port = port_of(op);

	events_publish(agent->events, txn, type,
		json_pack("{s:s, s:s, s:I}", "target", op->info.target, "proto",
			port_proto_to_string(port.proto), "port", (json_int_t)port.host));
}

/* --- The guest's list of ports --------------------------------------------------------------- */

static size_t find_port(const struct guest *guest, enum port_proto proto, uint16_t host)
{
	size_t i = 0;

	while (i < guest->ports_count &&
		(guest->ports[i].proto != proto || guest->ports[i].host != host))
		i++;
	return i;
}

const struct port *guest_find_port(const struct guest *guest, enum port_proto proto, uint16_t host)
{
	size_t i = find_port(guest, proto, host);

	return i < guest->ports_count ? &guest->ports[i] : NULL;
}

struct guest_entry *guest_with_port(struct agent *agent, enum port_proto proto, uint16_t host)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		if (guest_find_port(sorted[i]->guest, proto, host))
			return sorted[i];
	return NULL;
}

/* Adds, or replaces what that host port led to. */
static int list_port(struct guest *guest, const struct port *port)
{
	size_t i = find_port(guest, port->proto, port->host);
	struct port *grown;

	if (i == guest->ports_count) {
		grown = reallocarray(guest->ports, guest->ports_count + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		guest->ports = grown;
		guest->ports_count++;
	}
	guest->ports[i] = *port;
	return 0;
}

static void unlist_port(struct guest *guest, const struct port *port)
{
	size_t i = find_port(guest, port->proto, port->host);

	if (i == guest->ports_count)
		return;
	guest->ports_count--;
	memmove(&guest->ports[i], &guest->ports[i + 1],
		(guest->ports_count - i) * sizeof(guest->ports[0]));
}

static void guest_written(struct agent *agent, struct guest_entry *entry, struct db_txn *txn)
{
	registry_changed(agent->registry, entry);
	db_put_guest(txn, entry->guest);
}

/* --- Steps ----------------------------------------------------------------------------------- */

static int publish_work(struct task *task, struct err *err)
{
	struct net_port port = net_port_of(&task->port, task->guest->address);

	return net_publish(task->net, &port, task->flush, err);
}

static void publish_port(struct op *op, const struct port *port)
{
	struct task *task = task_create(op, TASK_NET);

	if (!task)
		return;
	task->port = *port;
	task_run(task, publish_work);
}

static void publish_apply(struct op *op)
{
	struct port port = port_of(op);

	publish_port(op, &port);
}

static int unpublish_work(struct task *task, struct err *err)
{
	return net_unpublish(task->net, task->port.proto, task->port.host, true, err);
}

static void unpublish_apply(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (!task)
		return;
	task->port = port_of(op);
	task_run(task, unpublish_work);
}

/* Back to what the table still says: the mapping of before, or none. */
static void publish_undo(struct op *op)
{
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);
	const struct port *before =
		entry ? guest_find_port(entry->guest, port.proto, port.host) : NULL;

	if (before)
		publish_port(op, before);
	else
		unpublish_apply(op);
}

/* --- publish --------------------------------------------------------------------------------- */

/* A port that is not in the guest's list is held by the operation until its end. */
static bool holds_port(const struct op *op)
{
	return json_is_true(json_object_get(op->args, "claimed"));
}

static void release_new_port(struct op *op)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);

	if (!holds_port(op))
		return;
	if (!entry || !guest_find_port(entry->guest, port.proto, port.host))
		ipam_release_port(agent->ipam, port.proto, port.host);
}

static void publish_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);

	if (entry && op->info.state == OPERATION_DONE && list_port(entry->guest, &port) == 0) {
		guest_written(agent, entry, txn);
		port_event(op, "port.published", txn);
	} else {
		release_new_port(op);
	}
	if (entry)
		op_guest_left(op, entry);
}

static void publish_reject(struct op *op)
{
	release_new_port(op);
	op_guest_reject(op);
}

static int publish_restore(struct op *op, struct err *err)
{
	struct agent *agent = op->agent;
	struct port port = port_of(op);
	int r = op_guest_restore(op, err), claimed = 0;

	if (holds_port(op) && !guest_with_port(agent, port.proto, port.host))
		claimed = ipam_claim_port(
			agent->ipam, port.proto, port.host, "port", r < 0 ? NULL : err);
	if (claimed < 0)
		json_object_set_new(op->args, "claimed", json_false());
	return r < 0 ? r : claimed;
}

static int publish_begin(struct op *op, struct db_txn *txn, struct err *err);

static const struct step PUBLISH_STEPS[] = {{"publish", publish_apply, publish_undo}};

const struct op_verb GUEST_PUBLISH = {
	.name = "guest.publish",
	.steps = PUBLISH_STEPS,
	.steps_count = ARRAY_SIZE(PUBLISH_STEPS),
	.restore = publish_restore,
	.begin = publish_begin,
	.end = publish_end,
	.reject = publish_reject,
};

/* Purposes are unique in a guest, and its list is bounded. */
static int check_new_port(const struct guest *guest, const struct port *port, struct err *err)
{
	const struct port *same =
		port->purpose[0] ? guest_port_by_purpose(guest, port->purpose) : NULL;
	const struct port *before = guest_find_port(guest, port->proto, port->host);

	if (same && same != before)
		return err_set(err, ERR_CONFLICT, "purpose",
			"guest %s has a port with the purpose %s already, %s %u: take that back "
			"first",
			guest->name, port->purpose, port_proto_to_string(same->proto), same->host);
	if (before && strcmp(before->purpose, "ssh") == 0 &&
		(before->guest != port->guest || strcmp(port->purpose, "ssh") != 0))
		return err_set(err, ERR_CONFLICT, "purpose",
			"the ssh port of a guest stays as it is for its whole life");
	if (!before && guest->ports_count >= GUEST_PORTS_MAX)
		return err_set(err, ERR_CONFLICT, "ports",
			"guest %s has %d ports already, the most", guest->name, GUEST_PORTS_MAX);
	return 0;
}

/* The checks come again: what was accepted before may have added ports, or have taken this one
 * away, which is nobody's then. */
static int publish_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);
	int r = op_state_begin(op, txn, err);

	if (r == 0)
		r = check_new_port(entry->guest, &port, err);
	if (r < 0 || holds_port(op) || guest_find_port(entry->guest, port.proto, port.host))
		return r;
	r = port_claim(op->agent, &port, "host", err);
	if (r == 0)
		json_object_set_new(op->args, "claimed", json_true());
	return r;
}

int plan_port_publish(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	struct port *port, struct err *err)
{
	const struct guest *guest = entry->guest;
	bool held = port->host && guest_find_port(guest, port->proto, port->host);
	json_t *args;
	int r = guest_verb_check(VERB_PUBLISH, entry->projected, guest->name, err);

	if (r == 0)
		r = check_new_port(guest, port, err);
	if (r == 0 && !held)
		r = port->host ? port_claim(agent, port, "host", err)
			       : port_choose(agent, port, err);
	if (r < 0)
		return r;
	args = port_args(port);
	json_object_set_new(args, "claimed", json_boolean(!held));
	r = op_plan_guest(agent, plan, &GUEST_PUBLISH, entry, args, err);
	if (r < 0 && !held)
		ipam_release_port(agent->ipam, port->proto, port->host);
	return r;
}

/* --- unpublish ------------------------------------------------------------------------------- */

static void unpublish_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE) {
		unlist_port(entry->guest, &port);
		ipam_release_port(agent->ipam, port.proto, port.host);
		guest_written(agent, entry, txn);
		port_event(op, "port.unpublished", txn);
	}
	op_guest_left(op, entry);
}

/* The check comes again: an operation before it may have taken the port away. */
static int has_port_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *entry = op_guest(op);
	struct port port = port_of(op);
	int r = op_state_begin(op, txn, err);

	if (r == 0 && !guest_find_port(entry->guest, port.proto, port.host))
		r = err_set(err, ERR_NOT_FOUND, NULL, "guest %s has no published port %s %u",
			op->info.target, port_proto_to_string(port.proto), port.host);
	return r;
}

static const struct step UNPUBLISH_STEPS[] = {{"unpublish", unpublish_apply, publish_undo}};

const struct op_verb GUEST_UNPUBLISH = {
	.name = "guest.unpublish",
	.steps = UNPUBLISH_STEPS,
	.steps_count = ARRAY_SIZE(UNPUBLISH_STEPS),
	.restore = op_guest_restore,
	.begin = has_port_begin,
	.end = unpublish_end,
	.reject = op_guest_reject,
};

/* The guest's port of that number, which is not its ssh port. */
static const struct port *movable_port(
	const struct guest *guest, enum port_proto proto, uint16_t host, struct err *err)
{
	const struct port *port = guest_find_port(guest, proto, host);

	if (!port)
		err_set(err, ERR_NOT_FOUND, NULL, "guest %s has no published port %s %u",
			guest->name, port_proto_to_string(proto), host);
	else if (strcmp(port->purpose, "ssh") == 0)
		err_set(err, ERR_CONFLICT, NULL,
			"port %s %u is the ssh port of guest %s, which stays with it for its whole "
			"life",
			port_proto_to_string(proto), host, guest->name);
	else
		return port;
	return NULL;
}

int plan_port_unpublish(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	enum port_proto proto, uint16_t host, struct err *err)
{
	const struct port *port = movable_port(entry->guest, proto, host, err);
	int r;

	if (!port)
		return err_errnum(err->code);
	r = guest_verb_check(VERB_UNPUBLISH, entry->projected, entry->guest->name, err);
	if (r < 0)
		return r;
	return op_plan_guest(agent, plan, &GUEST_UNPUBLISH, entry, port_args(port), err);
}

/* --- switch ---------------------------------------------------------------------------------- */

static void switch_apply(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (!task)
		return;
	task->port = port_of(op);
	task->flush = json_is_true(json_object_get(op->args, "flush"));
	task_run(task, publish_work);
}

static int switch_back_work(struct task *task, struct err *err)
{
	struct net_port port = net_port_of(&task->port, (uint32_t)task->size);

	return net_publish(task->net, &port, false, err);
}

static void switch_undo(struct op *op)
{
	struct guest_entry *from = op_other_guest(op);
	struct port port = port_of(op);
	const struct port *before =
		from ? guest_find_port(from->guest, port.proto, port.host) : NULL;
	struct task *task;

	if (!before) {
		unpublish_apply(op);
		return;
	}
	task = task_create(op, TASK_NET);
	if (!task)
		return;
	task->port = *before;
	task->size = from->guest->address;
	task_run(task, switch_back_work);
}

static int switch_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct guest_entry *from = op_other_guest(op);
	struct port port = port_of(op);
	int r = op_state_begin(op, txn, err);

	if (r == 0 && (!from || !guest_find_port(from->guest, port.proto, port.host)))
		r = err_set(err, ERR_NOT_FOUND, NULL,
			"port %s %u does not lead to the guest any more that it led to",
			port_proto_to_string(port.proto), port.host);
	if (r == 0)
		r = check_new_port(op_guest(op)->guest, &port, err);
	return r;
}

static void switch_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *from = op_other_guest(op), *to = op_guest(op);
	struct port port = port_of(op);

	if (op->info.state == OPERATION_DONE && from && to && list_port(to->guest, &port) == 0) {
		unlist_port(from->guest, &port);
		guest_written(agent, from, txn);
		guest_written(agent, to, txn);
		port_event(op, "port.switched", txn);
	}
	if (from)
		op_guest_left(op, from);
	if (to)
		op_guest_left(op, to);
}

static void switch_reject(struct op *op)
{
	struct guest_entry *from = op_other_guest(op);

	if (from)
		op_guest_off(op, from);
	op_guest_reject(op);
}

static int switch_restore(struct op *op, struct err *err)
{
	struct guest_entry *from = op_other_guest(op);
	int r = op_guest_restore(op, err);

	if (from) {
		from->pending++;
		snprintf(op->lanes[1], sizeof(op->lanes[1]), "%s", from->guest->id);
	}
	return r;
}

static const struct step SWITCH_STEPS[] = {{"switch", switch_apply, switch_undo}};

const struct op_verb GUEST_SWITCH = {
	.name = "guest.switch",
	.steps = SWITCH_STEPS,
	.steps_count = ARRAY_SIZE(SWITCH_STEPS),
	.restore = switch_restore,
	.begin = switch_begin,
	.end = switch_end,
	.reject = switch_reject,
};

int plan_port_switch(struct agent *agent, struct op_plan *plan, const struct port_switch *wanted,
	struct err *err)
{
	struct guest_entry *from = wanted->from, *to = wanted->to;
	const struct port *before = movable_port(from->guest, wanted->proto, wanted->host, err);
	struct port port;
	json_t *args;
	int r;

	if (!before)
		return err_errnum(err->code);
	port = *before;
	if (wanted->guest)
		port.guest = wanted->guest;
	r = guest_verb_check(VERB_SWITCH, to->projected, to->guest->name, err);
	if (r == 0)
		r = check_new_port(to->guest, &port, err);
	if (r < 0)
		return r;
	args = port_args(&port);
	json_object_set_new(args, "from", json_string(from->guest->id));
	json_object_set_new(args, "flush", json_boolean(wanted->flush));
	r = op_plan_guest(agent, plan, &GUEST_SWITCH, to, args, err);
	if (r < 0)
		return r;
	from->pending++;
	snprintf(plan->op->lanes[1], sizeof(plan->op->lanes[1]), "%s", from->guest->id);
	return 0;
}
