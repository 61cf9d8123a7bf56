/* Handlers of the node: what it is, its slots, its mode. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/api/internal.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/storage.h"

/* docs/openapi.yaml as JSON, made by the build. */
extern const char openapi_json[];
extern const size_t openapi_json_size;

/* --- Parts of the node ----------------------------------------------------------------------- */

static json_t *drivers_json(const struct agent *agent)
{
	json_t *list = json_array();

	for (size_t i = 0; i < agent->drivers_count; i++) {
		const struct agent_driver *driver = &agent->drivers[i];
		pid_t pid = driver_client_pid(driver->client);
		json_t *capabilities = json_array(), *json;

		for (unsigned bit = 1; bit && bit <= driver->info.capabilities; bit <<= 1)
			if (driver->info.capabilities & bit)
				json_array_append_new(capabilities,
					json_string(driver_capability_to_string(bit)));
		json = json_pack("{s:s, s:b, s:o}", "name", driver->settings->name, "usable",
			driver->info.usable, "capabilities", capabilities);
		if (driver->info.version[0])
			json_object_set_new(json, "version", json_string(driver->info.version));
		if (driver->info.problem[0])
			json_object_set_new(json, "problem", json_string(driver->info.problem));
		if (pid)
			json_object_set_new(json, "pid", json_integer(pid));
		json_array_append_new(list, json);
	}
	return list;
}

/* MemAvailable of /proc/meminfo (proc(5)), in bytes. */
static uint64_t memory_available(void)
{
	AUTOFREE char *text = NULL;
	const char *line;
	unsigned long long kib = 0;

	if (file_read("/proc/meminfo", 65536, &text, NULL) == 0) {
		line = strstr(text, "MemAvailable:");
		if (line)
			sscanf(line, "MemAvailable: %llu", &kib);
	}
	return kib * 1024;
}

static json_t *resources_json(const struct storage_space *space)
{
	struct sysinfo info = {0};
	json_t *json;

	sysinfo(&info);
	json = json_pack("{s:i, s:{s:I, s:I}}", "cpus", get_nprocs(), "memory", "total",
		(json_int_t)((uint64_t)info.totalram * info.mem_unit), "available",
		(json_int_t)memory_available());
	json_object_set_new(json, "storage",
		json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)space->total, "used",
			(json_int_t)space->used, "free", (json_int_t)space->free, "growable",
			(json_int_t)space->growable));
	return json;
}

struct counts {
	uint32_t total, used, reserved, free;
};

static struct counts count_slots(const struct agent *agent)
{
	struct counts counts = {.total = agent_slots_total(agent)};
	uint32_t taken = registry_slots_used(agent->registry, &counts.reserved);

	counts.used = taken - counts.reserved;
	if (agent->mode == NODE_ACTIVE && taken < counts.total)
		counts.free = counts.total - taken;
	return counts;
}

static json_t *slots_json(const struct agent *agent)
{
	struct counts counts = count_slots(agent);

	return json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)counts.total, "used",
		(json_int_t)counts.used, "reserved", (json_int_t)counts.reserved, "free",
		(json_int_t)counts.free);
}

static json_t *guest_states_json(const struct agent *agent)
{
	unsigned counts[GUEST_STATE_MAX_] = {0};
	json_t *json = json_object();
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		counts[sorted[i]->guest->state]++;
	for (unsigned i = 0; i < GUEST_STATE_MAX_; i++)
		if (counts[i])
			json_object_set_new(json, guest_state_to_string((enum guest_state)i),
				json_integer(counts[i]));
	return json;
}

static json_t *problems_json(const struct agent *agent)
{
	json_t *list = json_array();

	for (size_t i = 0; i < agent->problems_count; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s}", "code", agent->problems[i].code,
				      "message", agent->problems[i].message, "since",
				      FMT_TIME(agent->problems[i].since_ms)));
	return list;
}

static void add_addresses(json_t *json, const struct agent *agent)
{
	json_t *list = json_array();
	uint32_t address = agent->config->node_address;

	if (address) {
		json_array_append_new(list, json_string(FMT_IPV4(address)));
		json_object_set_new(json, "ssh",
			json_pack("{s:s, s:i, s:s}", "host", FMT_IPV4(address), "port", 22, "user",
				"root"));
	}
	json_object_set_new(json, "addresses", list);
}

