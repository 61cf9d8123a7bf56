/* Metrics as text, in the two forms that Prometheus reads: OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/) and the older text format 0.0.4. They
 * differ in where a counter's "_total" stands, in units, and in the end mark. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

enum family_type { FAMILY_GAUGE, FAMILY_COUNTER, FAMILY_INFO, FAMILY_HISTOGRAM };

/* All samples of a family follow it at once. */
struct family {
	const char *name; /* without "_total" and "_info"; ends with "_UNIT" when it has one */
	enum family_type type;
	const char *unit; /* NULL: none */
	const char *help;
};

struct label {
	const char *name, *value;
};

#define LABELS_MAX 4

struct exposition {
	struct strbuf text;
	bool open_metrics;
	const struct family *family;
};

/* Upper bounds of a histogram's buckets, in nanoseconds and as they are shown. */
struct bounds {
	const uint64_t *ns;
	const char *const *text;
	size_t count;
};

#define BUCKETS_MAX 16

struct histogram {
	uint64_t buckets[BUCKETS_MAX]; /* not added up */
	uint64_t count, sum_ns;
};

void histogram_add(struct histogram *histogram, const struct bounds *bounds, int64_t ns);

void expose_family(struct exposition *exposition, const struct family *family);

/* Samples of the family of now. */
void expose_number(
	struct exposition *exposition, const struct label *labels, size_t count, uint64_t value);
void expose_seconds(
	struct exposition *exposition, const struct label *labels, size_t count, uint64_t ns);
void expose_histogram(struct exposition *exposition, const struct label *labels, size_t count,
	const struct histogram *histogram, const struct bounds *bounds);

/* The text, or NULL without memory. */
char *expose_end(struct exposition *exposition, size_t *ret_size);
