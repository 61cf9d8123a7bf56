/* What the verbs of guests share: their steps, and how a guest's state follows an operation. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "agent/node/refresh.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/names.h"
#include "net/net.h"
#include "storage/storage.h"

/* --- Steps: the volume ----------------------------------------------------------------------- */

static int volume_work(struct task *task, struct err *err)
{
	return volume_create(task->storage, task->guest->id, guest_image_kind(task->guest),
		task->guest->image, task->guest->storage_size, task->guest->disk, err);
}

/* The image may have been replaced since the guest was accepted. */
static void volume_made(struct op *op, struct task *task)
{
	struct guest_entry *entry = op_guest(op);
	struct db_txn *txn;

	if (!entry || !entry->guest->disk)
		return;
	*entry->guest->disk = *task->guest->disk;
	txn = db_txn_create();
	db_put_guest(txn, entry->guest);
	agent_commit(op->agent, txn, false, NULL, NULL);
}

void step_make_volume(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (!task)
		return;
	task->finish = volume_made;
	task_run(task, volume_work);
}

static int volume_remove_work(struct task *task, struct err *err)
{
	return volume_destroy(task->storage, task->guest->id, err);
}

void step_remove_volume(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, volume_remove_work);
}

/* --- Steps: the network ---------------------------------------------------------------------- */

static int attach_work(struct task *task, struct err *err)
{
	struct net_guest facts = agent_net_guest(task->guest);

	return net_attach(task->net, &facts, err);
}

void step_attach(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (task)
		task_run(task, attach_work);
}

/* Work for the network on a guest as it will be. */
static void task_run_as(
	struct op *op, struct guest *guest, int (*work)(struct task *task, struct err *err))
{
	struct task *task = task_create(op, TASK_NET);

	if (!task) {
		guest_free(guest);
		return;
	}
	guest_free(task->guest);
	task->guest = guest;
	task_run(task, work);
}

void step_attach_as(struct op *op, struct guest *guest)
{
	task_run_as(op, guest, attach_work);
}

static int detach_work(struct task *task, struct err *err)
{
	struct net_guest facts = agent_net_guest(task->guest);

	return net_detach(task->net, &facts, err);
}

void step_detach(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (task)
		task_run(task, detach_work);
}

static int link_work(struct task *task, struct err *err)
{
	struct net_guest facts = agent_net_guest(task->guest);

	return net_link_ready(task->net, &facts, err);
}

void step_link(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (task)
		task_run(task, link_work);
}

void step_link_as(struct op *op, struct guest *guest)
{
	task_run_as(op, guest, link_work);
}

static int publish_all_work(struct task *task, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < task->guest->ports_count && r == 0; i++) {
		struct net_port port = net_port_of(&task->guest->ports[i], task->guest->address);

		r = net_publish(task->net, &port, false, err);
	}
	return r;
}

void step_publish_all(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (task)
		task_run(task, publish_all_work);
}

static int unpublish_all_work(struct task *task, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < task->guest->ports_count && r == 0; i++)
		r = net_unpublish(task->net, task->guest->ports[i].proto,
			task->guest->ports[i].host, false, err);
	return r;
}

void step_unpublish_all(struct op *op)
{
	struct task *task = task_create(op, TASK_NET);

	if (task)
		task_run(task, unpublish_all_work);
}

/* --- Steps: the driver ----------------------------------------------------------------------- */

void step_undefine(struct op *op)
{
	driver_step(op, DRIVER_CALL_DESTROY, NULL);
}

/* Both at once: taking the link away and cutting connections takes the kernel about as long as
 * ending the processes does. */
void step_end(struct op *op)
{
	op_step_also(op);
	step_detach(op);
	step_undefine(op);
}

void step_start(struct op *op)
{
	driver_step(op, DRIVER_CALL_START, NULL);
}

void step_stop(struct op *op)
{
	driver_step(op, DRIVER_CALL_STOP, NULL);
}

void step_kill(struct op *op)
{
	driver_step(op, DRIVER_CALL_KILL, NULL);
}

void step_freeze(struct op *op)
{
	driver_step_freeze(op, true);
}

void step_thaw(struct op *op)
{
	driver_step_freeze(op, false);
}

/* --- Common ends ----------------------------------------------------------------------------- */

