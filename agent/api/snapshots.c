/* Handlers of a guest's snapshots. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "model/reader.h"

/* The guest of path parameter 0 and its snapshot of parameter 1, for reading. */
static const struct guest_snapshot *read_snapshot(
	const struct http_request *request, const struct agent *agent, struct err *err)
{
	struct guest_entry *entry = registry_by_name(agent->registry, http_param(request, 0), err);

	return entry ? guest_need_snapshot(entry->guest, http_param(request, 1), err) : NULL;
}

void api_snapshot_get(struct http_request *request, void *data)
{
	struct err err;
	const struct guest_snapshot *snapshot = read_snapshot(request, data, &err);

	if (snapshot)
		http_respond_json(request, 200, guest_snapshot_to_json(snapshot));
	else
		http_respond_error(request, &err, NULL);
}

void api_snapshot_list(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct err err;
	struct guest_entry *entry = registry_by_name(agent->registry, http_param(request, 0), &err);
	json_t *list;

	if (!entry) {
		http_respond_error(request, &err, NULL);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < entry->guest->snapshots_count; i++)
		json_array_append_new(list, guest_snapshot_to_json(&entry->guest->snapshots[i]));
	http_respond_json(request, 200, json_pack("{s:o}", "snapshots", list));
}

/* --- Changes --------------------------------------------------------------------------------- */

struct creation {
	char *name;
	bool memory;
};

static const struct reader_field CREATE[] = {
	{.name = "name",
		.read = reader_text,
		.offset = offsetof(struct creation, name),
		.check = name_check_snapshot},
	{.name = "memory", .read = reader_bool, .offset = offsetof(struct creation, memory)},
};

static void creation_finish(struct creation *creation)
{
	free(creation->name);
}

/* Without a body nothing is said. */
static int read_body(const struct http_request *request, const struct reader_field *fields,
	size_t count, void *ret, struct err *err)
{
	const json_t *body = http_body(request);

	return body ? reader_object(body, "", fields, count, ret, err) : 0;
}

static int plan_create(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	CLEANUP(creation_finish) struct creation creation = {0};
	int r = read_body(change->request, CREATE, ARRAY_SIZE(CREATE), &creation, err);

	return r < 0 ? r
		     : plan_guest_snapshot(
			       change->agent, ret, entry, creation.name, creation.memory, err);
}

void api_snapshot_create(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_create);
}

static int plan_delete(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	return plan_guest_snapshot_delete(
		change->agent, ret, entry, http_param(change->request, 1), err);
}

void api_snapshot_delete(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_delete);
}

/* A switch that may be left out. */
struct choice {
	bool given, on;
};

struct restore {
	struct choice start, memory;
};

static int read_choice(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	struct choice *choice = member;

	choice->given = true;
	return reader_bool(field, value, path, &choice->on, err);
}

static const struct reader_field RESTORE[] = {
	{.name = "start", .read = read_choice, .offset = offsetof(struct restore, start)},
	{.name = "memory", .read = read_choice, .offset = offsetof(struct restore, memory)},
};

static int plan_restore(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	struct restore restore = {0};
	int r = read_body(change->request, RESTORE, ARRAY_SIZE(RESTORE), &restore, err);

	if (r < 0)
		return r;
	return plan_guest_restore(change->agent, ret, entry,
		&(struct restore_request){.snapshot = http_param(change->request, 1),
			.start = restore.start.given ? &restore.start.on : NULL,
			.memory = restore.memory.given ? &restore.memory.on : NULL},
		err);
}

void api_snapshot_restore(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_restore);
}
