/* Messages from a driver to the agent: replies and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "drivers/protocol/message.h"
#include "drivers/protocol/value.h"

/* Puts the next items of a list into the reply; true when there are more. */
static bool add_statuses(json_t *json, const struct driver_reply *reply, size_t *next)
{
	json_t *array = json_array();
	size_t end = *next + MESSAGE_STATUSES_MAX;

	for (; *next < end && *next < reply->statuses_count; (*next)++)
		json_array_append_new(array, value_from_status(&reply->statuses[*next]));
	json_object_set_new(json, "statuses", array);
	return *next < reply->statuses_count;
}

static bool add_stats(json_t *json, const struct driver_reply *reply, size_t *next)
{
	json_t *array = json_array();
	size_t end = *next + MESSAGE_STATS_MAX;

	for (; *next < end && *next < reply->stats_count; (*next)++)
		json_array_append_new(array, value_from_stats(&reply->stats[*next]));
	json_object_set_new(json, "stats", array);
	return *next < reply->stats_count;
}

static bool add_images(json_t *json, const struct driver_reply *reply, size_t *next)
{
	json_t *array = json_array();
	size_t end = *next + MESSAGE_IMAGES_MAX;

	for (; *next < end && *next < reply->images_count; (*next)++)
		json_array_append_new(array, value_from_image(&reply->images[*next]));
	json_object_set_new(json, "images", array);
	return *next < reply->images_count;
}

static void add_single(json_t *json, enum driver_call call, const struct driver_reply *reply)
{
	if (call == DRIVER_CALL_PROBE)
		json_object_set_new(json, "info", value_from_info(reply->info));
	if (call == DRIVER_CALL_EXEC)
		json_object_set_new(json, "pid", json_integer(reply->pid));
	if (call == DRIVER_CALL_FILE && reply->file.type[0])
		json_object_set_new(json, "file", value_from_file_info(&reply->file));
	if (call == DRIVER_CALL_DISK)
		json_object_set_new(json, "disk", value_from_disk_result(&reply->disk));
	if (call == DRIVER_CALL_LAYER)
		json_object_set_new(json, "layer", value_from_layer_result(&reply->layer));
}

char *message_encode_reply(uint64_t serial, enum driver_call call, const struct driver_reply *reply,
	size_t *next, bool *ret_more)
{
	json_t *json = json_pack("{s:I}", "serial", (json_int_t)serial);

	*ret_more = false;
	if (!json)
		return NULL;
	if (reply->result < 0) {
		json_object_set_new(json, "error", value_from_error(&reply->error));
		return value_print(json);
	}
	add_single(json, call, reply);
	if (reply->statuses)
		*ret_more = add_statuses(json, reply, next);
	if (reply->stats)
		*ret_more = add_stats(json, reply, next);
	if (reply->images)
		*ret_more = add_images(json, reply, next);
	if (*ret_more)
		json_object_set_new(json, "more", json_true());
	return value_print(json);
}

char *message_encode_event(const struct driver_status *status)
{
	return value_print(json_pack("{s:o}", "event", value_from_status(status)));
}

/* Allocates room for the items of a list that a reply may have. */
static int make_room(const json_t *json, const char *key, size_t size, void **ret_items,
	size_t *ret_count, struct err *err)
{
	const json_t *array = json_object_get(json, key);

	if (array && !json_is_array(array))
		return err_set(err, ERR_MALFORMED, key, "%s must be an array", key);
	*ret_items = calloc(json_array_size(array) + 1, size);
	if (!*ret_items)
		return err_errno(err, ENOMEM, "no memory for a list");
	*ret_count = json_array_size(array);
	return 0;
}

static int decode_statuses(const json_t *json, struct message_answer *a, struct err *err)
{
	const json_t *array = json_object_get(json, "statuses");
	int r = make_room(json, "statuses", sizeof(*a->statuses), (void **)&a->statuses,
		&a->statuses_count, err);

	for (size_t i = 0; r == 0 && i < a->statuses_count; i++)
		r = value_to_status(json_array_get(array, i), &a->statuses[i], err);
	return r;
}

static int decode_stats(const json_t *json, struct message_answer *a, struct err *err)
{
	const json_t *array = json_object_get(json, "stats");
	int r = make_room(
		json, "stats", sizeof(*a->stats), (void **)&a->stats, &a->stats_count, err);

	for (size_t i = 0; r == 0 && i < a->stats_count; i++)
		r = value_to_stats(json_array_get(array, i), &a->stats[i], err);
	return r;
}

static int decode_images(const json_t *json, struct message_answer *a, struct err *err)
{
	const json_t *array = json_object_get(json, "images");
	int r = make_room(
		json, "images", sizeof(*a->images), (void **)&a->images, &a->images_count, err);

	for (size_t i = 0; r == 0 && i < a->images_count; i++)
		r = value_to_image(json_array_get(array, i), &a->images[i], err);
	return r;
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
	json_t *info = NULL, *file = NULL, *disk = NULL, *layer = NULL;
	int64_t pid = 0;
	int r;

	if ((r = value_bool(json, "more", &a->more, err)) < 0 ||
		(r = value_i64(json, "pid", 0, INT32_MAX, &pid, err)) < 0 ||
		(r = value_object(json, "info", &info, err)) < 0 ||
		(r = value_object(json, "file", &file, err)) < 0 ||
		(r = value_object(json, "disk", &disk, err)) < 0 ||
		(r = value_object(json, "layer", &layer, err)) < 0 ||
		(r = decode_statuses(json, a, err)) < 0 || (r = decode_stats(json, a, err)) < 0 ||
		(r = decode_images(json, a, err)) < 0)
		return r;
	a->reply.pid = (pid_t)pid;
	a->reply.statuses = a->statuses;
	a->reply.statuses_count = a->statuses_count;
	a->reply.stats = a->stats;
	a->reply.stats_count = a->stats_count;
	a->reply.images = a->images;
	a->reply.images_count = a->images_count;
	if (file && (r = value_to_file_info(file, &a->reply.file, err)) < 0)
		return r;
	if (disk && (r = value_to_disk_result(disk, &a->reply.disk, err)) < 0)
		return r;
	if (layer && (r = value_to_layer_result(layer, &a->reply.layer, err)) < 0)
		return r;
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
	free(answer->stats);
	free(answer->images);
	answer->images = NULL;
	answer->images_count = 0;
	answer->statuses = NULL;
	answer->statuses_count = 0;
	answer->stats = NULL;
	answer->stats_count = 0;
}