/* A node in maintenance lets guests only come to rest. */
static int check_mode(const struct agent *agent, const struct op_verb *verb, struct err *err)
{
	if ((agent->mode != NODE_MAINTENANCE && !agent->node_ends) || verb == &GUEST_STOP ||
		verb == &GUEST_KILL || verb == &GUEST_DESTROY)
		return 0;
	if (agent->node_ends)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the node goes down: guests can only be stopped, killed and destroyed");
	return err_set(err, ERR_ILLEGAL_STATE, NULL,
		"the node is in maintenance: guests can only be stopped, killed and destroyed");
}

static struct agent_driver *driver_of(
	struct agent *agent, const struct guest *guest, struct err *err)
{
	struct agent_driver *driver = agent_driver(agent, guest->driver, NULL);

	if (!driver)
		err_set(err, ERR_UNAVAILABLE, "driver",
			"guest %s needs the driver %s, which this node has not configured: name it "
			"in the agent's configuration and restart corpusd",
			guest->name, guest->driver);
	return driver;
}

int op_plan_guest(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	struct guest_entry *entry, json_t *args, struct err *err)
{
	struct agent_driver *driver = driver_of(agent, entry->guest, err);
	struct op *op;
	int r = driver ? check_mode(agent, verb, err) : err_errnum(ERR_UNAVAILABLE);

	if (r < 0) {
		json_decref(args);
		return r;
	}
	op = op_create(agent->engine, verb, args);
	if (!op)
		return err_errno(err, ENOMEM, "cannot make the operation");
	op->op_class = &driver->op_class;
	memcpy(op->info.guest_id, entry->guest->id, sizeof(op->info.guest_id));
	snprintf(op->info.target, sizeof(op->info.target), "%s", entry->guest->name);
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%s", entry->guest->id);
	entry->pending++;
	plan->op = op;
	plan->txn = db_txn_create();
	return 0;
}

static const char *const CAUSES[] = {
	[CAUSE_REQUEST] = "request",
	[CAUSE_WAKE] = "wake",
	[CAUSE_REST] = "rest",
	[CAUSE_RESTART] = "restart",
};

void op_set_cause(struct op *op, enum op_cause cause)
{
	json_object_set_new(op->args, "cause", json_string(CAUSES[cause]));
}

enum op_cause op_cause(const struct op *op)
{
	const char *text = json_string_value(json_object_get(op->args, "cause"));
	int found = names_find(CAUSES, ARRAY_SIZE(CAUSES), text);

	return found < 0 ? CAUSE_REQUEST : (enum op_cause)found;
}

void op_plan_drop(struct op_plan *plan)
{
	if (!plan->op)
		return;
	if (plan->op->verb->reject)
		plan->op->verb->reject(plan->op);
	op_discard(plan->op);
	db_txn_abandon(plan->txn);
	*plan = (struct op_plan){0};
}

enum guest_verb op_guest_verb(const struct op *op)
{
	enum guest_verb verb = VERB_UPDATE;
	const char *dot = strchr(op->verb->name, '.');

	guest_verb_from_string(dot + 1, &verb);
	return verb;
}

/* What the guest is to be when the operation has ended well. */
static void project(struct guest_entry *entry, const struct op *op)
{
	enum guest_verb verb = op_guest_verb(op);
	enum guest_state after = guest_verb_after(verb);

	if (verb == VERB_CREATE || verb == VERB_CLONE)
		entry->projected = entry->guest->want_running ? GUEST_RUNNING : GUEST_STOPPED;
	else if (verb == VERB_DESTROY)
		entry->projected = GUEST_DESTROYING;
	else if (verb == VERB_RESTORE && json_object_get(op->args, "start"))
		entry->projected = json_is_true(json_object_get(op->args, "start")) ? GUEST_RUNNING
										    : GUEST_STOPPED;
	else if (after != GUEST_STATE_MAX_)
		entry->projected = after;
}

struct projection {
	struct guest_entry *entry;
	const struct op *except;
};

static void project_next(void *data, const struct op *op)
{
	struct projection *projection = data;

	if (op != projection->except && !operation_state_is_final(op->info.state) &&
		op->info.state != OPERATION_UNDOING &&
		strcmp(op->info.guest_id, projection->entry->guest->id) == 0)
		project(projection->entry, op);
}

