/* Verbs of images: import from a stream, delete. */
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
#include "storage/storage.h"

/* --- The table of images --------------------------------------------------------------------- */

static void table_remove(struct agent *agent, const char *name)
{
	struct image *image = agent_image(agent, name);
	size_t i;

	if (!image)
		return;
	i = (size_t)(image - agent->images);
	agent->images_count--;
	memmove(image, image + 1, (agent->images_count - i) * sizeof(*image));
}

static int compare_images(const void *a, const void *b)
{
	return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

static void table_put(struct agent *agent, const struct image *image)
{
	struct image *grown;

	table_remove(agent, image->name);
	grown = reallocarray(agent->images, agent->images_count + 1, sizeof(*grown));
	if (!grown)
		return; /* found again at the next start */
	agent->images = grown;
	agent->images[agent->images_count++] = *image;
	qsort(agent->images, agent->images_count, sizeof(*grown), compare_images);
}

static void image_event(struct op *op, const char *type, struct db_txn *txn)
{
	struct agent *agent = op->agent;

	events_publish(agent->events, txn, type, json_pack("{s:s}", "target", op->info.target));
}

static int plan_image(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	const char *name, json_t *args, struct err *err)
{
	struct op *op = op_create(agent->engine, verb, args);

	if (!op)
		return err_errno(err, ENOMEM, "cannot make the operation");
	snprintf(op->info.target, sizeof(op->info.target), "%s", name);
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "image:%s", name);
	plan->op = op;
	plan->txn = db_txn_create();
	return 0;
}

static int image_restore(struct op *op, struct err *err)
{
	(void)err;
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "image:%.*s", IMAGE_NAME_MAX, op->info.target);
	return 0;
}

/* --- import ---------------------------------------------------------------------------------- */

struct import {
	int fd;
	bool (*complete)(void *data);
	void *data;
	bool imported;
	struct image image;
};

static int import_progress(void *data, uint64_t bytes)
{
	struct task *task = data;

	(void)bytes;
	return *task->cancel;
}

static int import_work(struct task *task, struct err *err)
{
	struct image_source source = {
		.fd = task->fd,
		.sha256 = json_string_value(json_object_get(task->args, "sha256")),
		.replace = json_is_true(json_object_get(task->args, "replace")),
		.progress = import_progress,
		.progress_data = task,
	};

	return image_import(task->storage, json_string_value(json_object_get(task->args, "name")),
		&source, &task->image, err);
}

static void import_finish(struct op *op, struct task *task)
{
	struct import *import = op->data;

	import->imported = true;
	import->image = task->image;
}

/* Whether the image that there is was made by this operation, in this run of the agent or the one
 * before. */
static bool made_image(const struct op *op)
{
	const struct import *import = op->data;
	const struct image *image;

	if (import)
		return import->imported;
	image = agent_image(op->agent, op->info.target);
	return image && op->info.started_ms && image->created_ms >= op->info.started_ms;
}

/* After a restart the stream is gone. The image may be there by now, but only its digest would tell
 * that the archive had arrived whole: the end of the agent cut the transfer too. */
static void import_again(struct op *op)
{
	struct err err;
	int r = 0;

	if (!made_image(op) || !json_object_get(op->args, "sha256"))
		r = err_set(&err, ERR_CANCELLED, NULL,
			"the agent was restarted while the archive arrived: send it again");
	op_step_done(op, r, &err);
}

static void import_apply(struct op *op)
{
	struct import *import = op->data;
	struct task *task;

	if (!import || import->fd < 0) {
		import_again(op);
		return;
	}
	task = task_create(op, TASK_STORAGE);
	if (!task)
		return;
	task->fd = TAKE_FD(import->fd);
	task->finish = import_finish;
	task_run(task, import_work);
}

/* The archive may have looked whole although its transfer was cut. */
static void verify_apply(struct op *op)
{
	struct import *import = op->data;
	struct err err;
	int r = 0;

	if (!import) {
		import_again(op);
		return;
	}
	if (import->imported && !import->complete(import->data))
		r = err_set(&err, ERR_MALFORMED, NULL,
			"the transfer was cut before its end: send the archive again");
	op_step_done(op, r, &err);
}

/* That this step was begun tells a restart that the image is whole. */
static void keep_apply(struct op *op)
{
	op_step_done(op, 0, NULL);
}

static int delete_work(struct task *task, struct err *err)
{
	return image_delete(
		task->storage, json_string_value(json_object_get(task->args, "name")), err);
}

static void delete_apply(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, delete_work);
}

/* Only what this operation made. */
static void import_undo(struct op *op)
{
	if (made_image(op))
		delete_apply(op);
	else
		op_step_done(op, 0, NULL);
}

static void import_end(struct op *op, struct db_txn *txn)
{
	struct import *import = op->data;

	if (op->info.state == OPERATION_DONE) {
		if (import && import->imported)
			table_put(op->agent, &import->image);
		image_event(op, "image.imported", txn);
	} else if (made_image(op)) {
		table_remove(op->agent, op->info.target);
	}
}

static void import_release(struct op *op)
{
	struct import *import = op->data;

	fd_close(import->fd);
	free(import);
}

static const struct step IMPORT_STEPS[] = {
	{"import", import_apply, import_undo},
	{"verify", verify_apply, NULL},
	{"keep", keep_apply, NULL},
};

const struct op_verb IMAGE_IMPORT = {
	.name = "image.import",
	.steps = IMPORT_STEPS,
	.steps_count = ARRAY_SIZE(IMPORT_STEPS),
	.restore = image_restore,
	.end = import_end,
	.release = import_release,
};

int plan_image_import(struct agent *agent, struct op_plan *plan, const struct image_upload *upload,
	struct err *err)
{
	AUTOCLOSE int fd = upload->fd;
	struct import *import;
	json_t *args;
	int r;

	if (!agent->storage)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the storage pool is not open now, see the node's problems in /v1/node");
	if (!upload->replace && agent_image(agent, upload->name))
		return err_set(err, ERR_EXISTS, "name",
			"an image named %s exists already: give replace=true to replace it",
			upload->name);
	args = json_pack("{s:s, s:s*, s:b}", "name", upload->name, "sha256", upload->sha256,
		"replace", upload->replace);
	r = plan_image(agent, plan, &IMAGE_IMPORT, upload->name, args, err);
	if (r < 0)
		return r;
	import = calloc(1, sizeof(*import));
	if (!import) {
		op_plan_drop(plan);
		return err_errno(err, ENOMEM, "cannot import an image");
	}
	import->fd = TAKE_FD(fd);
	import->complete = upload->complete;
	import->data = upload->data;
	plan->op->data = import;
	return 0;
}

/* --- delete ---------------------------------------------------------------------------------- */

static void delete_end(struct op *op, struct db_txn *txn)
{
	if (op->info.state != OPERATION_DONE)
		return;
	table_remove(op->agent, op->info.target);
	image_event(op, "image.deleted", txn);
}

static const struct step DELETE_STEPS[] = {{"delete", delete_apply, NULL}};

const struct op_verb IMAGE_DELETE = {
	.name = "image.delete",
	.steps = DELETE_STEPS,
	.steps_count = ARRAY_SIZE(DELETE_STEPS),
	.forward_only = true,
	.restore = image_restore,
	.end = delete_end,
};

int plan_image_delete(struct agent *agent, struct op_plan *plan, const char *name, struct err *err)
{
	if (!agent_image(agent, name))
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no image named %s", name);
	return plan_image(agent, plan, &IMAGE_DELETE, name, json_pack("{s:s}", "name", name), err);
}