static json_t *node_json(const struct agent *agent)
{
	struct utsname host = {0};
	json_t *json;

	uname(&host);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", agent->config->node_name,
		"version", CORPUS_VERSION, "environment", agent->environment, "mode",
		node_mode_to_string(agent->mode), "kernel", host.release, "started",
		FMT_TIME(agent->started_ms));
	add_addresses(json, agent);
	json_object_set_new(json, "drivers", drivers_json(agent));
	json_object_set_new(json, "resources", resources_json(&agent->space));
	json_object_set_new(json, "slots", slots_json(agent));
	json_object_set_new(json, "guests", guest_states_json(agent));
	json_object_set_new(json, "problems", problems_json(agent));
	return json;
}

void api_node_get(struct http_request *request, void *agent)
{
	http_respond_json(request, 200, node_json(agent));
}

/* --- Slots ----------------------------------------------------------------------------------- */

void api_slots_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	json_t *json = slots_json(agent), *list = json_array();
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		const struct guest *guest = sorted[i]->guest;

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:I, s:b, s:s, s:s, s:s}", "name", guest->name,
				      "id", guest->id, "slots",
				      (json_int_t)(guest->slots + sorted[i]->slots_extra),
				      "reserved", guest->state == GUEST_CREATING, "driver",
				      guest->driver, "environment", guest->environment, "state",
				      guest_state_to_string(guest->state)));
	}
	json_object_set_new(json, "mode", json_string(node_mode_to_string(agent->mode)));
	json_object_set_new(json, "guests", list);
	http_respond_json(request, 200, json);
}

/* --- The mode -------------------------------------------------------------------------------- */

static int read_mode(const json_t *body, enum node_mode *ret, struct err *err)
{
	const json_t *value;
	const char *key;

	json_object_foreach ((json_t *)body, key, value)
		if (strcmp(key, "mode") != 0)
			return err_set(err, ERR_INVALID, key, "unknown field %.60s", key);
	value = json_object_get(body, "mode");
	if (!json_is_string(value) || node_mode_from_string(json_string_value(value), ret) < 0)
		return err_set(
			err, ERR_INVALID, "mode", "mode must be active, drain or maintenance");
	return 0;
}

struct mode_change {
	struct http_request *request;
	struct agent *agent;
	enum node_mode before;
};

static void mode_written(void *data, int r, const struct err *err)
{
	AUTOFREE struct mode_change *change = data;

	if (r < 0) {
		change->agent->mode = change->before;
		http_respond_error(change->request, err, NULL);
	} else {
		http_respond_json(change->request, 200, node_json(change->agent));
	}
}

static void set_mode(struct http_request *request, struct agent *agent, enum node_mode mode)
{
	struct mode_change *change = calloc(1, sizeof(*change));
	struct db_txn *txn;
	struct err err;

	if (!change) {
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
		http_respond_error(request, &err, NULL);
		return;
	}
	*change = (struct mode_change){.request = request, .agent = agent, .before = agent->mode};
	agent->mode = mode;
	txn = db_txn_create();
	db_put_setting(txn, "mode", node_mode_to_string(mode));
	events_publish(agent->events, txn, "node.mode",
		json_pack("{s:s}", "mode", node_mode_to_string(mode)));
	agent_commit(agent, txn, true, mode_written, change);
}

void api_node_patch(struct http_request *request, void *data)
{
	struct agent *agent = data;
	enum node_mode mode;
	bool dry_run;
	struct err err;
	int r = read_mode(http_body(request), &mode, &err);

	if (r == 0)
		r = query_bool(request, "dry_run", false, &dry_run, &err);
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else if (dry_run || mode == agent->mode)
		http_respond_json(request, 200, node_json(agent));
	else
		set_mode(request, agent, mode);
}

void api_openapi(struct http_request *request, void *agent)
{
	(void)agent;
	http_respond_text(request, 200, "application/json", openapi_json, openapi_json_size);
}
