/* The calls of the contract: one table of what each takes and how long it may last, and one
 * function for each that unpacks a request into the driver's own arguments. */
#include "drivers/protocol/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define S 1000ULL

typedef int (*run_fn)(struct driver *driver, const struct driver_request *request,
	struct driver_info *info, struct driver_reply *ret);

static int run_probe(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)q;
	ret->info = info;
	return d->ops->probe(d, info, &ret->error);
}

static int run_create(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->create(d, q->guest, &ret->error);
}

/* The two calls that answer with the status of one guest. */
static int run_for_status(
	int (*fn)(struct driver *, const char *, struct driver_status *, struct err *),
	struct driver *d, const char *id, struct driver_reply *ret)
{
	AUTOFREE struct driver_status *status = calloc(1, sizeof(*status));
	int r;

	if (!status)
		return err_errno(&ret->error, ENOMEM, "no memory for a status");
	r = fn(d, id, status, &ret->error);
	if (r < 0)
		return r;
	ret->statuses = TAKE_PTR(status);
	ret->statuses_count = 1;
	return 0;
}

static int run_start(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return run_for_status(d->ops->start, d, q->id, ret);
}

static int run_stop(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->stop(d, q->id, q->timeout_ms, &ret->error);
}

static int run_kill(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->kill(d, q->id, &ret->error);
}

static int run_destroy(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->destroy(d, q->id, &ret->error);
}

static int run_status(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return run_for_status(d->ops->status, d, q->id, ret);
}

static int run_list(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	struct driver_status *statuses = NULL;
	int r;

	(void)q;
	(void)info;
	r = d->ops->list(d, &statuses, &ret->statuses_count, &ret->error);
	if (r == 0)
		ret->statuses = statuses;
	return r;
}

static int unsupported(const struct driver *d, enum driver_call call, struct driver_reply *ret)
{
	return err_set(&ret->error, ERR_UNSUPPORTED, NULL, "driver %s does not have %s",
		d->ops->name, driver_call_to_string(call));
}

static int run_update(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->update ? d->ops->update(d, q->guest, &ret->error)
			      : unsupported(d, q->call, ret);
}

static int run_freeze(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->freeze ? d->ops->freeze(d, q->id, q->frozen, &ret->error)
			      : unsupported(d, q->call, ret);
}

static int run_exec(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->exec ? d->ops->exec(d, q->id, q->exec, &ret->pid, &ret->error)
			    : unsupported(d, q->call, ret);
}

static int run_console(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->console ? d->ops->console(d, q->id, q->console, &ret->error)
			       : unsupported(d, q->call, ret);
}

static int run_file(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->file ? d->ops->file(d, q->id, q->file, &ret->file, &ret->error)
			    : unsupported(d, q->call, ret);
}

static int run_stats(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	struct driver_stats *stats = NULL;
	int r;

	(void)info;
	if (!d->ops->stats)
		return unsupported(d, q->call, ret);
	r = d->ops->stats(d, q->id, &stats, &ret->stats_count, &ret->error);
	if (r == 0)
		ret->stats = stats;
	return r;
}

static int run_disk(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->disk ? d->ops->disk(d, q->id, q->disk, &ret->disk, &ret->error)
			    : unsupported(d, q->call, ret);
}

static int run_save(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->save ? d->ops->save(d, q->id, &ret->error) : unsupported(d, q->call, ret);
}

static int run_image(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	struct driver_image *images = NULL;
	int r;

	(void)info;
	if (!d->ops->image)
		return unsupported(d, q->call, ret);
	r = d->ops->image(d, q->image, &images, &ret->images_count, &ret->error);
	if (r == 0)
		ret->images = images;
	return r;
}

static int run_layer(struct driver *d, const struct driver_request *q, struct driver_info *info,
	struct driver_reply *ret)
{
	(void)info;
	return d->ops->layer ? d->ops->layer(d, q->id, q->layer, &ret->layer, &ret->error)
			     : unsupported(d, q->call, ret);
}

