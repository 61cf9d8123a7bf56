/* What steps are made of: work on a worker. */
#include "agent/ops/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/worker.h"
#include "agent/engine/engine.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "net/net.h"
#include "storage/storage.h"

struct guest_entry *op_guest(const struct op *op)
{
	struct agent *agent = op->agent;

	return registry_by_id(agent->registry, op->info.guest_id);
}

struct guest_entry *op_other_guest(const struct op *op)
{
	struct agent *agent = op->agent;
	const char *id = json_string_value(json_object_get(op->args, "from"));

	return id && strlen(id) == GUEST_ID_LEN ? registry_by_id(agent->registry, id) : NULL;
}

static void fail(struct op *op, enum err_code code, const char *text)
{
	struct err err;
	int r = err_set(&err, code, NULL, "%s", text);

	op_step_done(op, r, &err);
}

static void task_free(struct task *task)
{
	guest_free(task->guest);
	fd_close(task->fd);
	fd_close(task->whole_fd);
	free(task);
}

struct task *task_create(struct op *op, unsigned needs)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct task *task;

	if ((needs & TASK_STORAGE && !agent->storage) || (needs & TASK_NET && !agent->net)) {
		fail(op, ERR_UNAVAILABLE,
			"the node's storage or network is not in order now, see its problems in "
			"/v1/node");
		return NULL;
	}
	task = calloc(1, sizeof(*task));
	if (task && entry)
		task->guest = guest_copy(entry->guest);
	if (!task || (entry && !task->guest)) {
		free(task);
		fail(op, ERR_UNAVAILABLE, "out of memory");
		return NULL;
	}
	task->op = op;
	task->fd = task->whole_fd = -1;
	task->storage = agent->storage;
	task->net = agent->net;
	task->args = op->args;
	task->cancel = &op->info.cancel_requested;
	return task;
}

static void task_work(void *data)
{
	struct task *task = data;

	task->r = task->work(task, &task->err);
}

static void task_done(void *data)
{
	struct task *task = data;
	struct op *op = task->op;

	if (task->r == 0 && task->finish)
		task->finish(op, task);
	if (task->r == 0 && task->then)
		task->then(op);
	else
		op_step_done(op, task->r, &task->err);
	task_free(task);
}

void task_run(struct task *task, int (*work)(struct task *task, struct err *err))
{
	struct agent *agent = task->op->agent;

	task->work = work;
	if (workers_submit(agent->workers, task_work, task_done, task) < 0) {
		fail(task->op, ERR_UNAVAILABLE, "out of memory");
		task_free(task);
	}
}
