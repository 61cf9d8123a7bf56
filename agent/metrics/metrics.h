/* What is shown of use and work: figures of guests and node as JSON, and everything as metrics. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct exposition;
struct guest;

/* Content types of the two forms. */
#define METRICS_OPEN_TYPE    "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_CLASSIC_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All metrics, from what the sampler knows now; NULL without memory. */
char *metrics_render(const struct agent *agent, bool open_metrics, size_t *ret_size);

/* Those of guests (guests_metrics.c). */
void metrics_guests(const struct agent *agent, struct exposition *exposition);

/* One guest's figures, or the node's and those of all guests, as JSON text; NULL without memory. */
char *stats_guest_json(const struct agent *agent, const struct guest *guest, size_t *ret_size);
char *stats_all_json(const struct agent *agent, size_t *ret_size);
