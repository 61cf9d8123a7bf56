/* Metrics of guests: a table of families, each filled from one place of what is known of a guest.
 */
#include <stdlib.h>

#include "agent/metrics/exposition.h"
#include "agent/metrics/metrics.h"
#include "agent/metrics/sampler.h"
#include "agent/node/agent.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"

enum source { FROM_DRIVER, FROM_NET, FROM_STORAGE, FROM_GUEST, FROM_GUEST_32 };

struct figure {
	struct family family;
	enum source source;
	size_t offset;
	bool ns;       /* nanoseconds, shown as seconds */
	bool optional; /* 0 is "not set", and left out */
};

#define DRIVER(member)	 FROM_DRIVER, offsetof(struct driver_stats, member), false, false
#define DRIVERNS(member) FROM_DRIVER, offsetof(struct driver_stats, member), true, false
#define NET(member)	 FROM_NET, offsetof(struct net_guest_stats, member), false, false
#define LIMIT(member)	 FROM_GUEST, offsetof(struct guest, limits.member), false, true
#define LIMIT_32(member) FROM_GUEST_32, offsetof(struct guest, limits.member), false, true

static const struct figure g_figures[] = {
	{{"corpus_guest_cpu_seconds", FAMILY_COUNTER, "seconds",
		 "Time on processors since the guest's start."},
		DRIVERNS(cpu_ns)},
	{{"corpus_guest_cpu_periods", FAMILY_COUNTER, NULL,
		 "Scheduling periods in which the guest ran under a limit of processors."},
		DRIVER(cpu_periods)},
	{{"corpus_guest_cpu_throttled_periods", FAMILY_COUNTER, NULL,
		 "Scheduling periods in which the guest was held back by its limit."},
		DRIVER(cpu_throttled)},
	{{"corpus_guest_cpu_throttled_seconds", FAMILY_COUNTER, "seconds",
		 "Time for which the guest was held back by its limit."},
		DRIVERNS(cpu_throttled_ns)},
	{{"corpus_guest_memory_bytes", FAMILY_GAUGE, "bytes", "Memory in use, with its cache."},
		DRIVER(memory)},
	{{"corpus_guest_memory_peak_bytes", FAMILY_GAUGE, "bytes", "The most that was in use."},
		DRIVER(memory_peak)},
	{{"corpus_guest_memory_cache_bytes", FAMILY_GAUGE, "bytes",
		 "The part of memory that holds files and can be given back."},
		DRIVER(memory_cache)},
	{{"corpus_guest_memory_limit_bytes", FAMILY_GAUGE, "bytes",
		 "Limit of memory, where one is set."},
		LIMIT(memory)},
	{{"corpus_guest_swap_bytes", FAMILY_GAUGE, "bytes", "Swap in use."}, DRIVER(swap)},
	{{"corpus_guest_oom_kills", FAMILY_COUNTER, NULL,
		 "Processes that the kernel killed for the guest's limit of memory."},
		DRIVER(oom_kills)},
	{{"corpus_guest_pids", FAMILY_GAUGE, NULL, "Processes and threads."}, DRIVER(pids)},
	{{"corpus_guest_pids_limit", FAMILY_GAUGE, NULL,
		 "Limit of processes and threads, where one is set."},
		LIMIT_32(pids)},
	{{"corpus_guest_pids_refused", FAMILY_COUNTER, NULL,
		 "Processes and threads that were not made for the guest's limit."},
		DRIVER(pids_refused)},
	{{"corpus_guest_io_read_bytes", FAMILY_COUNTER, "bytes", "Read from disk."},
		DRIVER(io_read_bytes)},
	{{"corpus_guest_io_written_bytes", FAMILY_COUNTER, "bytes", "Written to disk."},
		DRIVER(io_write_bytes)},
	{{"corpus_guest_io_reads", FAMILY_COUNTER, NULL, "Reads from disk."}, DRIVER(io_reads)},
	{{"corpus_guest_io_writes", FAMILY_COUNTER, NULL, "Writes to disk."}, DRIVER(io_writes)},
	{{"corpus_guest_network_received_bytes", FAMILY_COUNTER, "bytes", "Received by the guest."},
		NET(received_bytes)},
	{{"corpus_guest_network_received_packets", FAMILY_COUNTER, NULL,
		 "Packets received by the guest."},
		NET(received_packets)},
	{{"corpus_guest_network_received_dropped_packets", FAMILY_COUNTER, NULL,
		 "Packets to the guest that its link dropped."},
		NET(received_dropped)},
	{{"corpus_guest_network_sent_bytes", FAMILY_COUNTER, "bytes", "Sent by the guest."},
		NET(sent_bytes)},
	{{"corpus_guest_network_sent_packets", FAMILY_COUNTER, NULL, "Packets sent by the guest."},
		NET(sent_packets)},
	{{"corpus_guest_network_sent_dropped_packets", FAMILY_COUNTER, NULL,
		 "Packets from the guest that its link dropped."},
		NET(sent_dropped)},
	{{"corpus_guest_storage_used_bytes", FAMILY_GAUGE, "bytes", "Storage in use."},
		FROM_STORAGE, 0, false, false},
	{{"corpus_guest_storage_limit_bytes", FAMILY_GAUGE, "bytes",
		 "Size of the guest's storage."},
		FROM_GUEST, offsetof(struct guest, storage_size), false, false},
	{{"corpus_guest_slots", FAMILY_GAUGE, NULL, "Slots that the guest takes."}, FROM_GUEST_32,
		offsetof(struct guest, slots), false, false},
	{{"corpus_guest_restarts", FAMILY_GAUGE, NULL,
		 "Restarts by the guest's policy since somebody started it last."},
		FROM_GUEST_32, offsetof(struct guest, restarts), false, false},
};

