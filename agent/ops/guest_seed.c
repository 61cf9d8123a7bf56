/* First boot as steps: what agent/seed writes, on a worker, and what it has to say. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/seed/seed.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "storage/storage.h"

static int seed_work(struct task *task, struct err *err)
{
	const struct agent *agent = task->op->agent;

	return seed_apply(task->storage, task->guest, agent->config->node_name, task->parts,
		&task->seeded, err);
}

/* What the guest has no plain file for: somebody may wonder why it is missing. */
static void tell_skipped(struct agent *agent, const struct guest *guest, const char *paths)
{
	struct db_txn *txn;

	if (!*paths)
		return;
	log_warning("guest.seed_skipped", "guest=%s paths=%s", guest->name, LOG_Q(paths));
	txn = db_txn_create();
	events_publish(agent->events, txn, "guest.seed_skipped",
		json_pack(
			"{s:s, s:s, s:s}", "id", guest->id, "target", guest->name, "paths", paths));
	agent_commit(agent, txn, false, NULL, NULL);
}

static void seed_finish(struct op *op, struct task *task)
{
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	/* A password that opens nothing is none. */
	if (task->parts & SEED_PASSWORD && !task->seeded.password_set)
		entry->guest->password[0] = '\0';
	tell_skipped(op->agent, entry->guest, task->seeded.skipped);
}

static bool is_of(const struct op *op, enum image_kind kind)
{
	const struct guest_entry *entry = op_guest(op);

	return entry && guest_image_kind(entry->guest) == kind;
}

void step_seed_parts(struct op *op, unsigned parts, struct guest *as)
{
	CLEANUP(guest_freep) struct guest *guest = as;
	/* A machine gets its seed when it is defined, see step_define; a container when it runs. */
	bool any = parts && is_of(op, IMAGE_TREE);
	struct task *task = any ? task_create(op, TASK_STORAGE) : NULL;

	if (!any)
		op_step_done(op, 0, NULL);
	if (!task)
		return;
	if (guest) {
		guest_free(task->guest);
		task->guest = TAKE_PTR(guest);
	}
	task->parts = parts;
	task->finish = seed_finish;
	task_run(task, seed_work);
}

void step_seed(struct op *op)
{
	step_seed_parts(op, SEED_NEW, NULL);
}

void step_seed_clone(struct op *op)
{
	step_seed_parts(op, SEED_CLONE, NULL);
}

/* --- Machines -------------------------------------------------------------------------------- */

/* One that goes on from its memory has looked at its disks already: they are left as they are. */
static bool has_memory(const struct task *task)
{
	char path[PATH_MAX];

	return volume_path(task->storage, task->guest->id, VOLUME_MEMORY, path, sizeof(path)) ==
		       0 &&
	       access(path, F_OK) == 0;
}

static int disk_work(struct task *task, struct err *err)
{
	const struct agent *agent = task->op->agent;
	const struct seed_node node = {.name = agent->config->node_name, .key = agent->node_key};

	return has_memory(task) ? 0 : seed_write_disk(task->storage, task->guest, &node, err);
}

static void define(struct op *op)
{
	driver_step(op, DRIVER_CALL_CREATE, NULL);
}

void step_define(struct op *op)
{
	bool disk = is_of(op, IMAGE_DISK);
	struct task *task = disk ? task_create(op, TASK_STORAGE) : NULL;

	if (task) {
		task->then = define;
		task_run(task, disk_work);
	} else if (!disk) {
		define(op);
	}
}
