/* How a change is answered: at its acceptance or its end, once for each key, or with a plan. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/engine/engine.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

#define WAIT_MAX_S 3600
#define KEY_MAX	   128
#define LOCATION   "/v1/operations/"

/* --- The operation as an answer -------------------------------------------------------------- */

static void add_location(struct http_request *request, const char *id)
{
	char location[sizeof(LOCATION) + OPERATION_ID_LEN];

	snprintf(location, sizeof(location), LOCATION "%s", id);
	http_add_header(request, "Location", location);
}

static void answer(struct http_request *request, struct agent *agent, const struct operation *info,
	const json_t *args, bool as_change)
{
	bool ended = operation_state_is_final(info->state);

	if (as_change)
		add_location(request, info->id);
	if (as_change && ended && info->state != OPERATION_DONE)
		http_respond_error(request, &info->error, info->id);
	else
		http_respond_json(request, as_change && !ended ? 202 : 200,
			operation_with_result(agent, info, args));
}

/* --- Waiting --------------------------------------------------------------------------------- */

struct waiting {
	struct http_request *request;
	struct agent *agent;
	struct op *op;
	struct op_waiter *waiter;
	sd_event_source *timer;
	bool as_change;
};

static void waiting_release(void *data)
{
	struct waiting *waiting = data;

	if (waiting->waiter)
		op_wait_cancel(waiting->waiter);
	sd_event_source_disable_unref(waiting->timer);
	free(waiting);
}

/* Answering releases the waiting. */
static void moment_came(void *data, const struct op *op, const struct err *rejected)
{
	struct waiting *waiting = data;

	waiting->waiter = NULL;
	if (rejected) {
		/* It was noted as accepted: its refusal is news. */
		http_set_note(waiting->request, "");
		http_respond_error(waiting->request, rejected, NULL);
	} else {
		answer(waiting->request, waiting->agent, &op->info, op->args, waiting->as_change);
	}
}

static int time_over(sd_event_source *source, uint64_t usec, void *data)
{
	struct waiting *waiting = data;

	(void)source;
	(void)usec;
	answer(waiting->request, waiting->agent, &waiting->op->info, waiting->op->args,
		waiting->as_change);
	return 0;
}

static int wait_for(struct http_request *request, struct agent *agent, struct op *op,
	enum op_moment moment, uint64_t wait_s, bool as_change)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){
		.request = request, .agent = agent, .op = op, .as_change = as_change};
	waiting->waiter = op_wait(op, moment, moment_came, waiting);
	if (!waiting->waiter ||
		(wait_s && sd_event_add_time_relative(agent->loop, &waiting->timer, CLOCK_MONOTONIC,
				   wait_s * 1000000, 0, time_over, waiting) < 0)) {
		waiting_release(waiting);
		return -ENOMEM;
	}
	http_set_data(request, waiting, waiting_release);
	return 0;
}

static void out_of_memory(struct http_request *request)
{
	struct err err;

	err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
	http_respond_error(request, &err, NULL);
}

void answer_when_ended(struct http_request *request, struct agent *agent, struct op *op,
	uint64_t wait_s, bool as_change)
{
	if (wait_s == 0)
		answer(request, agent, &op->info, op->args, as_change);
	else if (wait_for(request, agent, op, OP_ENDED, wait_s, as_change) < 0)
		out_of_memory(request);
}

/* --- The beginning --------------------------------------------------------------------------- */

int query_bool(const struct http_request *request, const char *name, bool otherwise, bool *ret,
	struct err *err)
{
	const char *text = http_query(request, name);

	if (!text)
		*ret = otherwise;
	else if (strcmp(text, "true") == 0)
		*ret = true;
	else if (strcmp(text, "false") == 0)
		*ret = false;
	else
		return err_set(err, ERR_INVALID, name, "%s must be true or false", name);
	return 0;
}

int query_number(const struct http_request *request, const char *name, uint64_t min, uint64_t max,
	uint64_t otherwise, uint64_t *ret, struct err *err)
{
	const char *text = http_query(request, name);

	if (!text) {
		*ret = otherwise;
		return 0;
	}
	if (parse_u64(text, max, ret) < 0 || *ret < min)
		return err_set(err, ERR_INVALID, name,
			"%s must be a whole number from %llu to %llu", name,
			(unsigned long long)min, (unsigned long long)max);
	return 0;
}

static int check_key(const char *key, struct err *err)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < n; i++)
		if (key[i] < '!' || key[i] > '~')
			n = 0;
	if (n == 0 || n > KEY_MAX)
		return err_set(err, ERR_INVALID, "Idempotency-Key",
			"Idempotency-Key must be 1 to %d printable ASCII characters", KEY_MAX);
	return 0;
}

static int read_common(struct change *change, struct err *err)
{
	int r = query_bool(change->request, "dry_run", false, &change->dry_run, err);

	if (r == 0)
		r = query_number(change->request, "wait", 0, WAIT_MAX_S, 0, &change->wait_s, err);
	if (r == 0 && change->key)
		r = check_key(change->key, err);
	return r;
}

static int compare_hash(const struct change *change, const char *hash, struct err *err)
{
	if (strcmp(hash, change->hash) == 0)
		return 0;
	return err_set(err, ERR_KEY_REUSED, "Idempotency-Key",
		"this key was used before with another request: make a new key for each change");
}