/* A guest's labels, and all that is known of it. */
struct row {
	const struct guest *guest;
	struct guest_usage usage;
	struct label labels[2];
};

/* False: not known, or not set. */
static bool value_of(const struct row *row, const struct figure *figure, uint64_t *ret)
{
	const char *base = NULL;

	switch (figure->source) {
	case FROM_DRIVER: base = (const char *)row->usage.driver; break;
	case FROM_NET: base = (const char *)row->usage.net; break;
	case FROM_STORAGE: base = (const char *)row->usage.storage; break;
	case FROM_GUEST:
	case FROM_GUEST_32: base = (const char *)row->guest; break;
	}
	if (!base)
		return false;
	*ret = figure->source == FROM_GUEST_32 ? *(const uint32_t *)(base + figure->offset)
					       : *(const uint64_t *)(base + figure->offset);
	return *ret > 0 || !figure->optional;
}

static void expose_figure(struct exposition *exposition, const struct figure *figure,
	const struct row *rows, size_t count)
{
	expose_family(exposition, &figure->family);
	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		if (!value_of(&rows[i], figure, &value))
			continue;
		if (figure->ns)
			expose_seconds(
				exposition, rows[i].labels, ARRAY_SIZE(rows[i].labels), value);
		else
			expose_number(
				exposition, rows[i].labels, ARRAY_SIZE(rows[i].labels), value);
	}
}

static const struct family g_cpu_limit = {"corpus_guest_cpu_limit", FAMILY_GAUGE, NULL,
	"Limit of processors, where one is set: 1.5 is one and a half."};
static const struct family g_running = {
	"corpus_guest_running", FAMILY_GAUGE, NULL, "1 while the guest runs, else 0."};
static const struct family g_healthy = {"corpus_guest_healthy", FAMILY_GAUGE, NULL,
	"1 while the guest's health check succeeds, else 0; only of those that are checked."};

static void expose_states(struct exposition *exposition, const struct row *rows, size_t count)
{
	expose_family(exposition, &g_running);
	for (size_t i = 0; i < count; i++)
		expose_number(exposition, rows[i].labels, 2, rows[i].guest->state == GUEST_RUNNING);
	expose_family(exposition, &g_healthy);
	for (size_t i = 0; i < count; i++)
		if (rows[i].guest->health_state != GUEST_HEALTH_NONE)
			expose_number(exposition, rows[i].labels, 2,
				rows[i].guest->health_state == GUEST_HEALTH_HEALTHY);
	expose_family(exposition, &g_cpu_limit);
	for (size_t i = 0; i < count; i++)
		if (rows[i].guest->limits.cpu_milli > 0)
			expose_seconds(exposition, rows[i].labels, 2,
				rows[i].guest->limits.cpu_milli * UINT64_C(1000000));
}

void metrics_guests(const struct agent *agent, struct exposition *exposition)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	AUTOFREE struct row *rows = calloc(count + 1, sizeof(*rows));

	if (!rows) {
		exposition->text.failed = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct guest *guest = sorted[i]->guest;

		rows[i] = (struct row){.guest = guest,
			.labels = {{"guest", guest->name}, {"driver", guest->driver}}};
		sampler_usage(agent->sampler, guest, &rows[i].usage);
	}
	expose_states(exposition, rows, count);
	for (size_t i = 0; i < ARRAY_SIZE(g_figures); i++)
		expose_figure(exposition, &g_figures[i], rows, count);
}
