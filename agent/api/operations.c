/* Handlers of operations and of the stream of events. */
#include <errno.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/engine/engine.h"
#include "agent/node/events.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/name.h"

#define LIST_MAX 1000
#define WAIT_MAX 3600

struct listing {
	struct agent *agent;
	json_t *list;
	const char *last;
};

static int list_one(void *data, const struct operation *info)
{
	struct listing *listing = data;
	struct op *live = engine_find(listing->agent->engine, info->id);

	/* One that runs is ahead of its row. */
	json_array_append_new(listing->list, operation_to_json(live ? &live->info : info));
	return 0;
}

void api_operation_list(struct http_request *request, void *data)
{
	struct agent *agent = data;
	const char *before = http_query(request, "before");
	struct listing listing = {.agent = agent, .list = json_array()};
	uint64_t limit;
	json_t *json, *last;
	struct err err;
	int r = query_number(request, "limit", 1, LIST_MAX, LIST_MAX, &limit, &err);

	if (r == 0 && before)
		r = name_check_id(before, OPERATION_ID_LEN, "before", &err);
	if (r == 0)
		r = db_list_operations(agent->db, before, http_query(request, "target"),
			(unsigned)limit, list_one, &listing, &err);
	if (r < 0) {
		json_decref(listing.list);
		http_respond_error(request, &err, NULL);
		return;
	}
	json = json_pack("{s:O}", "operations", listing.list);
	last = json_array_get(listing.list, limit - 1);
	if (last)
		json_object_set(json, "next", json_object_get(last, "id"));
	json_decref(listing.list);
	http_respond_json(request, 200, json);
}

/* The operation of path parameter 0: a live one (*ret_live), or an ended one in *ret, with its args
 * (may be NULL). */
static int find_operation(const struct http_request *request, struct agent *agent,
	struct op **ret_live, struct operation *ret, json_t **ret_args, struct err *err)
{
	const char *id = http_param(request, 0);

	*ret_live = engine_find(agent->engine, id);
	if (*ret_live && op_is_accepted(*ret_live))
		return 0;
	*ret_live = NULL;
	if (name_check_id(id, OPERATION_ID_LEN, "id", err) < 0 ||
		db_get_operation(agent->db, id, ret, ret_args, err) < 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no operation %.40s", id);
	return 0;
}

void api_operation_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	json_auto_t *args = NULL;
	struct operation info;
	uint64_t wait_s = 0;
	struct op *live = NULL;
	struct err err;
	int r = query_number(request, "wait", 0, WAIT_MAX, 0, &wait_s, &err);

	if (r == 0)
		r = find_operation(request, agent, &live, &info, &args, &err);
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else if (live)
		answer_when_ended(request, agent, live, wait_s, false);
	else
		http_respond_json(request, 200, operation_with_result(agent, &info, args));
}

void api_operation_cancel(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct operation info;
	struct op *live;
	struct err err;
	int r = find_operation(request, agent, &live, &info, NULL, &err);

	if (r == 0 && (!live || operation_state_is_final(live->info.state)))
		r = err_set(&err, ERR_ILLEGAL_STATE, NULL, "operation %s has ended already (%s)",
			http_param(request, 0),
			operation_state_to_string(live ? live->info.state : info.state));
	if (r == 0)
		r = engine_cancel(live, &err);
	if (r < 0)
		http_respond_error(request, &err, http_param(request, 0));
	else
		http_respond_json(request, 202, operation_to_json(&live->info));
}

void api_events(struct http_request *request, void *data)
{
	struct agent *agent = data;
	const char *last = http_header(request, "Last-Event-ID");
	uint64_t after = events_newest(agent->events);
	bool follow = true;
	struct err err;
	int r = query_bool(request, "follow", true, &follow, &err);

	if (r == 0)
		r = query_number(request, "after", 0, INT64_MAX, after, &after, &err);
	if (r == 0 && last && parse_u64(last, INT64_MAX, &after) < 0)
		r = err_set(&err, ERR_INVALID, "Last-Event-ID",
			"Last-Event-ID must be the number of an event");
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else
		events_stream(agent->events, request, after, follow);
}
