/* Handlers of a guest's storage. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/core/worker.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/reader.h"
#include "storage/storage.h"

#define LAYER_MS 5000 /* how long a driver is waited for */

#define RESIZE_STEP (UINT64_C(5) << 30) /* 5 GiB: the platform's step of enlarge and trim */

/* --- What is used ---------------------------------------------------------------------------- */

struct usage {
	struct http_request *request;
	struct storage *storage;
	struct guest *guest; /* owned, a copy */
	struct volume_usage usage;
	uint64_t least;
	char reason[200];	      /* why a disk cannot be made smaller */
	struct driver_client *driver; /* of a container, whose layer is its business */
	struct driver_layer_result layer;
	bool has_layer; /* it told */
	int r;
	struct err err;
};

static void usage_free(struct usage *usage)
{
	if (usage)
		guest_free(usage->guest);
	free(usage);
}

static void usage_freep(struct usage **usage)
{
	usage_free(*usage);
}

static struct usage *usage_create(
	struct http_request *request, const struct agent *agent, const struct guest *guest)
{
	CLEANUP(usage_freep) struct usage *usage = calloc(1, sizeof(*usage));

	if (!usage || !agent->storage)
		return NULL;
	usage->request = request;
	usage->storage = agent->storage;
	usage->guest = guest_copy(guest);
	return usage->guest ? TAKE_PTR(usage) : NULL;
}

static void usage_work(void *data)
{
	struct usage *usage = data;
	const char *id = usage->guest->id;

	usage->r = volume_usage(usage->storage, id, true, &usage->usage, &usage->err);
	if (usage->r < 0)
		return;
	if (!usage->guest->disk)
		usage->least = volume_least(&usage->usage);
	else
		usage->r = volume_disk_least(usage->storage, id, &usage->least, usage->reason,
			sizeof(usage->reason), &usage->err);
}

/* null: its driver does not answer. */
static json_t *layer_to_json(const struct usage *usage)
{
	const struct driver_layer_result *layer = &usage->layer;

	if (!usage->has_layer)
		return json_null();
	return json_pack("{s:b, s:o, s:I}", "bounded", layer->bounded, "size",
		layer->bounded ? json_integer((json_int_t)layer->size) : json_null(), "used",
		(json_int_t)layer->used);
}

static json_t *usage_to_json(const struct usage *usage)
{
	uint64_t size = usage->usage.size, used = usage->usage.used;
	/* What cannot be made smaller has its least size. */
	uint64_t least = usage->least ? usage->least : size;
	json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I}", "size", (json_int_t)size, "used",
		(json_int_t)used, "free", (json_int_t)(used < size ? size - used : 0), "least",
		(json_int_t)least, "trimmable", (json_int_t)(least < size ? size - least : 0));

	if (usage->least == 0 && *usage->reason)
		json_object_set_new(json, "reason", json_string(usage->reason));
	if (usage->guest->container)
		json_object_set_new(json, "layer", layer_to_json(usage));
	return json;
}

static void usage_answer(struct usage *owned)
{
	CLEANUP(usage_freep) struct usage *usage = owned;

	if (usage->r < 0)
		http_respond_error(usage->request, &usage->err, NULL);
	else
		http_respond_json(usage->request, 200, usage_to_json(usage));
}

static void layer_told(void *data, const struct driver_reply *reply)
{
	struct usage *usage = data;

	usage->has_layer = reply->result == 0;
	usage->layer = reply->layer;
	usage_answer(usage);
}

static void usage_done(void *data)
{
	struct usage *usage = data;
	const struct driver_layer_work work = {.op = DRIVER_LAYER_USAGE};
	const struct driver_request request = {.call = DRIVER_CALL_LAYER,
		.id = usage->guest->id,
		.layer = &work,
		.deadline_ms = LAYER_MS};

	if (usage->r < 0 || !usage->driver ||
		driver_client_call(usage->driver, &request, layer_told, usage, NULL) < 0)
		usage_answer(usage);
}

void api_storage_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry = requested_guest(request, agent);
	const struct agent_driver *driver;
	struct usage *usage;
	struct err err;

	if (!entry)
		return;
	usage = usage_create(request, agent, entry->guest);
	driver = agent_driver(agent, entry->guest->driver, NULL);
	if (usage && driver && entry->guest->container)
		usage->driver = driver->client;
	if (!usage || workers_submit(agent->workers, usage_work, usage_done, usage) < 0) {
		usage_free(usage);
		err_set(&err, ERR_UNAVAILABLE, NULL,
			"the storage pool cannot be read now, see the node's problems");
		http_respond_error(request, &err, NULL);
	}
}

/* --- Changes --------------------------------------------------------------------------------- */

static int read_size(const char *key, const json_t *value, uint64_t *ret, struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (json_is_integer(value) && number > 0 && (uint64_t)number <= GUEST_SIZE_MAX) {
		*ret = (uint64_t)number;
		return 0;
	}
	if (json_is_string(value) && parse_size(json_string_value(value), ret) == 0 && *ret > 0 &&
		*ret <= GUEST_SIZE_MAX)
		return 0;
	return err_set(err, ERR_INVALID, key,
		"%s must be a size above 0: bytes, or a string like \"5GiB\"", key);
}

