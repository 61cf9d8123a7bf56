/* What the agent itself has done since its start: operations by verb, driver and result, requests
 * by route, method and class of status, each counted and timed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct counters;
struct exposition;
struct operation;

struct counters *counters_create(void); /* NULL without memory */
struct counters *counters_destroy(struct counters *counters);

/* An operation has ended. `driver` is that of its guest; NULL: it was not about one. */
void counters_operation(
	struct counters *counters, const struct operation *operation, const char *driver);

/* A request was answered. `route` is the template of its path, a text that stays for ever; NULL:
 * there is no such path. */
void counters_request(struct counters *counters, const char *route, const char *method,
	unsigned status, int64_t duration_ns);

void counters_expose(const struct counters *counters, struct exposition *exposition);
