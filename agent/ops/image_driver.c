/* Verbs of images that drivers' daemons keep: load from a stream, pull from a registry, remove. The
 * driver does the work; here it is asked, told to give up, and what it says about how far it is
 * becomes part of the operation. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/node/events.h"
#include "agent/node/images.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define LINE_MAX_ 512
/* Listeners hear of progress that often at most. */
#define TELL_NS INT64_C(500000000)

/* What is under way for an operation. */
struct transfer {
	struct op *op;
	int fd, whole_fd; /* of a load, until the driver has them; -1: none */
	int progress;	  /* what the driver writes; -1: nothing is under way */
	sd_event_source *source;
	char line[LINE_MAX_]; /* the beginning of one */
	size_t length;
	int64_t told_ns;
	bool made;
	struct image image;
};

static const char *arg(const struct op *op, const char *name)
{
	return json_string_value(json_object_get(op->args, name));
}

/* --- How far it is --------------------------------------------------------------------------- */

static void tell(struct transfer *transfer)
{
	struct op *op = transfer->op;
	struct agent *agent = op->agent;
	int64_t now = clock_monotonic_ns();
	struct db_txn *txn;

	if (transfer->told_ns && now - transfer->told_ns < TELL_NS)
		return;
	transfer->told_ns = now;
	txn = db_txn_create();
	events_publish(agent->events, txn, "operation.transfer",
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "operation", op->info.id, "verb",
			op->info.verb, "target", op->info.target, "what", op->info.transfer.what,
			"done", (json_int_t)op->info.transfer.done, "total",
			(json_int_t)op->info.transfer.total));
	agent_commit(agent, txn, false, NULL, NULL);
}

/* {"done": bytes, "total": bytes or 0, "what": "a few words"} */
static void take_line(struct transfer *transfer)
{
	json_auto_t *json = json_loads(transfer->line, 0, NULL);
	struct operation *info = &transfer->op->info;
	const char *what;
	json_int_t done, total;

	if (json_unpack(json, "{s:I, s:I, s:s}", "done", &done, "total", &total, "what", &what) <
			0 ||
		done < 0 || total < 0)
		return;
	info->transfer.done = (uint64_t)done;
	info->transfer.total = (uint64_t)total;
	snprintf(info->transfer.what, sizeof(info->transfer.what), "%.*s",
		(int)sizeof(info->transfer.what) - 1, *what ? what : "under way");
	tell(transfer);
}

static void take_bytes(struct transfer *transfer, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			transfer->line[transfer->length] = '\0';
			transfer->length = 0;
			take_line(transfer);
		} else if (transfer->length + 1 < sizeof(transfer->line)) {
			transfer->line[transfer->length++] = bytes[i];
		}
	}
}

