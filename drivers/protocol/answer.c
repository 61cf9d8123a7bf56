/* Messages from a driver to the agent: replies and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "drivers/protocol/message.h"
#include "drivers/protocol/value.h"

static json_t *from_statuses(const struct driver_reply *reply, size_t first, size_t count)
{
	json_t *array = json_array();

	for (size_t i = first; i < first + count; i++)
		json_array_append_new(array, value_from_status(&reply->statuses[i]));
	return array;
}

char *message_encode_reply(uint64_t serial, enum driver_call call, const struct driver_reply *reply,
	size_t first, size_t count)
{
	json_t *json = json_pack("{s:I}", "serial", (json_int_t)serial);

	if (!json)
		return NULL;
	if (reply->result < 0) {
		json_object_set_new(json, "error", value_from_error(&reply->error));
		return value_print(json);
	}
	if (first + count < reply->statuses_count)
		json_object_set_new(json, "more", json_true());
	if (call == DRIVER_CALL_PROBE)
		json_object_set_new(json, "info", value_from_info(reply->info));
	if (call == DRIVER_CALL_EXEC)
		json_object_set_new(json, "exec_status", json_integer(reply->exec_status));
	if (reply->statuses)
		json_object_set_new(json, "statuses", from_statuses(reply, first, count));
	return value_print(json);
}

char *message_encode_event(const struct driver_status *status)
{
	return value_print(json_pack("{s:o}", "event", value_from_status(status)));
}

static int decode_statuses(const json_t *array, struct message_answer *a, struct err *err)
{
	const json_t *item;
	size_t i;

	if (!array)
		return 0;
	if (!json_is_array(array))
		return err_set(err, ERR_MALFORMED, "statuses", "statuses must be an array");
	a->statuses = calloc(json_array_size(array) + 1, sizeof(*a->statuses));
	if (!a->statuses)
		return err_errno(err, ENOMEM, "no memory for a list of guests");
	json_array_foreach (array, i, item) {
		int r = value_to_status(item, &a->statuses[i], err);

		if (r < 0)
			return r;
	}
	a->statuses_count = json_array_size(array);
	return 0;
}

static int decode_event(const json_t *event, struct message_answer *a, struct err *err)
{
	a->kind = MESSAGE_EVENT;
	a->statuses = calloc(1, sizeof(*a->statuses));
	if (!a->statuses)
		return err_errno(err, ENOMEM, "no memory for an event");
	a->statuses_count = 1;
	return value_to_status(event, a->statuses, err);
}

static int decode_result(const json_t *json, struct message_answer *a, struct err *err)
{
	json_t *info = NULL;
	uint64_t status = 0;
	int r;

	if ((r = value_bool(json, "more", &a->more, err)) < 0 ||
		(r = value_u64(json, "exec_status", 0xffff, &status, err)) < 0 ||
		(r = value_object(json, "info", &info, err)) < 0 ||
		(r = decode_statuses(json_object_get(json, "statuses"), a, err)) < 0)
		return r;
	a->reply.exec_status = (int)status;
	a->reply.statuses = a->statuses;
	a->reply.statuses_count = a->statuses_count;
	if (!info)
		return 0;
	a->reply.info = &a->info;
	return value_to_info(info, &a->info, err);
}

static int decode_reply(const json_t *json, struct message_answer *a, struct err *err)
{
	json_t *error = NULL;
	int r;

	if (!json_object_get(json, "serial"))
		return err_set(err, ERR_MALFORMED, "serial", "neither a reply nor an event");
	if ((r = value_u64(json, "serial", INT64_MAX, &a->serial, err)) < 0 ||
		(r = value_object(json, "error", &error, err)) < 0)
		return r;
	if (!error)
		return decode_result(json, a, err);
	r = value_to_error(error, &a->reply.error, err);
	a->reply.result = err_errnum(a->reply.error.code);
	return r;
}

int message_decode_answer(const char *text, struct message_answer *ret, struct err *err)
{
	json_t *json = NULL, *event = NULL;
	int r;

	*ret = (struct message_answer){0};
	r = value_parse(text, &json, err);
	if (r < 0)
		return r;
	r = value_object(json, "event", &event, err);
	if (r == 0)
		r = event ? decode_event(event, ret, err) : decode_reply(json, ret, err);
	json_decref(json);
	if (r < 0)
		message_answer_finish(ret);
	return r;
}

void message_answer_finish(struct message_answer *answer)
{
	free(answer->statuses);
	answer->statuses = NULL;
	answer->statuses_count = 0;
}
