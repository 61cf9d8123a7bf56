/* What steps are made of: calls of a guest's driver, one or some in a row. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "agent/node/registry.h"
#include "agent/ops/driver_facts.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/storage.h"

#define AGAIN_US UINT64_C(1000000)
/* As driver.h has them: of a start that goes on from saved memory, and of a definition that may
 * have to copy what a container has written. */
#define MEMORY_DEADLINE_MS 300000
#define LAYER_DEADLINE_MS  300000

/* A clone's layer begins as another guest's was. */
static void take_layer(const struct op *op, struct driver_container *container)
{
	const char *layer = json_string_value(json_object_get(op->args, "layer"));

	if (!layer)
		return;
	container->layer_of = json_string_value(json_object_get(op->args, "from"));
	container->layer = layer;
}

static int call_driver(struct op *op, struct driver_request request, const struct guest *as,
	driver_reply_fn reply, void *data, struct err *err)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct driver_facts facts;
	struct agent_driver *driver;
	int r;

	if (!entry)
		return err_set(err, ERR_NOT_FOUND, NULL, "guest %s does not exist any more",
			op->info.target);
	driver = agent_driver(agent, entry->guest->driver, err);
	if (!driver)
		return -EINVAL;
	if (!request.id)
		request.id = entry->guest->id;
	request.timeout_ms = (uint64_t)json_integer_value(json_object_get(op->args, "timeout_ms"));
	if (request.call == DRIVER_CALL_CREATE || request.call == DRIVER_CALL_UPDATE) {
		r = driver_facts_resolve(&facts, agent, as ? as : entry->guest, err);
		if (r < 0)
			return r;
		take_layer(op, &facts.container);
		request.guest = &facts.guest;
	}
	if (request.call == DRIVER_CALL_CREATE && entry->guest->container)
		request.deadline_ms = LAYER_DEADLINE_MS;
	if (request.call == DRIVER_CALL_START &&
		driver_facts_has_memory(agent->storage, entry->guest))
		request.deadline_ms = MEMORY_DEADLINE_MS;
	return driver_client_call(driver->client, &request, reply, data, err);
}

/* --- One call -------------------------------------------------------------------------------- */

/* What has to be gone is gone; and what is not defined takes up what is new when it is, before its
 * next start. */
static bool unknown_is_fine(const struct op *op, enum driver_call call)
{
	return op->info.state == OPERATION_UNDOING || call == DRIVER_CALL_KILL ||
	       call == DRIVER_CALL_STOP || call == DRIVER_CALL_DESTROY ||
	       call == DRIVER_CALL_UPDATE;
}

static bool is_fine(const struct op *op, enum driver_call call, enum err_code code)
{
	if (code == ERR_NOT_FOUND)
		return unknown_is_fine(op, call);
	/* Nothing is done to the disk of a guest that does not run. */
	if (code == ERR_ILLEGAL_STATE && call == DRIVER_CALL_DISK)
		return op->info.state == OPERATION_UNDOING;
	/* What cannot be done was not done either. */
	return code == ERR_UNSUPPORTED && op->info.state == OPERATION_UNDOING;
}

/* Takes over what a reply tells about the guest; 0 when the call did what was wanted of it. */
static int take_reply(
	struct op *op, enum driver_call call, const struct driver_reply *reply, struct err *err)
{
	struct guest_entry *entry = op_guest(op);

	int r = is_fine(op, call, reply->error.code) ? 0 : reply->result;

	if (r < 0)
		*err = reply->error;
	else if (entry &&
		 (call == DRIVER_CALL_KILL || call == DRIVER_CALL_STOP || call == DRIVER_CALL_SAVE))
		entry->guest->pid = 0;
	else if (entry && reply->statuses_count == 1)
		entry->guest->pid = reply->statuses[0].pid;
	return r;
}

/* --- Calls in a row -------------------------------------------------------------------------- */

#define ROW_MAX 2

/* The calls of a step that are not made yet, the first of them under way. */
struct row {
	struct op *op;
	struct driver_request calls[ROW_MAX];
	/* Of calls about the disk, an image, the layer. */
	struct driver_disk_work work;
	struct driver_image_work image;
	struct driver_layer_work layer;
	size_t count, at;
	bool optional; /* a driver or guest that cannot is fine */
	bool attempt;  /* what it drives may fail: the step is done all the same */
	/* A driver or daemon that is away is waited for, and all other failures are only noted:
	 * there is no way back from here. */
	bool surely;
	pid_t pid;    /* of the guest before the call under way */
	bool resumes; /* it goes on from saved memory */
	sd_event_source *again;
	/* Gets the reply of the last one when it was well; NULL: nobody wants it. */
	void (*tell)(struct op *op, const struct driver_reply *reply);
	void (*then)(struct op *op); /* goes on with the step after the last; NULL: it ends */
};

