/* The machine's own figures, and those of corpusd's process, from /proc. */
#pragma once

#include <stdint.h>

struct agent;

struct node_figures {
	uint32_t cpus;
	uint64_t cpu_ns; /* busy since boot, of all of them together */
	uint64_t memory_total, memory_available;
	uint32_t slots_total, slots_used, slots_reserved; /* reserved: of those used */
	uint32_t guests[16];				  /* by enum guest_state */
	uint64_t process_cpu_ns, process_resident;
};

void node_figures(const struct agent *agent, struct node_figures *ret);
