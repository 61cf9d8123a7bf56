/* Operations. */
#include "model/operation.h"

#include "base/cleanup.h"
#include "base/names.h"
#include "base/parse.h"
#include <errno.h>

static const char *const STATES[] = {
	[OPERATION_QUEUED] = "queued",
	[OPERATION_RUNNING] = "running",
	[OPERATION_UNDOING] = "undoing",
	[OPERATION_DONE] = "done",
	[OPERATION_FAILED] = "failed",
	[OPERATION_CANCELLED] = "cancelled",
};

DEFINE_NAMES(operation_state, STATES)

bool operation_state_is_final(enum operation_state state)
{
	return state == OPERATION_DONE || state == OPERATION_FAILED || state == OPERATION_CANCELLED;
}

/* Steps that are behind us, as a part of all. */
static double progress(const struct operation *operation)
{
	if (operation->state == OPERATION_DONE)
		return 1;
	if (operation->steps_count == 0)
		return 0;
	if (operation->step_index >= operation->steps_count)
		return 1;
	return (double)operation->step_index / operation->steps_count;
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t ms)
{
	return ms ? json_string(FMT_TIME(ms)) : json_null();
}

static json_t *error_to_json(const struct err *error)
{
	if (error->code == ERR_OK)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:o}", "code", err_code_to_string(error->code), "title",
		err_title(error->code), "detail", error->message, "field",
		text_or_null(error->field));
}

static json_t *transfer_to_json(const struct operation *operation)
{
	uint64_t total = operation->transfer.total;

	if (!*operation->transfer.what || operation_state_is_final(operation->state))
		return json_null();
	return json_pack("{s:I, s:o, s:s}", "done", (json_int_t)operation->transfer.done, "total",
		total ? json_integer((json_int_t)total) : json_null(), "what",
		operation->transfer.what);
}

json_t *operation_to_json(const struct operation *operation)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:I, s:I, s:f, s:I, s:o, s:o, s:o, s:b, "
			 "s:o, s:o}",
		"id", operation->id, "verb", operation->verb, "target", operation->target,
		"guest_id", text_or_null(operation->guest_id), "state",
		operation_state_to_string(operation->state), "step", text_or_null(operation->step),
		"step_index", (json_int_t)operation->step_index, "steps_count",
		(json_int_t)operation->steps_count, "progress", progress(operation), "uid",
		(json_int_t)operation->uid, "created", time_or_null(operation->created_ms),
		"started", time_or_null(operation->started_ms), "ended",
		time_or_null(operation->ended_ms), "cancel_requested", operation->cancel_requested,
		"error", error_to_json(&operation->error), "transfer", transfer_to_json(operation));
}
