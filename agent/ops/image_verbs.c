/* Verbs of images: import from a stream, delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/events.h"
#include "agent/node/images.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

/* --- What the operations have in common ------------------------------------------------------ */

/* Those of an agent that knew only trees say nothing. */
enum image_kind op_image_kind(const json_t *args)
{
	enum image_kind kind = IMAGE_TREE;

	image_kind_from_string(json_string_value(json_object_get(args, "kind")), &kind);
	return kind;
}

static struct image *op_image(const struct op *op)
{
	return agent_image(op->agent, op_image_kind(op->args), op->info.target);
}

void image_event(struct op *op, const char *type, struct db_txn *txn)
{
	struct agent *agent = op->agent;

	events_publish(agent->events, txn, type,
		json_pack("{s:s, s:s}", "target", op->info.target, "kind",
			image_kind_to_string(op_image_kind(op->args))));
}

/* Images of one name and different kinds have nothing to do with each other. */
static void enter_lane(struct op *op)
{
	snprintf(op->lanes[0], sizeof(op->lanes[0]), "image:%s:%.*s",
		image_kind_to_string(op_image_kind(op->args)), IMAGE_NAME_MAX, op->info.target);
}

int op_plan_image(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	const char *name, json_t *args, struct err *err)
{
	struct op *op = op_create(agent->engine, verb, args);

	if (!op)
		return err_errno(err, ENOMEM, "cannot make the operation");
	snprintf(op->info.target, sizeof(op->info.target), "%s", name);
	enter_lane(op);
	plan->op = op;
	plan->txn = db_txn_create();
	return 0;
}

int op_image_restore(struct op *op, struct err *err)
{
	(void)err;
	enter_lane(op);
	return 0;
}

/* --- import ---------------------------------------------------------------------------------- */

struct import {
	int fd, whole_fd;
	bool imported;
	struct image image;
};

static int import_progress(void *data, uint64_t bytes)
{
	struct task *task = data;

	(void)bytes;
	return *task->cancel;
}

static bool import_whole(void *data)
{
	const struct task *task = data;
	char byte;

	return read(task->whole_fd, &byte, 1) == 1;
}

/* What was said about a disk; a format that was not is NULL. */
static const enum disk_format *format_of(const json_t *args, enum disk_format *buf)
{
	const char *text = json_string_value(json_object_get(args, "format"));

	return disk_format_from_string(text, buf) == 0 ? buf : NULL;
}

static enum disk_boot boot_of(const json_t *args)
{
	enum disk_boot boot = DISK_BOOT_BIOS;

	disk_boot_from_string(json_string_value(json_object_get(args, "boot")), &boot);
	return boot;
}

