/* All metrics: the node's, the agent's, then its guests'. docs/metrics.md says what each means. */
#include "agent/metrics/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "agent/metrics/counters.h"
#include "agent/metrics/exposition.h"
#include "agent/metrics/figures.h"
#include "agent/metrics/sampler.h"
#include "agent/node/agent.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define MS UINT64_C(1000000)

static void single(struct exposition *exposition, const struct family *family, uint64_t value)
{
	expose_family(exposition, family);
	expose_number(exposition, NULL, 0, value);
}

static void single_seconds(struct exposition *exposition, const struct family *family, uint64_t ns)
{
	expose_family(exposition, family);
	expose_seconds(exposition, NULL, 0, ns);
}

/* --- The agent ------------------------------------------------------------------------------- */

static void expose_agent(const struct agent *agent, const struct node_figures *figures,
	struct exposition *exposition)
{
	static const struct family build = {
		"corpus_build", FAMILY_INFO, NULL, "The version of corpusd."};
	static const struct family node = {"corpus_node", FAMILY_INFO, NULL, "What node this is."};
	static const struct family start = {"corpus_start_time_seconds", FAMILY_GAUGE, "seconds",
		"When corpusd was started, in seconds since the epoch."};
	static const struct family cpu = {"corpus_process_cpu_seconds", FAMILY_COUNTER, "seconds",
		"Time of corpusd itself on processors."};
	static const struct family resident = {"corpus_process_resident_memory_bytes", FAMILY_GAUGE,
		"bytes", "Memory of corpusd itself."};
	static const struct family events = {
		"corpus_events", FAMILY_COUNTER, NULL, "Events since the node was set up."};
	static const struct family pending = {"corpus_operations_pending", FAMILY_GAUGE, NULL,
		"Operations that were accepted and have not ended."};
	const struct label version[] = {{"version", CORPUS_VERSION}};
	const struct label names[] = {
		{"node", agent->config->node_name}, {"environment", agent->environment}};

	expose_family(exposition, &build);
	expose_number(exposition, version, ARRAY_SIZE(version), 1);
	expose_family(exposition, &node);
	expose_number(exposition, names, ARRAY_SIZE(names), 1);
	single_seconds(exposition, &start, (uint64_t)agent->started_ms * MS);
	single_seconds(exposition, &cpu, figures->process_cpu_ns);
	single(exposition, &resident, figures->process_resident);
	single(exposition, &events, events_newest(agent->events));
	single(exposition, &pending, engine_pending(agent->engine));
}

/* --- The node -------------------------------------------------------------------------------- */

static void expose_slots(const struct node_figures *figures, struct exposition *exposition)
{
	static const struct family slots = {"corpus_node_slots", FAMILY_GAUGE, NULL,
		"Slots of the node by what became of them."};
	uint32_t used = figures->slots_used, total = figures->slots_total;
	const struct {
		struct label label;
		uint32_t value;
	} rows[] = {
		{{"state", "used"}, used - figures->slots_reserved},
		{{"state", "reserved"}, figures->slots_reserved},
		{{"state", "free"}, used < total ? total - used : 0},
	};

	expose_family(exposition, &slots);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expose_number(exposition, &rows[i].label, 1, rows[i].value);
}

static void expose_modes(const struct agent *agent, struct exposition *exposition)
{
	static const struct family mode = {"corpus_node_mode", FAMILY_GAUGE, NULL,
		"1 for the mode that the node is in, 0 for the others."};
	enum node_mode all[] = {NODE_ACTIVE, NODE_DRAIN, NODE_MAINTENANCE};

	expose_family(exposition, &mode);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const struct label label = {"mode", node_mode_to_string(all[i])};

		expose_number(exposition, &label, 1, agent->mode == all[i]);
	}
}