static void call_next(struct row *row, const struct guest *as);

static int try_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct row *row = data;

	(void)source;
	(void)usec;
	row->again = sd_event_source_disable_unref(row->again);
	call_next(row, NULL);
	return 0;
}

/* Whether it is tried again later. */
static bool waits(struct row *row, const struct err *err)
{
	const struct agent *agent = row->op->agent;

	log_warning("guest.step_failed", "guest=%s step=%s error=%s", row->op->info.target,
		row->op->info.step, LOG_Q(err->message));
	return (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT) &&
	       sd_event_add_time_relative(
		       agent->loop, &row->again, CLOCK_MONOTONIC, AGAIN_US, 0, try_again, row) >= 0;
}

static void end_row(struct row *row, int r, const struct err *err)
{
	struct op *op = row->op;
	void (*then)(struct op * op) = row->then;

	if (r < 0 && row->surely) {
		if (waits(row, err))
			return;
		r = 0;
	}
	free(row);
	if (r == 0 && then)
		then(op);
	else
		op_step_done(op, r, err);
}

/* A guest that shall run again, whatever becomes of what it had in memory. */
static bool boots_instead(const struct row *row, const struct err *err)
{
	const struct op *op = row->op;
	const struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	return row->attempt && err->code == ERR_DRIVER && entry &&
	       row->calls[row->at].call == DRIVER_CALL_START &&
	       driver_facts_has_memory(agent->storage, entry->guest);
}

/* Fails all the same: an undo is tried again, and finds no memory then. */
static int forget_memory_work(struct task *task, struct err *err)
{
	struct err why = task->err;
	int r = volume_remove(task->storage, task->guest->id, VOLUME_MEMORY, err);

	if (r < 0)
		return r;
	*err = why;
	return err_errnum(why.code);
}

/* Takes the row over. */
static void boot_instead(struct row *row, const struct err *err)
{
	struct op *op = row->op;
	struct task *task = task_create(op, TASK_STORAGE);

	free(row);
	log_warning("guest.memory_lost", "guest=%s error=%s", op->info.target, LOG_Q(err->message));
	if (!task)
		return;
	task->err = *err;
	task_run(task, forget_memory_work);
}

/* Blocks that a guest does not return are moved instead: it may not be up yet, or never be. */
static bool is_optional(const struct row *row, enum err_code code)
{
	if (!row->optional)
		return false;
	/* What is not known has no layer either. */
	if (row->calls[row->at].call == DRIVER_CALL_LAYER)
		return code == ERR_NOT_FOUND || row->layer.op == DRIVER_LAYER_BOUND;
	if (row->calls[row->at].call == DRIVER_CALL_DISK && row->work.op == DRIVER_DISK_DISCARD &&
		(code == ERR_UNAVAILABLE || code == ERR_TIMEOUT))
		return true;
	return code == ERR_UNSUPPORTED;
}

/* What somebody can do about an image that is not there. */
static void advise(const struct row *row, struct err *err)
{
	const struct guest_entry *entry = op_guest(row->op);

	if (row->calls[row->at].call == DRIVER_CALL_IMAGE && err->code == ERR_NOT_FOUND && entry)
		err_set(err, ERR_NOT_FOUND, "image",
			"there is no image %s of the kind oci on this node, which the driver %s "
			"takes: pull it (corpus image pull %s) or import it first",
			entry->guest->image, entry->guest->driver, entry->guest->image);
}

/* Whether what ran with older settings is gone by this call. One that goes on from its memory has
 * those of then. */
static bool has_ended(const struct row *row, const struct driver_reply *reply)
{
	switch (row->calls[row->at].call) {
	case DRIVER_CALL_STOP:
	case DRIVER_CALL_KILL: return true;
	case DRIVER_CALL_START:
		return !row->resumes && reply->statuses_count == 1 &&
		       reply->statuses[0].pid != row->pid;
	default: return false;
	}
}

