/* What verbs share that end a guest that runs and start it again: a restore, a snapshot with
 * memory, a smaller disk. Whether it ran is noted when their turn has come. */
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/state/db.h"

bool op_arg(const struct op *op, const char *name)
{
	return json_is_true(json_object_get(op->args, name));
}

void op_step_if(struct op *op, const char *name, void (*step)(struct op *op))
{
	if (op_arg(op, name))
		step(op);
	else
		op_step_done(op, 0, NULL);
}

void step_storage(struct op *op, int (*work)(struct task *task, struct err *err))
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, work);
}

void op_interrupt_begin(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);
	enum guest_state state = entry->guest->state;
	bool ran = state == GUEST_RUNNING || state == GUEST_FROZEN;

	json_object_set_new(op->args, "ran", json_boolean(ran));
	if (ran)
		agent_set_guest_state(op->agent, entry, GUEST_STOPPING, NULL, txn);
}

int op_interrupt_restore(struct op *op, struct err *err)
{
	struct agent *agent = op->agent;
	int r = op_guest_restore(op, err);

	if (r == 0 && op_arg(op, "ran")) {
		op_guest(op)->guest->state = GUEST_STOPPING;
		registry_changed(agent->registry, op_guest(op));
	}
	return r;
}

void op_interrupt_failed(struct op *op, const char *what, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);
	bool ran = op_arg(op, "ran"), runs = entry->guest->pid > 0;
	char problem[160];

	if (!json_object_get(op->args, "ran"))
		return; /* refused at its turn */
	snprintf(problem, sizeof(problem),
		"it was ended %s, which failed, and cannot be started again: see the log of its "
		"driver",
		what);
	agent_set_guest_state(op->agent, entry,
		runs  ? GUEST_RUNNING
		: ran ? GUEST_ERROR
		      : GUEST_STOPPED,
		ran && !runs ? problem : NULL, txn);
	db_put_guest(txn, entry->guest);
}

void step_run_again(struct op *op)
{
	op_step_if(op, "ran", driver_step_run_again);
}

void step_start_if_ran(struct op *op)
{
	op_step_if(op, "ran", step_start);
}
