/* The machine's own figures. */
#include "agent/metrics/figures.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/node/agent.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/file.h"

_Static_assert(GUEST_STATE_MAX_ <= ARRAY_SIZE(((struct node_figures *)0)->guests),
	"every state has its place");

/* The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal, in
 * ticks. What guests of a machine's own count as "guest" is in user already. */
static uint64_t cpu_busy_ns(void)
{
	AUTOFREE char *text = NULL;
	unsigned long long user, nice, system, idle, iowait, irq, softirq, steal = 0;
	long hertz = sysconf(_SC_CLK_TCK);

	if (hertz <= 0 || file_read("/proc/stat", 1 << 20, &text, NULL) < 0 ||
		sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
			&idle, &iowait, &irq, &softirq, &steal) < 7)
		return 0;
	return (user + nice + system + irq + softirq + steal) * (1000000000 / (uint64_t)hertz);
}

static uint64_t kib_of(const char *text, const char *key)
{
	const char *line = strstr(text, key);
	unsigned long long kib = 0;

	if (line)
		sscanf(line + strlen(key), "%llu", &kib);
	return kib;
}

static void read_memory(struct node_figures *ret)
{
	AUTOFREE char *text = NULL;

	if (file_read("/proc/meminfo", 65536, &text, NULL) < 0)
		return;
	ret->memory_total = kib_of(text, "MemTotal:") * 1024;
	ret->memory_available = kib_of(text, "MemAvailable:") * 1024;
}

static void read_process(struct node_figures *ret)
{
	AUTOFREE char *text = NULL;
	unsigned long long pages = 0;
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		ret->process_cpu_ns =
			(uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
			(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
	if (file_read("/proc/self/statm", 256, &text, NULL) == 0 &&
		sscanf(text, "%*u %llu", &pages) == 1)
		ret->process_resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void node_figures(const struct agent *agent, struct node_figures *ret)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	*ret = (struct node_figures){
		.cpus = (uint32_t)get_nprocs(),
		.cpu_ns = cpu_busy_ns(),
		.slots_total = agent_slots_total(agent),
	};
	ret->slots_used = registry_slots_used(agent->registry, &ret->slots_reserved);
	for (size_t i = 0; i < count; i++)
		ret->guests[sorted[i]->guest->state]++;
	read_memory(ret);
	read_process(ret);
}