static void note_end(const struct row *row, const struct driver_reply *reply)
{
	struct agent *agent = row->op->agent;
	struct guest_entry *entry = op_guest(row->op);
	struct db_txn *txn;

	if (reply->result < 0 || !entry || !has_ended(row, reply) ||
		!guest_drop_changes(entry->guest))
		return;
	registry_changed(agent->registry, entry);
	txn = db_txn_create();
	db_put_guest(txn, entry->guest);
	agent_commit(agent, txn, false, NULL, NULL);
}

static void replied(void *data, const struct driver_reply *reply)
{
	struct row *row = data;
	struct err err;
	int r;

	note_end(row, reply);
	r = take_reply(row->op, row->calls[row->at].call, reply, &err);

	if (r == 0 && row->tell && row->at + 1 == row->count)
		row->tell(row->op, reply);
	if (r < 0 && is_optional(row, err.code))
		r = 0;
	if (r < 0)
		advise(row, &err);
	if (r < 0 && boots_instead(row, &err)) {
		boot_instead(row, &err);
		return;
	}
	if (r < 0 && row->attempt && err.code == ERR_DRIVER) {
		log_warning("guest.not_started", "guest=%s error=%s", row->op->info.target,
			LOG_Q(err.message));
		r = 0;
	}
	if (r < 0 || ++row->at == row->count)
		end_row(row, r, &err);
	else
		call_next(row, NULL);
}

static void call_next(struct row *row, const struct guest *as)
{
	const struct agent *agent = row->op->agent;
	const struct guest_entry *entry = op_guest(row->op);
	struct err err;
	int r;

	row->calls[row->at].disk = &row->work;
	row->calls[row->at].image = &row->image;
	row->calls[row->at].layer = &row->layer;
	row->pid = entry ? entry->guest->pid : 0;
	row->resumes = entry && driver_facts_has_memory(agent->storage, entry->guest);
	r = call_driver(row->op, row->calls[row->at], as, replied, row, &err);

	if (r < 0)
		end_row(row, r, &err);
}

/* Takes a copy of the row. */
static void call_row(const struct row *wanted, const struct guest *as)
{
	struct row *row = malloc(sizeof(*row));
	struct err err;

	if (!row) {
		op_step_done(
			wanted->op, err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory"), &err);
		return;
	}
	*row = *wanted;
	call_next(row, as);
}

void driver_step(struct op *op, enum driver_call call, const struct guest *as)
{
	call_row(&(struct row){.op = op, .calls = {{.call = call}}, .count = 1}, as);
}

void driver_step_freeze(struct op *op, bool frozen)
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_FREEZE, .frozen = frozen}},
			 .count = 1},
		NULL);
}

void driver_step_take_up(struct op *op, const struct guest *as)
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_UPDATE}},
			 .count = 1,
			 .optional = true},
		as);
}

void driver_step_disk(struct op *op, const struct driver_disk_work *work, bool optional,
	void (*tell)(struct op *op, const struct driver_reply *reply))
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_DISK}},
			 .work = *work,
			 .count = 1,
			 .optional = optional,
			 .tell = tell},
		NULL);
}

void driver_step_image(struct op *op, const struct driver_image_work *work,
	void (*tell)(struct op *op, const struct driver_reply *reply))
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_IMAGE}},
			 .image = *work,
			 .count = 1,
			 .tell = tell},
		NULL);
}

void driver_step_layer(struct op *op, const char *of, const struct driver_layer_work *work)
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_LAYER, .id = of}},
			 .layer = *work,
			 .count = 1,
			 .optional = work->op == DRIVER_LAYER_DROP},
		NULL);
}

void driver_step_layer_surely(struct op *op, const char *of, const struct driver_layer_work *work)
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_LAYER, .id = of}},
			 .layer = *work,
			 .count = 1,
			 .surely = true},
		NULL);
}

void driver_step_layer_bound(struct op *op, uint64_t deadline_ms,
	void (*tell)(struct op *op, const struct driver_reply *reply))
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_LAYER, .deadline_ms = deadline_ms}},
			 .layer = {.op = DRIVER_LAYER_BOUND},
			 .count = 1,
			 .optional = true,
			 .tell = tell},
		NULL);
}

void driver_step_run_again(struct op *op)
{
	call_row(&(struct row){.op = op,
			 .calls = {{.call = DRIVER_CALL_CREATE}, {.call = DRIVER_CALL_START}},
			 .count = 2,
			 .attempt = true,
			 .then = step_link},
		NULL);
}
