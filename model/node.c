/* The node. */
#include "model/node.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/names.h"
#include "base/parse.h"
#include "model/guest_fields.h"
#include "model/reader.h"

#define SSH_PORT 22
#define SSH_USER "root"

static const char *const MODES[] = {
	[NODE_ACTIVE] = "active",
	[NODE_DRAIN] = "drain",
	[NODE_MAINTENANCE] = "maintenance",
};

DEFINE_NAMES(node_mode, MODES)

static int read_mode(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = json_string_value(value);

	(void)field;
	if (!text || node_mode_from_string(text, member) < 0)
		return reader_expected(path, "one of active, drain, maintenance", err);
	return 0;
}

static int read_guests(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = json_string_value(value);
	enum node_guests *ret = member;

	(void)field;
	if (text && strcmp(text, "keep") == 0)
		*ret = NODE_GUESTS_KEEP;
	else if (text && strcmp(text, "stop") == 0)
		*ret = NODE_GUESTS_STOP;
	else
		return reader_expected(path, "one of keep, stop", err);
	return 0;
}

int node_change_from_request(const json_t *json, struct node_change *ret, struct err *err)
{
	static const struct reader_field fields[] = {
		{.name = "mode",
			.read = read_mode,
			.offset = offsetof(struct node_change, mode),
			.required = true},
		{.name = "guests",
			.read = read_guests,
			.offset = offsetof(struct node_change, guests)},
	};
	struct node_change change = {0};
	int r = reader_object(json, "", fields, ARRAY_SIZE(fields), &change, err);

	if (r == 0 && change.guests == NODE_GUESTS_STOP && change.mode != NODE_MAINTENANCE)
		r = err_set(err, ERR_INVALID, "guests",
			"guests are stopped only with the mode maintenance: in %s they run on",
			node_mode_to_string(change.mode));
	if (r == 0)
		*ret = change;
	return r;
}

/* --- Slots ------------------------------------------------------------------------------------ */

uint32_t node_slots_free(const struct node_slots *slots)
{
	uint64_t taken = (uint64_t)slots->used + slots->reserved;

	if (slots->mode != NODE_ACTIVE || taken >= slots->total)
		return 0;
	return slots->total - (uint32_t)taken;
}

static json_t *counts_to_json(const struct node_slots *slots)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)slots->total, "used",
		(json_int_t)slots->used, "reserved", (json_int_t)slots->reserved, "free",
		(json_int_t)node_slots_free(slots));
}

static json_t *slot_to_json(const struct node_slot *slot)
{
	const struct guest *guest = slot->guest;

	return json_pack("{s:s, s:s, s:I, s:b, s:s, s:s, s:s}", "name", guest->name, "id",
		guest->id, "slots", (json_int_t)slot->slots, "reserved", slot->reserved, "driver",
		guest->driver, "environment", guest->environment, "state",
		guest_state_to_string(guest->state));
}

json_t *node_slots_to_json(
	const struct node_slots *slots, const struct node_slot *taken, size_t taken_count)
{
	json_t *json = counts_to_json(slots);
	json_t *guests = json_array();

	for (size_t i = 0; i < taken_count; i++)
		json_array_append_new(guests, slot_to_json(&taken[i]));
	json_object_set_new(json, "mode", json_string(node_mode_to_string(slots->mode)));
	json_object_set_new(json, "guests", guests);
	return json;
}

/* --- The node --------------------------------------------------------------------------------- */

static void set_if_any(json_t *json, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(json, key, json_string(text));
}

static json_t *driver_to_json(const struct node_driver *driver)
{
	json_t *json = json_pack("{s:s, s:b}", "name", driver->name, "usable", driver->usable);
	json_t *capabilities = json_array();

	for (const char *const *name = driver->capabilities; name && *name; name++)
		json_array_append_new(capabilities, json_string(*name));
	json_object_set_new(json, "capabilities", capabilities);
	set_if_any(json, "version", driver->version);
	set_if_any(json, "image_kind", driver->image_kind);
	set_if_any(json, "acceleration", driver->acceleration);
	set_if_any(json, "problem", driver->problem);
	set_if_any(json, "notice", driver->notice);
	if (driver->data_paths)
		json_object_set_new(json, "data_paths", guest_texts_to_json(driver->data_paths));
	if (driver->pid)
		json_object_set_new(json, "pid", json_integer(driver->pid));
	return json;
}

static json_t *drivers_to_json(const struct node_info *node)
{
	json_t *drivers = json_array();

	for (size_t i = 0; i < node->drivers_count; i++)
		json_array_append_new(drivers, driver_to_json(&node->drivers[i]));
	return drivers;
}

static json_t *resources_to_json(const struct node_info *node)
{
	return json_pack("{s:I, s:{s:I, s:I}, s:{s:I, s:I, s:I, s:I}}", "cpus",
		(json_int_t)node->cpus, "memory", "total", (json_int_t)node->memory_total,
		"available", (json_int_t)node->memory_available, "storage", "total",
		(json_int_t)node->storage_total, "used", (json_int_t)node->storage_used, "free",
		(json_int_t)node->storage_free, "growable", (json_int_t)node->storage_growable);
}

/* Only the states that occur. */
static json_t *guests_to_json(const struct node_info *node)
{
	json_t *guests = json_object();

	for (unsigned i = 0; i < GUEST_STATE_MAX_; i++)
		if (node->guests[i])
			json_object_set_new(guests, guest_state_to_string((enum guest_state)i),
				json_integer(node->guests[i]));
	return guests;
}

static json_t *problems_to_json(const struct node_info *node)
{
	json_t *problems = json_array();

	for (size_t i = 0; i < node->problems_count; i++)
		json_array_append_new(
			problems, json_pack("{s:s, s:s, s:s}", "code", node->problems[i].code,
					  "message", node->problems[i].message, "since",
					  FMT_TIME(node->problems[i].since_ms)));
	return problems;
}

static void add_address(json_t *json, uint32_t address)
{
	json_t *addresses = json_array();

	json_object_set_new(json, "addresses", addresses);
	if (!address)
		return;
	json_array_append_new(addresses, json_string(FMT_IPV4(address)));
	json_object_set_new(json, "ssh",
		json_pack("{s:s, s:i, s:s}", "host", FMT_IPV4(address), "port", SSH_PORT, "user",
			SSH_USER));
}

static json_t *rest_to_json(const struct node_rest *rest)
{
	static const char *const states[] = {[NODE_AWAKE] = "awake",
		[NODE_STOPPING] = "stopping",
		[NODE_RESTING] = "resting",
		[NODE_WAKING] = "waking"};

	return json_pack("{s:s, s:I, s:I}", "state", states[rest->state], "guests",
		(json_int_t)rest->guests, "running", (json_int_t)rest->running);
}

json_t *node_to_json(const struct node_info *node)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", node->name, "version",
		node->version, "environment", node->environment, "mode",
		node_mode_to_string(node->slots.mode), "started", FMT_TIME(node->started_ms));

	set_if_any(json, "kernel", node->kernel);
	set_if_any(json, "boot_id", node->boot_id);
	add_address(json, node->address);
	json_object_set_new(json, "drivers", drivers_to_json(node));
	json_object_set_new(json, "resources", resources_to_json(node));
	json_object_set_new(json, "slots", counts_to_json(&node->slots));
	json_object_set_new(json, "guests", guests_to_json(node));
	json_object_set_new(json, "rest", rest_to_json(&node->rest));
	json_object_set_new(json, "problems", problems_to_json(node));
	return json;
}
