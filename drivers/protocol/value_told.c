/* What drivers tell (statuses, statistics, themselves, errors) to JSON and back. */
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/protocol/value.h"

#define PID_MAX_LIMIT	(4 * 1024 * 1024) /* proc(5), pid_max on 64-bit systems */
#define WAIT_STATUS_MAX 0xffff

/* --- Status ---------------------------------------------------------------------------------- */

json_t *value_from_status(const struct driver_status *s)
{
	json_t *json = json_pack("{ss ss sI}", "id", s->id, "state",
		guest_state_to_string(s->state), "pid", (json_int_t)s->pid);

	if (json && s->exit_status >= 0)
		json_object_set_new(json, "exit_status", json_integer(s->exit_status));
	return json;
}

int value_to_status(const json_t *json, struct driver_status *ret, struct err *err)
{
	struct driver_status s = {0};
	const char *id = NULL, *state = NULL;
	int64_t pid = 0, exit_status = -1;
	int r;

	if ((r = value_string(json, "id", &id, err)) < 0 ||
		(r = value_string(json, "state", &state, err)) < 0 ||
		(r = value_i64(json, "pid", 0, PID_MAX_LIMIT, &pid, err)) < 0 ||
		(r = value_i64(json, "exit_status", 0, WAIT_STATUS_MAX, &exit_status, err)) < 0)
		return r;
	if (!id || strlen(id) > GUEST_ID_LEN || !state ||
		guest_state_from_string(state, &s.state) < 0)
		return err_set(err, ERR_MALFORMED, "status", "a status needs an id and a state");
	memcpy(s.id, id, strlen(id));
	s.pid = (pid_t)pid;
	s.exit_status = (int)exit_status;
	*ret = s;
	return 0;
}

/* --- Statistics ------------------------------------------------------------------------------ */

#define STATS(field) #field, offsetof(struct driver_stats, field)

static const struct {
	const char *key;
	size_t offset;
} STATS_FIELDS[] = {
	{STATS(cpu_ns)},
	{STATS(cpu_periods)},
	{STATS(cpu_throttled)},
	{STATS(cpu_throttled_ns)},
	{STATS(memory)},
	{STATS(memory_peak)},
	{STATS(memory_cache)},
	{STATS(swap)},
	{STATS(oom_kills)},
	{STATS(pids)},
	{STATS(pids_refused)},
	{STATS(io_read_bytes)},
	{STATS(io_write_bytes)},
	{STATS(io_reads)},
	{STATS(io_writes)},
};

json_t *value_from_stats(const struct driver_stats *stats)
{
	json_t *json = json_pack("{ss}", "id", stats->id);

	for (size_t i = 0; json && i < ARRAY_SIZE(STATS_FIELDS); i++) {
		uint64_t n;

		memcpy(&n, (const char *)stats + STATS_FIELDS[i].offset, sizeof(n));
		json_object_set_new(json, STATS_FIELDS[i].key,
			json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
	}
	return json;
}

int value_to_stats(const json_t *json, struct driver_stats *ret, struct err *err)
{
	struct driver_stats s = {0};
	const char *id = NULL;
	int r = value_string(json, "id", &id, err);

	if (r == 0 && (!id || strlen(id) > GUEST_ID_LEN))
		r = err_set(err, ERR_MALFORMED, "stats", "statistics need the id of a guest");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(STATS_FIELDS); i++) {
		uint64_t n = 0;

		r = value_u64(json, STATS_FIELDS[i].key, INT64_MAX, &n, err);
		memcpy((char *)&s + STATS_FIELDS[i].offset, &n, sizeof(n));
	}
	if (r < 0)
		return r;
	memcpy(s.id, id, strlen(id));
	*ret = s;
	return 0;
}

/* --- Files ----------------------------------------------------------------------------------- */

json_t *value_from_file_info(const struct driver_file_info *info)
{
	return json_pack("{ss sI sI sI sI sI}", "type", info->type, "mode", (json_int_t)info->mode,
		"uid", (json_int_t)info->uid, "gid", (json_int_t)info->gid, "size",
		(json_int_t)(info->size > INT64_MAX ? INT64_MAX : info->size), "mtime_ms",
		(json_int_t)info->mtime_ms);
}

int value_to_file_info(const json_t *json, struct driver_file_info *ret, struct err *err)
{
	struct driver_file_info info = {0};
	uint64_t mode = 0, uid = 0, gid = 0;
	const char *type = NULL;
	int r;

	if ((r = value_string(json, "type", &type, err)) < 0 ||
		(r = value_u64(json, "mode", 07777, &mode, err)) < 0 ||
		(r = value_u64(json, "uid", UINT32_MAX, &uid, err)) < 0 ||
		(r = value_u64(json, "gid", UINT32_MAX, &gid, err)) < 0 ||
		(r = value_u64(json, "size", INT64_MAX, &info.size, err)) < 0 ||
		(r = value_i64(json, "mtime_ms", INT64_MIN, INT64_MAX, &info.mtime_ms, err)) < 0)
		return r;
	if (!type || !*type || strlen(type) >= sizeof(info.type))
		return err_set(err, ERR_MALFORMED, "file", "what is said of a file needs a type");
	memcpy(info.type, type, strlen(type));
	info.mode = (uint32_t)mode;
	info.uid = (uint32_t)uid;
	info.gid = (uint32_t)gid;
	*ret = info;
	return 0;
}

/* --- Disks ----------------------------------------------------------------------------------- */

json_t *value_from_disk_result(const struct driver_disk_result *result)
{
	return json_pack("{sb sI}", "file_system", result->file_system, "freed",
		(json_int_t)(result->freed > INT64_MAX ? INT64_MAX : result->freed));
}