void op_guest_off(const struct op *op, struct guest_entry *entry)
{
	struct agent *agent = op->agent;
	struct projection projection = {.entry = entry, .except = op};

	entry->pending--;
	entry->moved = ++agent->moves;
	entry->projected = entry->guest->state;
	if (entry->pending > 0)
		engine_each(agent->engine, project_next, &projection);
	else
		agent_guest_settled(agent, entry);
}

void op_guest_failed(const struct op *op, struct guest_entry *entry, struct db_txn *txn)
{
	agent_set_guest_state(op->agent, entry, GUEST_ERROR, op->info.error.message, txn);
	db_put_guest(txn, entry->guest);
	op_guest_off(op, entry);
}

void op_guest_left(struct op *op, struct guest_entry *entry)
{
	struct agent *agent = op->agent;

	op_guest_off(op, entry);
	if (entry->pending == 0 && (entry->stale || op->info.state != OPERATION_DONE))
		refresh_guest(agent, entry);
}

/* The state while a verb runs. */
int op_state_begin(struct op *op, struct db_txn *txn, struct err *err)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	enum guest_verb verb = op_guest_verb(op);
	int r;

	if (!entry)
		return err_set(err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
			op->info.target);
	r = guest_verb_check(verb, entry->guest->state, entry->guest->name, err);
	if (r < 0)
		return r;
	if (guest_verb_during(verb) != GUEST_STATE_MAX_)
		agent_set_guest_state(agent, entry, guest_verb_during(verb), NULL, txn);
	return 0;
}

struct walk_search {
	const struct op *except;
	bool found;
};

static void find_walk(void *data, const struct op *op)
{
	struct walk_search *search = data;
	enum op_cause cause = op_cause(op);

	search->found |= op != search->except && !operation_state_is_final(op->info.state) &&
			 (cause == CAUSE_REST || cause == CAUSE_WAKE) &&
			 strcmp(op->info.guest_id, search->except->info.guest_id) == 0;
}

/* Going to rest, or back, is not over with this operation: the mode was changed again while it was
 * under way. */
static bool walk_comes(const struct op *op)
{
	struct agent *agent = op->agent;
	struct walk_search search = {.except = op};

	engine_each(agent->engine, find_walk, &search);
	return search.found;
}

/* Its restarts are counted until somebody moves it. */
void op_note_cause(const struct op *op, struct guest *guest, enum guest_state after)
{
	bool done = op->info.state == OPERATION_DONE;
	enum op_cause cause = op_cause(op);

	if (done)
		guest->want_running = after != GUEST_STOPPED || cause == CAUSE_REST;
	if (done && after == GUEST_STOPPED)
		guest->resting = cause == CAUSE_REST;
	else if (done || cause == CAUSE_REST || cause == CAUSE_WAKE)
		guest->resting = guest->resting && walk_comes(op);
	if (done && cause == CAUSE_REQUEST)
		guest->restarts = guest->restarts_in_row = 0;
}

/* The state after a verb: what it leads to, or what can be said when it failed (the driver is asked
 * then, see op_guest_left). */
void op_state_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	enum guest_state after = guest_verb_after(op_guest_verb(op));

	if (!entry)
		return;
	if (after != GUEST_STATE_MAX_) {
		op_note_cause(op, entry->guest, after);
		if (op->info.state == OPERATION_DONE)
			agent_set_guest_state(agent, entry, after, NULL, txn);
		registry_refreshed(agent->registry, entry);
		db_put_guest(txn, entry->guest);
	}
	op_guest_left(op, entry);
}

void op_guest_reject(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (entry)
		op_guest_off(op, entry);
}

/* Also when it fails the guest is counted, since op_verb.end takes that back. */
int op_guest_restore(struct op *op, struct err *err)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	enum guest_state during = guest_verb_during(op_guest_verb(op));
	struct agent_driver *driver;

	if (!entry)
		return err_set(err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
			op->info.target);
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "%s", op->info.guest_id);
	entry->pending++;
	driver = driver_of(agent, entry->guest, err);
	if (!driver)
		return err_errnum(ERR_UNAVAILABLE);
	op->op_class = &driver->op_class;
	if (op->info.state != OPERATION_QUEUED && during != GUEST_STATE_MAX_) {
		entry->guest->state = during;
		registry_changed(agent->registry, entry);
	}
	if (op->info.state != OPERATION_UNDOING)
		project(entry, op);
	return 0;
}
