/* What `corpus top` shows, as values: rates from two answers of /v1/stats, in an order. No terminal
 * here. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOP_UNKNOWN (-1.0)

/* One guest. Numbers below 0 are not known. */
struct top_row {
	const char *name, *state, *driver; /* in the answer that it was made from */
	double cpu;			   /* processors: 1.5 is one and a half */
	double cpu_set;
	double memory, memory_set; /* bytes */
	double pids;
	double io;		     /* bytes a second, read and written */
	double received, sent;	     /* bytes a second */
	double storage, storage_set; /* bytes */
	double oom_kills;
	bool throttled; /* held back by its limit of processors since the answer before */
	bool unknown;	/* its driver does not answer */
};

enum top_order {
	TOP_BY_CPU,
	TOP_BY_MEMORY,
	TOP_BY_IO,
	TOP_BY_NETWORK,
	TOP_BY_STORAGE,
	TOP_BY_NAME
};

struct top {
	json_t *now; /* the newest answer; owned; NULL: none yet */
	struct top_row *rows;
	size_t count;
	double cpu; /* of the node: processors busy */
	enum top_order order;
	struct top_counters *before; /* by id */
	size_t before_count;
	double node_cpu_ns;
	int64_t node_ms;
};

/* Takes a new answer; rates are those since the one before. One that is as old as that leaves the
 * rates as they are. -ENOMEM leaves all as it was. */
int top_take(struct top *top, const json_t *answer);
void top_sort(struct top *top, enum top_order order);
void top_finish(struct top *top);
