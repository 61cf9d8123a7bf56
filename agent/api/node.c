/* Handlers of the node: what it is, its slots, its mode. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/api/internal.h"
#include "agent/life/life.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "model/node.h"
#include "storage/storage.h"

/* docs/openapi.yaml as JSON, made by the build. */
extern const char openapi_json[];
extern const size_t openapi_json_size;

/* --- Facts ------------------------------------------------------------------------------------ */

#define CAPABILITIES_MAX 32 /* bits of driver_info.capabilities */

/* What node_info points at. */
struct node_facts {
	struct node_driver *drivers;
	const char *(*capabilities)[CAPABILITIES_MAX + 1];
	struct node_problem *problems;
	struct utsname host;
};

static void node_facts_finish(struct node_facts *facts)
{
	free(facts->drivers);
	free(facts->capabilities);
	free(facts->problems);
}

static void name_capabilities(uint32_t capabilities, const char *ret[static CAPABILITIES_MAX + 1])
{
	for (unsigned i = 0; i < CAPABILITIES_MAX; i++)
		if (capabilities & 1U << i)
			*ret++ = driver_capability_to_string((enum driver_capability)(1U << i));
}

static void gather_drivers(const struct agent *agent, struct node_facts *facts)
{
	for (size_t i = 0; i < agent->drivers_count; i++) {
		const struct agent_driver *driver = &agent->drivers[i];

		name_capabilities(driver->info.capabilities, facts->capabilities[i]);
		facts->drivers[i] = (struct node_driver){
			.name = driver->settings->name,
			.version = driver->info.version,
			.problem = driver->info.problem,
			.notice = driver->info.notice,
			.image_kind = driver->image_kind < IMAGE_KIND_MAX_
					      ? image_kind_to_string(driver->image_kind)
					      : NULL,
			.acceleration = driver->info.acceleration,
			.usable = driver->info.usable,
			.pid = driver_client_pid(driver->client),
			.capabilities = facts->capabilities[i],
			.data_paths = driver->image_kind == IMAGE_OCI ? driver->settings->data_paths
								      : NULL,
		};
	}
}

static void gather_problems(const struct agent *agent, struct node_facts *facts)
{
	for (size_t i = 0; i < agent->problems_count; i++)
		facts->problems[i] = (struct node_problem){.code = agent->problems[i].code,
			.message = agent->problems[i].message,
			.since_ms = agent->problems[i].since_ms};
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

static void gather_resources(const struct agent *agent, struct node_info *node)
{
	struct sysinfo info = {0};

	sysinfo(&info);
	node->cpus = (uint32_t)get_nprocs();
	node->memory_total = (uint64_t)info.totalram * info.mem_unit;
	node->memory_available = memory_available();
	node->storage_total = agent->space.total;
	node->storage_used = agent->space.used;
	node->storage_free = agent->space.free;
	node->storage_growable = agent->space.growable;
}

static struct node_slots count_slots(const struct agent *agent)
{
	struct node_slots slots = {.total = agent_slots_total(agent), .mode = agent->mode};

	slots.used = registry_slots_used(agent->registry, &slots.reserved);
	slots.used -= slots.reserved;
	return slots;
}

static void count_states(const struct agent *agent, uint32_t counts[static GUEST_STATE_MAX_])
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		counts[sorted[i]->guest->state]++;
}

/* NULL when memory ran out. */
static json_t *node_json(const struct agent *agent)
{
	CLEANUP(node_facts_finish)
	struct node_facts facts = {
		.drivers = calloc(agent->drivers_count + 1, sizeof(*facts.drivers)),
		.capabilities = calloc(agent->drivers_count + 1, sizeof(*facts.capabilities)),
		.problems = calloc(agent->problems_count + 1, sizeof(*facts.problems)),
	};
	struct node_info node = {
		.name = agent->config->node_name,
		.version = CORPUS_VERSION,
		.environment = agent->environment,
		.kernel = facts.host.release,
		.boot_id = agent->boot_id,
		.started_ms = agent->started_ms,
		.address = agent->config->node_address,
		.slots = count_slots(agent),
		.drivers = facts.drivers,
		.drivers_count = agent->drivers_count,
		.problems = facts.problems,
		.problems_count = agent->problems_count,
	};

	if (!facts.drivers || !facts.capabilities || !facts.problems)
		return NULL;
	uname(&facts.host);
	gather_drivers(agent, &facts);
	gather_problems(agent, &facts);
	gather_resources(agent, &node);
	node.rest = life_rest(agent);
	count_states(agent, node.guests);
	return node_to_json(&node);
}

