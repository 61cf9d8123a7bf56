/* Figures as JSON. Written piece by piece and not through a tree of values: of 500 guests that
 * would be twenty thousand of them. Names of guests and drivers hold no character that JSON would
 * want escaped (model/name.c). */
#include <jansson.h>
#include <stdlib.h>

#include "agent/metrics/figures.h"
#include "agent/metrics/metrics.h"
#include "agent/metrics/sampler.h"
#include "agent/node/agent.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/strbuf.h"

/* "key": value, or null when it is not known; with a comma unless it is an object's first. */
static void add(struct strbuf *text, const char *key, bool known, uint64_t value)
{
	if (text->used > 0 && text->text[text->used - 1] != '{')
		strbuf_add(text, ",");
	strbuf_add(text, "\"");
	strbuf_add(text, key);
	strbuf_add(text, "\":");
	if (known)
		strbuf_add_u64(text, value);
	else
		strbuf_add(text, "null");
}

static void begin(struct strbuf *text, const char *key)
{
	strbuf_addf(text, ",\"%s\":{", key);
}

/* A limit; 0 is none, shown as null. */
static void add_set(struct strbuf *text, const char *key, uint64_t limit)
{
	add(text, key, limit > 0, limit);
}

static void add_time(struct strbuf *text, const char *key, int64_t ms)
{
	if (ms > 0)
		strbuf_addf(text, ",\"%s\":\"%s\"", key, FMT_TIME(ms));
	else
		strbuf_addf(text, ",\"%s\":null", key);
}

static void add_driver(
	struct strbuf *text, const struct guest_limits *set, const struct driver_stats *stats)
{
	static const struct driver_stats none;
	bool known = stats != NULL;

	if (!stats)
		stats = &none;
	if (set->cpu_milli > 0)
		strbuf_addf(text, ",\"cpu\":{\"set\":%u.%03u", set->cpu_milli / 1000,
			set->cpu_milli % 1000);
	else
		strbuf_add(text, ",\"cpu\":{\"set\":null");
	add(text, "used_ns", known, stats->cpu_ns);
	add(text, "periods", known, stats->cpu_periods);
	add(text, "throttled", known, stats->cpu_throttled);
	add(text, "throttled_ns", known, stats->cpu_throttled_ns);
	strbuf_add(text, "}");
	begin(text, "memory");
	add_set(text, "set", set->memory);
	add(text, "used", known, stats->memory);
	add(text, "peak", known, stats->memory_peak);
	add(text, "cache", known, stats->memory_cache);
	add(text, "oom_kills", known, stats->oom_kills);
	strbuf_add(text, "}");
	begin(text, "swap");
	add_set(text, "set", set->swap);
	add(text, "used", known, stats->swap);
	strbuf_add(text, "}");
	begin(text, "pids");
	add_set(text, "set", set->pids);
	add(text, "used", known, stats->pids);
	add(text, "refused", known, stats->pids_refused);
	strbuf_add(text, "}");
	begin(text, "io");
	add_set(text, "set_read", set->io_read);
	add_set(text, "set_write", set->io_write);
	add(text, "read_bytes", known, stats->io_read_bytes);
	add(text, "write_bytes", known, stats->io_write_bytes);
	add(text, "reads", known, stats->io_reads);
	add(text, "writes", known, stats->io_writes);
	strbuf_add(text, "}");
}

static void add_net(
	struct strbuf *text, const struct guest_limits *set, const struct net_guest_stats *stats)
{
	static const struct net_guest_stats none;
	bool known = stats != NULL;

	if (!stats)
		stats = &none;
	begin(text, "network");
	add_set(text, "set_ingress", set->net_ingress);
	add_set(text, "set_egress", set->net_egress);
	add(text, "received_bytes", known, stats->received_bytes);
	add(text, "received_packets", known, stats->received_packets);
	add(text, "received_dropped", known, stats->received_dropped);
	add(text, "sent_bytes", known, stats->sent_bytes);
	add(text, "sent_packets", known, stats->sent_packets);
	add(text, "sent_dropped", known, stats->sent_dropped);
	strbuf_add(text, "}");
}

static void add_guest(struct strbuf *text, const struct agent *agent, const struct guest *guest)
{
	struct guest_usage usage;

	sampler_usage(agent->sampler, guest, &usage);
	strbuf_addf(text, "{\"name\":\"%s\",\"id\":\"%s\",\"driver\":\"%s\",\"state\":\"%s\"",
		guest->name, guest->id, guest->driver, guest_state_to_string(guest->state));
	add_time(text, "sampled", usage.sampled_ms);
	add_time(text, "unknown_since", usage.unknown_since_ms);
	add_driver(text, &guest->limits, usage.driver);
	add_net(text, &guest->limits, usage.net);
	begin(text, "storage");
	add_set(text, "set", guest->storage_size);
	add(text, "used", usage.storage, usage.storage ? *usage.storage : 0);
	strbuf_add(text, "}}");
}

static void add_node(struct strbuf *text, const struct agent *agent)
{
	const struct storage_space *space = &agent->space;
	struct node_figures figures;

	node_figures(agent, &figures);
	begin(text, "node");
	add(text, "cpus", true, figures.cpus);
	add(text, "cpu_used_ns", true, figures.cpu_ns);
	add(text, "memory", true, figures.memory_total);
	add(text, "memory_used", true, figures.memory_total - figures.memory_available);
	add(text, "storage", agent->storage, space->total + space->growable);
	add(text, "storage_used", agent->storage, space->used);
	add(text, "slots", true, figures.slots_total);
	add(text, "slots_used", true, figures.slots_used);
	add(text, "problems", true, agent->problems_count);
	begin(text, "guests");
	for (unsigned i = 0; i < GUEST_STATE_MAX_; i++)
		if (figures.guests[i] > 0)
			add(text, guest_state_to_string((enum guest_state)i), true,
				figures.guests[i]);
	strbuf_add(text, "}}");
}

/* A host may be called anything. */
static void add_node_name(struct strbuf *text, const char *name)
{
	json_t *value = json_string(name);
	AUTOFREE char *quoted = json_dumps(value, JSON_ENCODE_ANY);

	json_decref(value);
	strbuf_addf(text, "{\"name\":%s", quoted ? quoted : "\"\"");
}

char *stats_guest_json(const struct agent *agent, const struct guest *guest, size_t *ret_size)
{
	struct strbuf text = {0};

	add_guest(&text, agent, guest);
	*ret_size = text.used;
	return strbuf_take(&text);
}

char *stats_all_json(const struct agent *agent, size_t *ret_size)
{
	struct strbuf text = {0};
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	add_node_name(&text, agent->config->node_name);
	add_time(&text, "time", clock_realtime_ms());
	add_time(&text, "sampled", sampler_sampled_ms(agent->sampler));
	add_node(&text, agent);
	strbuf_add(&text, ",\"guests\":[");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strbuf_add(&text, ",");
		add_guest(&text, agent, sorted[i]->guest);
	}
	strbuf_add(&text, "]}");
	*ret_size = text.used;
	return strbuf_take(&text);
}
