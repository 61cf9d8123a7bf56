/* The lists of a guest that are not its ports or labels: keys, raw lines, snapshots. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/parse.h"
#include "base/strv.h"
#include "model/guest_fields.h"
#include "model/ssh_key.h"

static int check_twice(char *const *keys, size_t index, const char *path, struct err *err)
{
	for (size_t i = 0; i < index; i++)
		if (ssh_key_same(keys[i], keys[index]))
			return err_set(err, ERR_INVALID, path,
				"%s is the same key as the one at %zu: give it once", path, i);
	return 0;
}

/* Each key as ssh_key_parse leaves it, in place. */
static int check_keys(char **keys, const char *path, struct err *err)
{
	for (size_t i = 0; keys && keys[i]; i++) {
		char full[ERR_FIELD_MAX];
		char *key = NULL;
		int r;

		reader_path_index(full, path, i);
		r = ssh_key_parse(keys[i], full, &key, err);
		if (r < 0)
			return r;
		free(keys[i]);
		keys[i] = key;
		r = check_twice(keys, i, full, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int guest_read_ssh_keys(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	static const struct reader_field texts = {.count = GUEST_SSH_KEYS_MAX};
	CLEANUP(strv_freep) char **keys = NULL;
	char ***owned = member;
	int r = reader_texts(&texts, value, path, &keys, err);

	(void)field;
	if (r == 0)
		r = check_keys(keys, path, err);
	if (r < 0)
		return r;
	strv_free(*owned);
	*owned = TAKE_PTR(keys);
	return 0;
}

int guest_check_user_data(const char *text, const char *field, struct err *err)
{
	if (strlen(text) > GUEST_USER_DATA_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d bytes", field,
			GUEST_USER_DATA_MAX);
	return 0;
}

int guest_check_raw(const char *text, const char *field, struct err *err)
{
	if (strspn(text, " \t") == strlen(text) || strlen(text) > GUEST_RAW_LINE_MAX)
		return err_set(err, ERR_INVALID, field,
			"%s must be a line of 1 to %d bytes, like \"KEY = VALUE\"", field,
			GUEST_RAW_LINE_MAX);
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return reader_expected(field, "one line, without control characters", err);
	return 0;
}

json_t *guest_texts_to_json(char *const *list)
{
	json_t *json = json_array();

	for (size_t i = 0; list && list[i]; i++)
		json_array_append_new(json, json_string(list[i]));
	return json;
}

/* --- Snapshots -------------------------------------------------------------------------------- */

static const char *const CONSISTENCIES[] = {
	[SNAPSHOT_CRASH] = "crash",
	[SNAPSHOT_FILE_SYSTEM] = "filesystem",
	[SNAPSHOT_STOPPED] = "stopped",
};

const char *snapshot_consistency_to_string(enum snapshot_consistency consistency)
{
	return CONSISTENCIES[consistency];
}

static int read_consistency(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	int found = names_find(CONSISTENCIES, ARRAY_SIZE(CONSISTENCIES), json_string_value(value));

	(void)field;
	if (found < 0)
		return reader_expected(path, "what a snapshot is like", err);
	*(enum snapshot_consistency *)member = (enum snapshot_consistency)found;
	return 0;
}

static const struct reader_field SNAPSHOT[] = {
	{.name = "name",
		.read = reader_chars,
		.offset = offsetof(struct guest_snapshot, name),
		.size = GUEST_SNAPSHOT_NAME_MAX + 1,
		.required = true},
	{.name = "created_ms",
		.read = reader_u64,
		.offset = offsetof(struct guest_snapshot, created_ms),
		.max = INT64_MAX},
	{.name = "consistency",
		.read = read_consistency,
		.offset = offsetof(struct guest_snapshot, consistency)},
	{.name = "memory", .read = reader_bool, .offset = offsetof(struct guest_snapshot, memory)},
	{.name = "size",
		.read = reader_u64,
		.offset = offsetof(struct guest_snapshot, size),
		.max = INT64_MAX},
};

int guest_read_snapshots(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	struct guest *guest = member;
	size_t count = json_array_size(value);
	AUTOFREE struct guest_snapshot *snapshots = calloc(count + 1, sizeof(*snapshots));

	(void)field;
	if (!json_is_array(value))
		return reader_expected(path, "an array of snapshots", err);
	if (!snapshots)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	for (size_t i = 0; i < count; i++) {
		char full[ERR_FIELD_MAX];
		int r;

		reader_path_index(full, path, i);
		r = reader_object(json_array_get(value, i), full, SNAPSHOT, ARRAY_SIZE(SNAPSHOT),
			&snapshots[i], err);
		if (r < 0)
			return r;
	}
	free(guest->snapshots);
	guest->snapshots = TAKE_PTR(snapshots);
	guest->snapshots_count = count;
	return 0;
}

static json_t *snapshot_to_record(const struct guest_snapshot *snapshot)
{
	return json_pack("{s:s, s:I, s:s, s:b, s:I}", "name", snapshot->name, "created_ms",
		(json_int_t)snapshot->created_ms, "consistency",
		snapshot_consistency_to_string(snapshot->consistency), "memory", snapshot->memory,
		"size", (json_int_t)snapshot->size);
}

json_t *guest_snapshots_to_record(const struct guest *guest)
{
	json_t *json = json_array();

	for (size_t i = 0; i < guest->snapshots_count; i++)
		json_array_append_new(json, snapshot_to_record(&guest->snapshots[i]));
	return json;
}

json_t *guest_snapshot_to_json(const struct guest_snapshot *snapshot)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", snapshot->name, "created",
		FMT_TIME(snapshot->created_ms), "consistency",
		snapshot_consistency_to_string(snapshot->consistency), "memory", snapshot->memory,
		"size", snapshot->size ? json_integer((json_int_t)snapshot->size) : json_null());
}

json_t *guest_snapshots_to_json(const struct guest *guest)
{
	json_t *json = json_array();

	for (size_t i = 0; i < guest->snapshots_count; i++)
		json_array_append_new(json, guest_snapshot_to_json(&guest->snapshots[i]));
	return json;
}