static const struct {
	const char *name;
	run_fn run;
	uint64_t deadline_ms; /* as driver.h states */
	bool takes_id;
	bool changes;
} CALLS[] = {
	[DRIVER_CALL_PROBE] = {"probe", run_probe, 5 * S, false, false},
	[DRIVER_CALL_CREATE] = {"create", run_create, 10 * S, false, false},
	[DRIVER_CALL_START] = {"start", run_start, 30 * S, true, true},
	[DRIVER_CALL_STOP] = {"stop", run_stop, 10 * S, true, true}, /* beyond its timeout */
	[DRIVER_CALL_KILL] = {"kill", run_kill, 10 * S, true, true},
	[DRIVER_CALL_DESTROY] = {"destroy", run_destroy, 15 * S, true, true},
	[DRIVER_CALL_STATUS] = {"status", run_status, 1 * S, true, false},
	[DRIVER_CALL_LIST] = {"list", run_list, 5 * S, false, false},
	[DRIVER_CALL_UPDATE] = {"update", run_update, 15 * S, false, false},
	[DRIVER_CALL_FREEZE] = {"freeze", run_freeze, 10 * S, true, true},
	[DRIVER_CALL_EXEC] = {"exec", run_exec, 10 * S, true, false},
	[DRIVER_CALL_CONSOLE] = {"console", run_console, 10 * S, true, false},
	[DRIVER_CALL_FILE] = {"file", run_file, 0, true, false},
	[DRIVER_CALL_STATS] = {"stats", run_stats, 5 * S, false, false},
	[DRIVER_CALL_DISK] = {"disk", run_disk, 60 * S, true, false},
	[DRIVER_CALL_SAVE] = {"save", run_save, 300 * S, true, true},
	[DRIVER_CALL_IMAGE] = {"image", run_image, 0, false, false},
	[DRIVER_CALL_LAYER] = {"layer", run_layer, 300 * S, true, true},
};

const char *driver_call_to_string(enum driver_call call)
{
	return call < DRIVER_CALL_MAX_ ? CALLS[call].name : "unknown";
}

int driver_call_from_string(const char *text, enum driver_call *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(CALLS); i++)
		if (strcmp(CALLS[i].name, text) == 0) {
			*ret = (enum driver_call)i;
			return 0;
		}
	return -EINVAL;
}

bool driver_call_takes_id(enum driver_call call)
{
	return CALLS[call].takes_id;
}

const char *driver_request_guest(const struct driver_request *request)
{
	bool by_facts = request->call == DRIVER_CALL_CREATE || request->call == DRIVER_CALL_UPDATE;

	return by_facts ? request->guest->id : request->id;
}

size_t driver_request_fds(const struct driver_request *request, int ret[static DRIVER_CALL_FDS_MAX])
{
	size_t n = 0;

	if (request->call == DRIVER_CALL_EXEC) {
		ret[n++] = request->exec->stdin_fd;
		ret[n++] = request->exec->stdout_fd;
		ret[n++] = request->exec->stderr_fd;
		ret[n++] = request->exec->status_fd;
	}
	if (request->call == DRIVER_CALL_CONSOLE)
		ret[n++] = request->console->fd;
	if (request->call == DRIVER_CALL_FILE && request->file->fd >= 0)
		ret[n++] = request->file->fd;
	if (request->call == DRIVER_CALL_FILE && request->file->op == DRIVER_FILE_WRITE &&
		request->file->whole_fd > 0)
		ret[n++] = request->file->whole_fd;
	if (request->call == DRIVER_CALL_IMAGE) {
		const int all[] = {
			request->image->fd, request->image->whole_fd, request->image->progress_fd};

		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			if (all[i] >= 0)
				ret[n++] = all[i];
	}
	return n;
}

bool driver_call_changes(enum driver_call call)
{
	return CALLS[call].changes;
}

uint64_t driver_call_deadline_ms(const struct driver_request *request)
{
	uint64_t own = CALLS[request->call].deadline_ms;

	if (request->deadline_ms)
		return request->deadline_ms;
	return request->call == DRIVER_CALL_STOP ? own + request->timeout_ms : own;
}

void driver_call_run(struct driver *driver, const struct driver_request *request,
	struct driver_info *info, struct driver_reply *ret)
{
	*ret = (struct driver_reply){0};
	ret->result = CALLS[request->call].run(driver, request, info, ret);
}

void driver_reply_finish(struct driver_reply *reply)
{
	free((void *)reply->statuses);
	free((void *)reply->stats);
	free((void *)reply->images);
	reply->statuses = NULL;
	reply->stats = NULL;
	reply->images = NULL;
}