/* The operation that this key began, under way or ended. -ENOENT: none. */
static int answer_known(const struct change *change, struct err *err)
{
	struct op *op = engine_find_request(change->agent->engine, change->key);
	char id[OPERATION_ID_LEN + 1], hash[65];
	json_auto_t *args = NULL;
	struct operation info;
	int r;

	if (op) {
		r = compare_hash(change, op->request_hash, err);
		if (r < 0)
			return r;
		if (op_is_accepted(op))
			answer_when_ended(change->request, change->agent, op, change->wait_s, true);
		else if (wait_for(change->request, change->agent, op,
				 change->wait_s ? OP_ENDED : OP_ACCEPTED, change->wait_s, true) < 0)
			out_of_memory(change->request);
		return 0;
	}
	r = db_find_request(change->agent->db, change->key, id, hash, err);
	if (r == 0)
		r = compare_hash(change, hash, err);
	/* One that was taken up after a restart is known by its id only. */
	op = r == 0 ? engine_find(change->agent->engine, id) : NULL;
	if (op) {
		answer_when_ended(change->request, change->agent, op, change->wait_s, true);
		return 0;
	}
	if (r == 0)
		r = db_get_operation(change->agent->db, id, &info, &args, err);
	if (r == 0)
		answer(change->request, change->agent, &info, args, true);
	return r;
}

bool change_begin(struct change *change, struct http_request *request, struct agent *agent)
{
	struct err err;
	int r;

	*change = (struct change){
		.request = request, .agent = agent, .key = http_header(request, "Idempotency-Key")};
	r = read_common(change, &err);
	if (r == 0 && (!change->key || change->dry_run))
		return true;
	if (r == 0) {
		http_request_hash(request, change->hash);
		r = answer_known(change, &err);
		if (r < 0 && err.code == ERR_NOT_FOUND)
			return true;
	}
	if (r < 0)
		http_respond_error(request, &err, NULL);
	return false;
}

/* --- The end --------------------------------------------------------------------------------- */

static json_t *plan_to_json(bool changed, const char *verb, const char *target)
{
	return json_pack("{s:b, s:b, s:s, s:s}", "dry_run", 1, "changed", changed, "verb", verb,
		"target", target);
}

static void answer_plan(const struct change *change, const struct op *op, json_t *patch)
{
	json_t *json = plan_to_json(true, op->verb->name, op->info.target);
	json_t *steps = json_array();

	for (size_t i = 0; i < op->verb->steps_count; i++)
		json_array_append_new(steps, json_string(op->verb->steps[i].name));
	json_object_set_new(json, "steps", steps);
	if (patch)
		json_object_set(json, "patch", patch);
	http_respond_json(change->request, 200, json);
}

static int remember_request(const struct change *change, struct op *op)
{
	op->info.uid = http_peer_uid(change->request);
	if (!change->key)
		return 0;
	op->request_key = strdup(change->key);
	op->request_hash = strdup(change->hash);
	return op->request_key && op->request_hash ? 0 : -ENOMEM;
}

void change_submit(const struct change *change, int r, const struct err *err, struct op_plan *plan,
	json_t *patch)
{
	bool end = change->wait_s > 0 || change->to_the_end;
	enum op_moment moment = end ? OP_ENDED : OP_ACCEPTED;
	uint64_t wait_s = change->to_the_end ? 0 : change->wait_s;
	struct err denied;

	if (r < 0) {
		http_respond_error(change->request, err, NULL);
	} else if (check_verb_role(change->request, change->agent, plan->op->verb->name, &denied) <
		   0) {
		op_plan_drop(plan);
		http_respond_error(change->request, &denied, NULL);
	} else if (change->dry_run) {
		answer_plan(change, plan->op, patch);
		op_plan_drop(plan);
	} else if (remember_request(change, plan->op) < 0 ||
		   wait_for(change->request, change->agent, plan->op, moment, wait_s, true) < 0) {
		op_plan_drop(plan);
		out_of_memory(change->request);
	} else {
		audit_change(change->agent, change->request, plan->op);
		engine_submit(change->agent->engine, plan->op, plan->txn);
	}
	json_decref(patch);
}

void change_nothing(
	const struct change *change, const char *verb, const char *target, json_t *result)
{
	json_t *json;

	if (change->dry_run) {
		json_decref(result);
		json = plan_to_json(false, verb, target);
	} else {
		json = json_pack("{s:b, s:o*}", "changed", 0, "result", result);
	}
	http_respond_json(change->request, 200, json);
}

/* --- All of it ------------------------------------------------------------------------------- */

static void carry_out(struct change *change, struct guest_entry *entry, change_plan plan)
{
	struct op_plan made = {0};
	struct err err;
	int r = plan(change, entry, &made, &err);

	if (r != CHANGE_ANSWERED)
		change_submit(change, r, &err, &made, NULL);
}

void change_handle_guest(struct http_request *request, struct agent *agent, change_plan plan)
{
	struct guest_entry *entry;
	struct change change;

	if (change_begin(&change, request, agent) && (entry = requested_guest(request, agent)))
		carry_out(&change, entry, plan);
}

void change_handle(struct http_request *request, struct agent *agent, change_plan plan)
{
	struct change change;

	if (change_begin(&change, request, agent))
		carry_out(&change, NULL, plan);
}
