/* What steps are made of: work on a worker, calls of a driver. */
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
	task->fd = -1;
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

/* --- Drivers --------------------------------------------------------------------------------- */

/* The facts that a driver gets of a guest. The strings live in `rootfs`, `link` and the guest. */
static int resolve(struct agent *agent, const struct guest *guest, char *rootfs, size_t size,
	char link[static NET_LINK_NAME_MAX + 1], struct driver_guest *ret, struct err *err)
{
	const struct config *config = agent->config;

	if (!agent->storage)
		return err_set(err, ERR_UNAVAILABLE, NULL, "the storage pool is not open");
	if (volume_rootfs(agent->storage, guest->id, rootfs, size) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the path of the pool is too long");
	link_name(guest->id, link);
	*ret = (struct driver_guest){
		.id = guest->id,
		.name = guest->name,
		.rootfs = rootfs,
		.privileged = guest->privileged,
		.limits = guest->limits,
		.raw = (const char *const *)guest->raw,
		.net = {.bridge = config->net.bridge,
			.link = link,
			.address = guest->address,
			.prefix = config->net.prefix,
			.gateway = config->net.gateway},
	};
	memcpy(ret->net.mac, guest->mac, sizeof(ret->net.mac));
	return 0;
}

static bool unknown_is_fine(const char *step, const struct op *op)
{
	/* What has to be gone is gone. */
	return op->info.state == OPERATION_UNDOING || strcmp(step, "kill") == 0 ||
	       strcmp(step, "stop") == 0 || strcmp(step, "undefine") == 0;
}

static void driver_replied(void *data, const struct driver_reply *reply)
{
	struct op *op = data;
	struct guest_entry *entry = op_guest(op);

	if (reply->result < 0 && reply->error.code == ERR_NOT_FOUND &&
		unknown_is_fine(op->info.step, op)) {
		op_step_done(op, 0, NULL);
		return;
	}
	if (reply->result == 0 && reply->statuses_count == 1 && entry)
		entry->guest->pid = reply->statuses[0].pid;
	op_step_done(op, reply->result, &reply->error);
}

static int call_driver(
	struct op *op, struct driver_request request, const struct guest *as, struct err *err)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	char rootfs[4096], link[NET_LINK_NAME_MAX + 1];
	struct agent_driver *driver;
	struct driver_guest facts;
	int r;

	if (!entry)
		return err_set(err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
			op->info.target);
	driver = agent_driver(agent, entry->guest->driver, err);
	if (!driver)
		return -EINVAL;
	request.id = entry->guest->id;
	request.timeout_ms = (uint64_t)json_integer_value(json_object_get(op->args, "timeout_ms"));
	if (request.call == DRIVER_CALL_CREATE || request.call == DRIVER_CALL_UPDATE) {
		r = resolve(
			agent, as ? as : entry->guest, rootfs, sizeof(rootfs), link, &facts, err);
		if (r < 0)
			return r;
		request.guest = &facts;
	}
	return driver_client_call(driver->client, &request, driver_replied, op, err);
}

static void step(struct op *op, struct driver_request request, const struct guest *as)
{
	struct err err;
	int r = call_driver(op, request, as, &err);

	if (r < 0)
		op_step_done(op, r, &err);
}

void driver_step(struct op *op, enum driver_call call, const struct guest *as)
{
	step(op, (struct driver_request){.call = call}, as);
}

void driver_step_freeze(struct op *op, bool frozen)
{
	step(op, (struct driver_request){.call = DRIVER_CALL_FREEZE, .frozen = frozen}, NULL);
}

struct refresh {
	struct agent *agent;
	char id[GUEST_ID_LEN + 1];
};

static void refreshed(void *data, const struct driver_reply *reply)
{
	AUTOFREE struct refresh *refresh = data;
	struct guest_entry *entry = registry_by_id(refresh->agent->registry, refresh->id);

	if (!entry || entry->pending > 0)
		return;
	if (reply->result == 0 && reply->statuses_count == 1)
		agent_observe_guest(refresh->agent, entry, reply->statuses[0].state,
			reply->statuses[0].pid, NULL);
	else if (reply->error.code == ERR_NOT_FOUND)
		agent_observe_guest(refresh->agent, entry, GUEST_STOPPED, 0, NULL);
	else if (reply->error.code != ERR_UNAVAILABLE && reply->error.code != ERR_CANCELLED)
		/* A driver that is away is waited for, see drivers.c; and the agent may be ending.
		 */
		agent_observe_guest(refresh->agent, entry, GUEST_UNKNOWN, 0, reply->error.message);
}

void driver_refresh(struct agent *agent, struct guest_entry *entry)
{
	struct agent_driver *driver = agent_driver(agent, entry->guest->driver, NULL);
	struct driver_request request = {.call = DRIVER_CALL_STATUS, .id = entry->guest->id};
	struct refresh *refresh = calloc(1, sizeof(*refresh));
	struct err err;

	if (!driver || !refresh) {
		free(refresh);
		return;
	}
	entry->stale = false;
	refresh->agent = agent;
	memcpy(refresh->id, entry->guest->id, sizeof(refresh->id));
	if (driver_client_call(driver->client, &request, refreshed, refresh, &err) < 0) {
		log_warning("driver.unavailable", "driver=%s error=%s", entry->guest->driver,
			LOG_Q(err.message));
		free(refresh);
	}
}