static int import_work(struct task *task, struct err *err)
{
	enum disk_format format;
	struct image_source source = {
		.kind = op_image_kind(task->args),
		.fd = task->fd,
		.format = format_of(task->args, &format),
		.boot = boot_of(task->args),
		.sha256 = json_string_value(json_object_get(task->args, "sha256")),
		.replace = json_is_true(json_object_get(task->args, "replace")),
		.progress = import_progress,
		.progress_data = task,
		.whole = import_whole,
		.whole_data = task,
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

/* After a restart the stream is gone. An image of that age has been made by this operation, and
 * bears its name only because all of it had come. */
static void import_again(struct op *op)
{
	const struct image *image = op_image(op);
	struct err err;
	int r = 0;

	if (!image || !op->info.started_ms || image->created_ms < op->info.started_ms)
		r = err_set(&err, ERR_CANCELLED, NULL,
			"the agent was restarted while the image arrived: send it again");
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
	task->whole_fd = TAKE_FD(import->whole_fd);
	task->finish = import_finish;
	task_run(task, import_work);
}

static int delete_work(struct task *task, struct err *err)
{
	return image_delete(task->storage, op_image_kind(task->args),
		json_string_value(json_object_get(task->args, "name")), err);
}

static void delete_apply(struct op *op)
{
	struct task *task = task_create(op, TASK_STORAGE);

	if (task)
		task_run(task, delete_work);
}

static void import_end(struct op *op, struct db_txn *txn)
{
	struct import *import = op->data;

	if (op->info.state != OPERATION_DONE)
		return;
	if (import && import->imported)
		images_put(op->agent, &import->image);
	image_event(op, "image.imported", txn);
}

static void import_release(struct op *op)
{
	struct import *import = op->data;

	fd_close(import->fd);
	fd_close(import->whole_fd);
	free(import);
}

/* It makes the image or changes nothing. */
static const struct step IMPORT_STEPS[] = {{"import", import_apply, NULL}};

static const struct op_verb *import_variant(const json_t *args)
{
	return op_image_kind(args) == IMAGE_OCI ? &IMAGE_LOAD : &IMAGE_IMPORT;
}

const struct op_verb IMAGE_IMPORT = {
	.name = "image.import",
	.variant = import_variant,
	.steps = IMPORT_STEPS,
	.steps_count = ARRAY_SIZE(IMPORT_STEPS),
	.restore = op_image_restore,
	.end = import_end,
	.release = import_release,
};

static json_t *upload_args(const struct image_upload *upload)
{
	bool disk = upload->kind == IMAGE_DISK;

	return json_pack("{s:s, s:s, s:s*, s:b, s:s*, s:s*}", "name", upload->name, "kind",
		image_kind_to_string(upload->kind), "sha256", upload->sha256, "replace",
		upload->replace, "format",
		upload->format ? disk_format_to_string(*upload->format) : NULL, "boot",
		disk ? disk_boot_to_string(upload->boot) : NULL);
}

int plan_image_import(struct agent *agent, struct op_plan *plan, const struct image_upload *upload,
	struct err *err)
{
	AUTOCLOSE int fd = -1, whole_fd = -1;
	struct import *import;
	json_t *args;
	int r;

	if (upload->kind == IMAGE_OCI)
		return plan_image_load(agent, plan, upload, err);
	fd = upload->fd;
	whole_fd = upload->whole_fd;
	if (!agent->storage)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the storage pool is not open now, see the node's problems in /v1/node");
	if (!upload->replace && agent_image(agent, upload->kind, upload->name))
		return err_set(err, ERR_EXISTS, "name",
			"an image %s of the kind %s exists already: give replace=true to replace "
			"it",
			upload->name, image_kind_to_string(upload->kind));
	args = upload_args(upload);
	r = op_plan_image(agent, plan, &IMAGE_IMPORT, upload->name, args, err);
	if (r < 0)
		return r;
	import = calloc(1, sizeof(*import));
	if (!import) {
		op_plan_drop(plan);
		return err_errno(err, ENOMEM, "cannot import an image");
	}
	import->fd = TAKE_FD(fd);
	import->whole_fd = TAKE_FD(whole_fd);
	plan->op->data = import;
	return 0;
}

/* --- delete ---------------------------------------------------------------------------------- */

static void delete_end(struct op *op, struct db_txn *txn)
{
	if (op->info.state != OPERATION_DONE)
		return;
	images_remove(op->agent, op_image_kind(op->args), "", op->info.target);
	image_event(op, "image.deleted", txn);
}

static const struct step DELETE_STEPS[] = {{"delete", delete_apply, NULL}};

static const struct op_verb *delete_variant(const json_t *args)
{
	return op_image_kind(args) == IMAGE_OCI ? &IMAGE_REMOVE : &IMAGE_DELETE;
}

const struct op_verb IMAGE_DELETE = {
	.name = "image.delete",
	.variant = delete_variant,
	.steps = DELETE_STEPS,
	.steps_count = ARRAY_SIZE(DELETE_STEPS),
	.forward_only = true,
	.restore = op_image_restore,
	.end = delete_end,
};

int plan_image_delete(
	struct agent *agent, struct op_plan *plan, const struct image *image, struct err *err)
{
	if (image->kind == IMAGE_OCI)
		return plan_image_remove(agent, plan, image, err);
	return op_plan_image(agent, plan, &IMAGE_DELETE, image->name,
		json_pack("{s:s, s:s}", "name", image->name, "kind",
			image_kind_to_string(image->kind)),
		err);
}
