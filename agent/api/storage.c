/* Handlers of a guest's storage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/core/worker.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/storage.h"

#define RESIZE_STEP (UINT64_C(5) << 30) /* 5 GiB: the platform's step of enlarge and trim */

struct usage {
	struct http_request *request;
	struct storage *storage;
	char id[GUEST_ID_LEN + 1];
	struct volume_usage usage;
	int r;
	struct err err;
};

static void usage_work(void *data)
{
	struct usage *usage = data;

	usage->r = volume_usage(usage->storage, usage->id, true, &usage->usage, &usage->err);
}

static void usage_done(void *data)
{
	AUTOFREE struct usage *usage = data;
	uint64_t size = usage->usage.size, used = usage->usage.used;
	uint64_t least = volume_least(&usage->usage);

	if (usage->r < 0) {
		http_respond_error(usage->request, &usage->err, NULL);
		return;
	}
	http_respond_json(usage->request, 200,
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "size", (json_int_t)size, "used",
			(json_int_t)used, "free", (json_int_t)(used < size ? size - used : 0),
			"least", (json_int_t)least, "trimmable",
			(json_int_t)(least < size ? size - least : 0)));
}

void api_storage_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry = requested_guest(request, agent);
	struct usage *usage;
	struct err err;

	if (!entry)
		return;
	usage = agent->storage ? calloc(1, sizeof(*usage)) : NULL;
	if (usage) {
		usage->request = request;
		usage->storage = agent->storage;
		memcpy(usage->id, entry->guest->id, sizeof(usage->id));
	}
	if (!usage || workers_submit(agent->workers, usage_work, usage_done, usage) < 0) {
		free(usage);
		err_set(&err, ERR_UNAVAILABLE, NULL,
			"the storage pool cannot be read now, see the node's problems");
		http_respond_error(request, &err, NULL);
	}
}

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

/* {size} or {to}; neither is one step. */
static int read_resize(const json_t *body, uint64_t *ret_amount, uint64_t *ret_to, struct err *err)
{
	const json_t *value;
	const char *key;
	int r = 0;

	*ret_amount = *ret_to = 0;
	json_object_foreach ((json_t *)body, key, value) {
		bool size = strcmp(key, "size") == 0;

		if (!size && strcmp(key, "to") != 0)
			return err_set(err, ERR_INVALID, key, "unknown field %.60s", key);
		if (!json_is_null(value))
			r = read_size(size ? "size" : "to", value, size ? ret_amount : ret_to, err);
		if (r < 0)
			return r;
	}
	if (*ret_amount && *ret_to)
		return err_set(err, ERR_INVALID, "to", "give either size or to, not both");
	if (!*ret_amount && !*ret_to)
		*ret_amount = RESIZE_STEP;
	return 0;
}

/* --- A dry run of a trim looks at what is used -------------------------------------------------
 */

struct trial {
	struct usage usage;
	struct change change;
	struct op_plan plan;
	uint64_t target;
};

static void trial_work(void *data)
{
	struct trial *trial = data;

	usage_work(&trial->usage);
}

static void trial_done(void *data)
{
	AUTOFREE struct trial *trial = data;
	uint64_t least = volume_least(&trial->usage.usage);
	struct err err = trial->usage.err;
	int r = trial->usage.r;

	if (r == 0 && least > trial->target)
		r = err_set(&err, ERR_INVALID, "storage.size",
			"%s are in use: the least possible size is %llu bytes (%s)",
			FMT_SIZE(trial->usage.usage.used), (unsigned long long)least,
			FMT_SIZE(least));
	if (r < 0)
		op_plan_drop(&trial->plan);
	change_submit(&trial->change, r, &err, &trial->plan, NULL);
}

static void try_trim(const struct change *change, const struct guest *guest, struct op_plan *plan,
	uint64_t target)
{
	struct agent *agent = change->agent;
	struct trial *trial = agent->storage ? calloc(1, sizeof(*trial)) : NULL;
	struct err err;
	int r = -ENOMEM;

	if (trial) {
		*trial = (struct trial){.change = *change, .plan = *plan, .target = target};
		trial->usage.storage = agent->storage;
		memcpy(trial->usage.id, guest->id, sizeof(trial->usage.id));
		r = workers_submit(agent->workers, trial_work, trial_done, trial);
	}
	if (r < 0) {
		free(trial);
		op_plan_drop(plan);
		r = err_set(&err, ERR_UNAVAILABLE, NULL,
			"the storage pool cannot be read now, see the node's problems");
		change_submit(change, r, &err, plan, NULL);
	}
}

static void resize(struct http_request *request, struct agent *agent, enum guest_verb verb)
{
	struct guest_entry *entry;
	struct op_plan plan = {0};
	struct change change;
	uint64_t amount, to;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	r = read_resize(http_body(request), &amount, &to, &err);
	if (r == 0)
		r = plan_guest_resize(agent, &plan, verb, entry, amount, to, &err);
	if (r == 0 && change.dry_run && verb == VERB_TRIM)
		try_trim(&change, entry->guest, &plan,
			to ? to : entry->guest->storage_size - amount);
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