int value_to_disk_result(const json_t *json, struct driver_disk_result *ret, struct err *err)
{
	struct driver_disk_result result = {0};
	int r;

	if ((r = value_bool(json, "file_system", &result.file_system, err)) < 0 ||
		(r = value_u64(json, "freed", INT64_MAX, &result.freed, err)) < 0)
		return r;
	*ret = result;
	return 0;
}

/* --- Images and layers ----------------------------------------------------------------------- */

json_t *value_from_image(const struct driver_image *image)
{
	return json_pack("{ss ss sI sI}", "name", image->name, "id", image->id, "size",
		(json_int_t)(image->size > INT64_MAX ? INT64_MAX : image->size), "created_ms",
		(json_int_t)image->created_ms);
}

int value_to_image(const json_t *json, struct driver_image *ret, struct err *err)
{
	struct driver_image image = {0};
	const char *name = NULL, *id = NULL;
	int r;

	if ((r = value_string(json, "name", &name, err)) < 0 ||
		(r = value_string(json, "id", &id, err)) < 0 ||
		(r = value_u64(json, "size", INT64_MAX, &image.size, err)) < 0 ||
		(r = value_i64(json, "created_ms", INT64_MIN, INT64_MAX, &image.created_ms, err)) <
			0)
		return r;
	if (!name || strlen(name) > IMAGE_NAME_MAX || !id || strlen(id) > IMAGE_ID_MAX)
		return err_set(err, ERR_MALFORMED, "image", "an image needs a name and an id");
	memcpy(image.name, name, strlen(name));
	memcpy(image.id, id, strlen(id));
	*ret = image;
	return 0;
}

json_t *value_from_layer_result(const struct driver_layer_result *result)
{
	return json_pack("{sb sI sI}", "bounded", result->bounded, "size",
		(json_int_t)(result->size > INT64_MAX ? INT64_MAX : result->size), "used",
		(json_int_t)(result->used > INT64_MAX ? INT64_MAX : result->used));
}

int value_to_layer_result(const json_t *json, struct driver_layer_result *ret, struct err *err)
{
	struct driver_layer_result result = {0};
	int r;

	if ((r = value_bool(json, "bounded", &result.bounded, err)) < 0 ||
		(r = value_u64(json, "size", INT64_MAX, &result.size, err)) < 0 ||
		(r = value_u64(json, "used", INT64_MAX, &result.used, err)) < 0)
		return r;
	*ret = result;
	return 0;
}

/* --- What a driver is ------------------------------------------------------------------------ */

json_t *value_from_info(const struct driver_info *info)
{
	json_t *list = json_array();

	for (unsigned bit = 0; bit < 32; bit++)
		if (info->capabilities & (1U << bit))
			json_array_append_new(list, json_string(driver_capability_to_string(
							    (enum driver_capability)(1U << bit))));
	return json_pack("{ss ss so ss ss sb ss ss}", "name", info->name, "version", info->version,
		"capabilities", list, "image_kind", image_kind_to_string(info->image_kind),
		"acceleration", info->acceleration, "usable", info->usable, "problem",
		info->problem, "notice", info->notice);
}

static uint32_t to_capability(const char *name)
{
	for (unsigned bit = 0; name && bit < 32; bit++)
		if (strcmp(driver_capability_to_string((enum driver_capability)(1U << bit)),
			    name) == 0)
			return 1U << bit;
	return 0;
}

int value_to_info(const json_t *json, struct driver_info *ret, struct err *err)
{
	const char *name = "", *version = "", *problem = "", *notice = "", *acceleration = "";
	const char *kind = "tree";
	struct driver_info info = {0};
	const json_t *list = json_object_get(json, "capabilities"), *item;
	size_t i;
	int r;

	if ((r = value_string(json, "name", &name, err)) < 0 ||
		(r = value_string(json, "version", &version, err)) < 0 ||
		(r = value_string(json, "problem", &problem, err)) < 0 ||
		(r = value_string(json, "notice", &notice, err)) < 0 ||
		(r = value_string(json, "acceleration", &acceleration, err)) < 0 ||
		(r = value_string(json, "image_kind", &kind, err)) < 0 ||
		(r = value_bool(json, "usable", &info.usable, err)) < 0)
		return r;
	if (image_kind_from_string(kind, &info.image_kind) < 0)
		return err_set(
			err, ERR_MALFORMED, "image_kind", "\"%.32s\" is no kind of image", kind);
	json_array_foreach (list, i, item)
		info.capabilities |= to_capability(json_string_value(item));
	snprintf(info.name, sizeof(info.name), "%s", name);
	snprintf(info.version, sizeof(info.version), "%s", version);
	snprintf(info.acceleration, sizeof(info.acceleration), "%s", acceleration);
	snprintf(info.problem, sizeof(info.problem), "%s", problem);
	snprintf(info.notice, sizeof(info.notice), "%s", notice);
	*ret = info;
	return 0;
}

/* --- Errors ---------------------------------------------------------------------------------- */

json_t *value_from_error(const struct err *error)
{
	return json_pack("{s:s s:s* s:s}", "code", err_code_to_string(error->code), "field",
		error->field[0] ? error->field : NULL, "message", error->message);
}

int value_to_error(const json_t *json, struct err *ret, struct err *err)
{
	const char *code = "internal", *field = NULL, *message = "";
	enum err_code known;
	int r;

	if ((r = value_string(json, "code", &code, err)) < 0 ||
		(r = value_string(json, "field", &field, err)) < 0 ||
		(r = value_string(json, "message", &message, err)) < 0)
		return r;
	known = err_code_from_string(code);
	err_set(ret, known == ERR_OK ? ERR_INTERNAL : known, field, "%s", message);
	return 0;
}