/* Figures that change by themselves, such as free memory, may be this old. */
#define NODE_MAX_AGE_NS INT64_C(1000000000)

static void respond_rendered(struct http_request *request, const struct agent_text *text, int r)
{
	struct err err;

	if (r == 0) {
		http_respond_text(request, 200, "application/json", text->text, text->size);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
	http_respond_error(request, &err, NULL);
}

void api_node_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	int r = 0;

	if (!agent_text_is_fresh(agent, &agent->node_text, NODE_MAX_AGE_NS))
		r = agent_text_set(agent, &agent->node_text, node_json(agent));
	respond_rendered(request, &agent->node_text, r);
}

/* --- Slots ----------------------------------------------------------------------------------- */

static json_t *slots_json(const struct agent *agent)
{
	struct node_slots slots = count_slots(agent);
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	AUTOFREE struct node_slot *taken = calloc(count + 1, sizeof(*taken));

	for (size_t i = 0; taken && i < count; i++)
		taken[i] = (struct node_slot){.guest = sorted[i]->guest,
			.slots = sorted[i]->guest->slots + sorted[i]->slots_extra,
			.reserved = sorted[i]->guest->state == GUEST_CREATING};
	return taken ? node_slots_to_json(&slots, taken, count) : NULL;
}

void api_slots_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	int r = 0;

	if (!agent_text_is_fresh(agent, &agent->slots_text, INT64_MAX))
		r = agent_text_set(agent, &agent->slots_text, slots_json(agent));
	respond_rendered(request, &agent->slots_text, r);
}

/* --- The mode -------------------------------------------------------------------------------- */

struct mode_change {
	struct http_request *request;
	struct agent *agent;
	enum node_mode mode_before;
	bool rest_before;
};

static void mode_written(void *data, int r, const struct err *err)
{
	AUTOFREE struct mode_change *change = data;
	struct agent *agent = change->agent;

	if (r < 0) {
		agent->mode = change->mode_before;
		agent->guests_rest = change->rest_before;
		agent_changed(agent);
		http_respond_error(change->request, err, NULL);
		return;
	}
	life_mode_changed(agent->life);
	http_respond_json(change->request, 200, node_json(agent));
}

static void set_mode(
	struct http_request *request, struct agent *agent, enum node_mode mode, bool rest)
{
	struct mode_change *change = calloc(1, sizeof(*change));
	struct db_txn *txn;
	struct err err;

	if (!change) {
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
		http_respond_error(request, &err, NULL);
		return;
	}
	*change = (struct mode_change){.request = request,
		.agent = agent,
		.mode_before = agent->mode,
		.rest_before = agent->guests_rest};
	agent->mode = mode;
	agent->guests_rest = rest;
	agent_changed(agent);
	txn = db_txn_create();
	db_put_setting(txn, "mode", node_mode_to_string(mode));
	db_put_setting(txn, "guests", rest ? "stop" : "keep");
	if (mode != change->mode_before)
		events_publish(agent->events, txn, "node.mode",
			json_pack("{s:s}", "mode", node_mode_to_string(mode)));
	agent_commit(agent, txn, true, mode_written, change);
}

/* Whether guests rest in the new mode. */
static bool rest_of(const struct agent *agent, const struct node_change *change)
{
	if (change->guests == NODE_GUESTS_AS_THEY_ARE && change->mode == NODE_MAINTENANCE)
		return agent->guests_rest;
	return change->guests == NODE_GUESTS_STOP;
}

static void answer_mode_plan(
	struct http_request *request, struct agent *agent, enum node_mode mode, bool rest)
{
	json_t *stop, *start;
	bool changed = mode != agent->mode || rest != agent->guests_rest;

	life_foresee(agent, mode, rest, &stop, &start);
	http_respond_json(request, 200,
		json_pack("{s:b, s:b, s:s, s:o, s:o}", "dry_run", 1, "changed", changed, "mode",
			node_mode_to_string(mode), "stop", stop, "start", start));
}

void api_node_patch(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct node_change change;
	bool dry_run = false, rest;
	struct err err;
	int r = node_change_from_request(http_body(request), &change, &err);

	if (r == 0)
		r = query_bool(request, "dry_run", false, &dry_run, &err);
	if (r < 0) {
		http_respond_error(request, &err, NULL);
		return;
	}
	rest = rest_of(agent, &change);
	if (dry_run)
		answer_mode_plan(request, agent, change.mode, rest);
	else
		set_mode(request, agent, change.mode, rest);
}

void api_openapi(struct http_request *request, void *data)
{
	(void)data;
	http_respond_text(request, 200, "application/json", openapi_json, openapi_json_size);
}