static void expose_storage(const struct agent *agent, struct exposition *exposition)
{
	static const struct family size = {"corpus_node_storage_bytes", FAMILY_GAUGE, "bytes",
		"Size of the storage pool as it is now."};
	static const struct family used = {"corpus_node_storage_used_bytes", FAMILY_GAUGE, "bytes",
		"Used of the storage pool."};
	static const struct family growable = {"corpus_node_storage_growable_bytes", FAMILY_GAUGE,
		"bytes", "How far the storage pool can grow by itself."};

	if (!agent->storage)
		return;
	single(exposition, &size, agent->space.total);
	single(exposition, &used, agent->space.used);
	single(exposition, &growable, agent->space.growable);
}

static void expose_drivers(const struct agent *agent, struct exposition *exposition)
{
	static const struct family up = {"corpus_driver_up", FAMILY_GAUGE, NULL,
		"1 while a driver can be used and its process runs, else 0."};

	expose_family(exposition, &up);
	for (size_t i = 0; i < agent->drivers_count; i++) {
		const struct agent_driver *driver = &agent->drivers[i];
		const struct label label = {"driver", driver->settings->name};

		expose_number(exposition, &label, 1,
			driver->info.usable && driver_client_pid(driver->client) > 0);
	}
}

static void expose_node(const struct agent *agent, const struct node_figures *figures,
	struct exposition *exposition)
{
	static const struct family cpus = {
		"corpus_node_cpus", FAMILY_GAUGE, NULL, "Processors of the node."};
	static const struct family cpu = {"corpus_node_cpu_seconds", FAMILY_COUNTER, "seconds",
		"Time for which processors of the node were busy."};
	static const struct family memory = {
		"corpus_node_memory_bytes", FAMILY_GAUGE, "bytes", "Memory of the node."};
	static const struct family available = {"corpus_node_memory_available_bytes", FAMILY_GAUGE,
		"bytes", "Memory of the node that could be had."};
	static const struct family problems = {
		"corpus_node_problems", FAMILY_GAUGE, NULL, "Problems that the node shows."};

	single(exposition, &cpus, figures->cpus);
	single_seconds(exposition, &cpu, figures->cpu_ns);
	single(exposition, &memory, figures->memory_total);
	single(exposition, &available, figures->memory_available);
	expose_storage(agent, exposition);
	expose_slots(figures, exposition);
	expose_modes(agent, exposition);
	single(exposition, &problems, agent->problems_count);
	expose_drivers(agent, exposition);
}

static void expose_guest_states(const struct node_figures *figures, struct exposition *exposition)
{
	static const struct family guests = {
		"corpus_guests", FAMILY_GAUGE, NULL, "Guests by their state."};

	expose_family(exposition, &guests);
	for (unsigned i = GUEST_CREATING; i < GUEST_STATE_MAX_; i++) {
		const struct label label = {"state", guest_state_to_string((enum guest_state)i)};

		expose_number(exposition, &label, 1, figures->guests[i]);
	}
}

static void expose_age(const struct agent *agent, struct exposition *exposition)
{
	static const struct family age = {"corpus_stats_age_seconds", FAMILY_GAUGE, "seconds",
		"How old the figures of guests are."};
	int64_t sampled_ms = sampler_sampled_ms(agent->sampler);
	int64_t age_ms = clock_realtime_ms() - sampled_ms;

	if (sampled_ms > 0)
		single_seconds(exposition, &age, age_ms > 0 ? (uint64_t)age_ms * MS : 0);
}

char *metrics_render(const struct agent *agent, bool open_metrics, size_t *ret_size)
{
	struct exposition exposition = {.open_metrics = open_metrics};
	struct node_figures figures;

	node_figures(agent, &figures);
	expose_agent(agent, &figures, &exposition);
	expose_node(agent, &figures, &exposition);
	counters_expose(agent->counters, &exposition);
	expose_age(agent, &exposition);
	expose_guest_states(&figures, &exposition);
	metrics_guests(agent, &exposition);
	return expose_end(&exposition, ret_size);
}