static int progress_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct transfer *transfer = data;
	char bytes[4096];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)events;
	if (n > 0)
		take_bytes(transfer, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static void progress_end(struct transfer *transfer)
{
	transfer->source = sd_event_source_disable_unref(transfer->source);
	transfer->progress = fd_close(transfer->progress);
	transfer->length = 0;
	transfer->op->info.transfer.what[0] = '\0';
}

/* The driver's end of a new pipe. */
static int progress_begin(struct transfer *transfer, struct err *err)
{
	const struct agent *agent = transfer->op->agent;
	int ends[2];
	int r = pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	transfer->progress = ends[0];
	r = sd_event_add_io(
		agent->loop, &transfer->source, ends[0], EPOLLIN, progress_ready, transfer);
	if (r < 0) {
		fd_close(ends[1]);
		progress_end(transfer);
		return err_errno(err, r, "cannot watch a pipe");
	}
	return ends[1];
}

/* --- Asking the driver ----------------------------------------------------------------------- */

static struct agent_driver *driver_of(const struct op *op, struct err *err)
{
	return agent_driver(op->agent, arg(op, "driver"), err);
}

static void replied(void *data, const struct driver_reply *reply)
{
	struct transfer *transfer = data;
	struct op *op = transfer->op;
	const struct agent_driver *driver = driver_of(op, NULL);
	struct err err = reply->error;

	progress_end(transfer);
	if (reply->result == 0 && reply->images_count == 1 && driver) {
		transfer->made = true;
		transfer->image = image_of_driver(driver, &reply->images[0]);
		json_object_set_new(op->args, "image", json_string(transfer->image.name));
	}
	op_step_done(op, reply->result, &err);
}

/* Descriptors of `work` are the caller's, and closed when this returns: the call has its own. */
static void ask(struct transfer *transfer, struct driver_image_work work, bool progress)
{
	struct op *op = transfer->op;
	struct driver_request request = {.call = DRIVER_CALL_IMAGE, .image = &work};
	AUTOCLOSE int write_end = -1;
	struct agent_driver *driver;
	struct err err;
	int r = 0;

	driver = driver_of(op, &err);
	if (!driver)
		r = -EINVAL;
	if (r == 0 && progress) {
		write_end = progress_begin(transfer, &err);
		r = write_end < 0 ? write_end : 0;
	}
	work.name = arg(op, "name");
	work.progress_fd = write_end;
	if (r == 0)
		r = driver_client_call(driver->client, &request, replied, transfer, &err);
	if (r < 0) {
		progress_end(transfer);
		op_step_done(op, r, &err);
	}
}

/* Gives it up: the driver sees that nobody reads any more. */
static void transfer_cancel(struct op *op)
{
	struct transfer *transfer = op->data;

	if (transfer)
		progress_end(transfer);
}

static void transfer_release(struct op *op)
{
	struct transfer *transfer = op->data;

	progress_end(transfer);
	fd_close(transfer->fd);
	fd_close(transfer->whole_fd);
	free(transfer);
}

static struct transfer *transfer_of(struct op *op)
{
	struct transfer *transfer = op->data ? op->data : calloc(1, sizeof(*transfer));

	if (transfer && !op->data) {
		*transfer = (struct transfer){.op = op, .fd = -1, .whole_fd = -1, .progress = -1};
		op->data = transfer;
	}
	return transfer;
}

static void no_memory(struct op *op)
{
	struct err err;

	op_step_done(op, err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory"), &err);
}

/* What else has changed with it (a name that meant another image) is asked for. */
static void transfer_end(struct op *op, struct db_txn *txn)
{
	const struct transfer *transfer = op->data;
	struct agent_driver *driver = driver_of(op, NULL);

	if (op->info.state == OPERATION_DONE && transfer && transfer->made)
		images_put(op->agent, &transfer->image);
	if (driver)
		images_ask(driver);
	if (op->info.state == OPERATION_DONE)
		image_event(op, "image.imported", txn);
}

/* --- load ------------------------------------------------------------------------------------ */

static void load_apply(struct op *op)
{
	struct transfer *transfer = op->data;
	AUTOCLOSE int fd = -1, whole_fd = -1;
	struct err err;

	if (!transfer || transfer->fd < 0) {
		op_step_done(op,
			err_set(&err, ERR_CANCELLED, NULL,
				"the stream of the image was cut by a restart of the agent or of "
				"its driver: send it again"),
			&err);
		return;
	}
	fd = TAKE_FD(transfer->fd);
	whole_fd = TAKE_FD(transfer->whole_fd);
	ask(transfer,
		(struct driver_image_work){.op = DRIVER_IMAGE_LOAD,
			.fd = fd,
			.whole_fd = whole_fd,
			.sha256 = arg(op, "sha256"),
			.replace = json_is_true(json_object_get(op->args, "replace"))},
		true);
}

static const struct step LOAD_STEPS[] = {{"import", load_apply, NULL}};

const struct op_verb IMAGE_LOAD = {
	.name = "image.import",
	.steps = LOAD_STEPS,
	.steps_count = ARRAY_SIZE(LOAD_STEPS),
	.restore = op_image_restore,
	.end = transfer_end,
	.cancel = transfer_cancel,
	.release = transfer_release,
};

static int plan(struct agent *agent, struct op_plan *ret, const struct op_verb *verb,
	const char *name, json_t *args, struct err *err)
{
	int r = op_plan_image(agent, ret, verb, name, args, err);

	if (r < 0 || transfer_of(ret->op))
		return r;
	op_plan_drop(ret);
	return err_errno(err, ENOMEM, "cannot make the operation");
}

int plan_image_load(struct agent *agent, struct op_plan *ret, const struct image_upload *upload,
	struct err *err)
{
	AUTOCLOSE int fd = upload->fd, whole_fd = upload->whole_fd;
	const struct agent_driver *driver = agent_image_driver(agent, upload->driver, err);
	struct transfer *transfer;
	int r;

	if (!driver)
		return err_errnum(err->code);
	if (!upload->replace && agent_image(agent, IMAGE_OCI, upload->name))
		return err_set(err, ERR_EXISTS, "name",
			"an image %s of the kind oci exists already: give replace=true to replace "
			"it",
			upload->name);
	r = plan(agent, ret, &IMAGE_LOAD, upload->name,
		json_pack("{s:s, s:s, s:s, s:s*, s:b}", "name", upload->name, "kind", "oci",
			"driver", driver->settings->name, "sha256", upload->sha256, "replace",
			upload->replace),
		err);
	if (r < 0)
		return r;
	transfer = ret->op->data;
	transfer->fd = TAKE_FD(fd);
	transfer->whole_fd = TAKE_FD(whole_fd);
	return 0;
}

/* --- pull ------------------------------------------------------------------------------------ */

static void pull_apply(struct op *op)
{
	struct transfer *transfer = transfer_of(op);

	if (transfer)
		ask(transfer,
			(struct driver_image_work){
				.op = DRIVER_IMAGE_PULL, .fd = -1, .whole_fd = -1},
			true);
	else
		no_memory(op);
}

/* It may be begun again at any time: what is there is not fetched twice. */
static const struct step PULL_STEPS[] = {{"pull", pull_apply, NULL}};

const struct op_verb IMAGE_PULL = {
	.name = "image.pull",
	.steps = PULL_STEPS,
	.steps_count = ARRAY_SIZE(PULL_STEPS),
	.restore = op_image_restore,
	.end = transfer_end,
	.cancel = transfer_cancel,
	.release = transfer_release,
};

int plan_image_pull(struct agent *agent, struct op_plan *ret, const char *name, const char *driver,
	struct err *err)
{
	const struct agent_driver *found = agent_image_driver(agent, driver, err);

	if (!found)
		return err_errnum(err->code);
	return plan(agent, ret, &IMAGE_PULL, name,
		json_pack("{s:s, s:s, s:s}", "name", name, "kind", "oci", "driver",
			found->settings->name),
		err);
}

/* --- remove ---------------------------------------------------------------------------------- */

static void remove_apply(struct op *op)
{
	struct transfer *transfer = transfer_of(op);

	if (transfer)
		ask(transfer,
			(struct driver_image_work){
				.op = DRIVER_IMAGE_REMOVE, .fd = -1, .whole_fd = -1},
			false);
	else
		no_memory(op);
}

static void remove_end(struct op *op, struct db_txn *txn)
{
	struct agent_driver *driver = driver_of(op, NULL);

	if (op->info.state == OPERATION_DONE) {
		images_remove(op->agent, IMAGE_OCI, arg(op, "driver"), arg(op, "name"));
		image_event(op, "image.deleted", txn);
	}
	if (driver)
		images_ask(driver);
}

static const struct step REMOVE_STEPS[] = {{"delete", remove_apply, NULL}};

const struct op_verb IMAGE_REMOVE = {
	.name = "image.delete",
	.steps = REMOVE_STEPS,
	.steps_count = ARRAY_SIZE(REMOVE_STEPS),
	.forward_only = true,
	.restore = op_image_restore,
	.end = remove_end,
	.release = transfer_release,
};

/* Whether it has another name with that driver, under which it stays. */
static bool has_other_name(const struct agent *agent, const struct image *image)
{
	for (size_t i = 0; i < agent->images_count; i++) {
		const struct image *other = &agent->images[i];

		if (other != image && other->kind == IMAGE_OCI &&
			strcmp(other->driver, image->driver) == 0 &&
			strcmp(other->id, image->id) == 0)
			return true;
	}
	return false;
}

/* Unlike those of the pool they are needed for as long as a guest is made of them. */
int plan_image_remove(
	struct agent *agent, struct op_plan *ret, const struct image *image, struct err *err)
{
	uint32_t users = registry_image_users(agent->registry, image);

	if (users > 0 && !has_other_name(agent, image))
		return err_set(err, ERR_CONFLICT, NULL,
			"image %s is needed by %u guests that are made of it: destroy them first",
			image->name, users);
	return plan(agent, ret, &IMAGE_REMOVE, image->name,
		json_pack("{s:s, s:s, s:s}", "name", image->name, "kind", "oci", "driver",
			image->driver),
		err);
}