static int read_size_field(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	return read_size(path, value, member, err);
}

struct resize {
	struct resize_request wanted;
	bool discard;
};

static const struct reader_field RESIZE[] = {
	{.name = "size", .read = read_size_field, .offset = offsetof(struct resize, wanted.amount)},
	{.name = "to", .read = read_size_field, .offset = offsetof(struct resize, wanted.to)},
	/* Behind here: of a trim. */
	{.name = "restart", .read = reader_bool, .offset = offsetof(struct resize, wanted.restart)},
	{.name = "discard", .read = reader_bool, .offset = offsetof(struct resize, discard)},
};

#define RESIZE_ENLARGE 2 /* fields of an enlarge */

/* {size} or {to}; neither is one step. */
static int read_resize(
	const json_t *body, enum guest_verb verb, struct resize *ret, struct err *err)
{
	size_t count = verb == VERB_TRIM ? ARRAY_SIZE(RESIZE) : RESIZE_ENLARGE;
	struct resize_request *wanted = &ret->wanted;
	int r = body ? reader_object(body, "", RESIZE, count, ret, err) : 0;

	if (r < 0)
		return r;
	if (wanted->amount && wanted->to)
		return err_set(err, ERR_INVALID, "to", "give either size or to, not both");
	if (ret->discard && (wanted->amount || wanted->to || wanted->restart))
		return err_set(err, ERR_INVALID, "discard",
			"discard only returns what is not used, the size stays: give it alone "
			"(a trim to a size begins with it)");
	if (!wanted->amount && !wanted->to)
		wanted->amount = RESIZE_STEP;
	return 0;
}

/* --- A dry run of a trim looks at what is used -------------------------------------------------
 */

struct trial {
	struct usage *usage;
	struct change change;
	struct op_plan plan;
	uint64_t target;
	bool restart;
};

static void try_disk(struct trial *trial)
{
	const struct trim_trial trim = {.storage = trial->usage->storage,
		.guest = trial->usage->guest,
		.to = trial->target,
		.restart = trial->restart};

	trial->usage->r = trim_try(&trim, &trial->usage->err);
}

static void try_tree(struct trial *trial)
{
	struct usage *usage = trial->usage;

	usage_work(usage);
	if (usage->r == 0 && usage->least > trial->target)
		usage->r = err_set(&usage->err, ERR_INVALID, "storage.size",
			"%s are in use: the least possible size is %llu bytes (%s)",
			FMT_SIZE(usage->usage.used), (unsigned long long)usage->least,
			FMT_SIZE(usage->least));
}

static void trial_work(void *data)
{
	struct trial *trial = data;

	if (trial->usage->guest->disk)
		try_disk(trial);
	else
		try_tree(trial);
}

static void trial_done(void *data)
{
	AUTOFREE struct trial *trial = data;
	CLEANUP(usage_freep) struct usage *usage = trial->usage;

	if (usage->r < 0)
		op_plan_drop(&trial->plan);
	change_submit(&trial->change, usage->r, &usage->err, &trial->plan, NULL);
}

static void try_trim(const struct change *change, const struct guest *guest, struct op_plan *plan,
	const struct resize_request *wanted)
{
	struct agent *agent = change->agent;
	struct trial *trial = calloc(1, sizeof(*trial));
	struct err err;
	int r = -ENOMEM;

	if (trial) {
		*trial = (struct trial){.change = *change,
			.plan = *plan,
			.target = wanted->to ? wanted->to : guest->storage_size - wanted->amount,
			.restart = wanted->restart,
			.usage = usage_create(change->request, agent, guest)};
		if (trial->usage)
			r = workers_submit(agent->workers, trial_work, trial_done, trial);
	}
	if (r < 0) {
		if (trial)
			usage_free(trial->usage);
		free(trial);
		op_plan_drop(plan);
		r = err_set(&err, ERR_UNAVAILABLE, NULL,
			"the storage pool cannot be read now, see the node's problems");
		change_submit(change, r, &err, plan, NULL);
	}
}

static void resize(struct http_request *request, struct agent *agent, enum guest_verb verb)
{
	struct resize resize = {0};
	struct guest_entry *entry;
	struct op_plan plan = {0};
	struct change change;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	r = read_resize(http_body(request), verb, &resize, &err);
	if (r == 0 && resize.discard)
		r = plan_guest_discard(agent, &plan, entry, &err);
	else if (r == 0)
		r = plan_guest_resize(agent, &plan, verb, entry, &resize.wanted, &err);
	if (r == 0 && change.dry_run && verb == VERB_TRIM && !resize.discard)
		try_trim(&change, entry->guest, &plan, &resize.wanted);
	else
		change_submit(&change, r, &err, &plan, NULL);
}

void api_storage_enlarge(struct http_request *request, void *data)
{
	resize(request, data, VERB_ENLARGE);
}

void api_storage_trim(struct http_request *request, void *data)
{
	resize(request, data, VERB_TRIM);
}
