/* Counters and histograms of operations and requests. */
#include "agent/metrics/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/metrics/exposition.h"
#include "base/cleanup.h"
#include "model/operation.h"

#define SERIES_MAX 2048 /* more combinations than there are; a bound all the same */
#define TEXT_MAX   32

#define MS UINT64_C(1000000)

static const uint64_t g_operation_ns[] = {5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
	500 * MS, 1000 * MS, 2500 * MS, 5000 * MS, 10000 * MS, 30000 * MS, 60000 * MS};
static const char *const g_operation_text[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
	"0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0"};
static const uint64_t g_request_ns[] = {MS / 10, MS / 4, MS / 2, MS, 5 * MS, 25 * MS, 100 * MS,
	500 * MS, 1000 * MS, 5000 * MS, 60000 * MS};
static const char *const g_request_text[] = {"0.0001", "0.00025", "0.0005", "0.001", "0.005",
	"0.025", "0.1", "0.5", "1.0", "5.0", "60.0"};

static const struct bounds g_operation_bounds = {
	g_operation_ns, g_operation_text, ARRAY_SIZE(g_operation_ns)};
static const struct bounds g_request_bounds = {
	g_request_ns, g_request_text, ARRAY_SIZE(g_request_ns)};

/* One combination of labels. */
struct series {
	char values[3][TEXT_MAX];
	const char *route; /* of requests, in place of the first */
	struct histogram times;
};

struct table {
	struct series *at;
	size_t count, room;
};

struct counters {
	struct table operations, requests;
};

struct counters *counters_create(void)
{
	return calloc(1, sizeof(struct counters));
}

struct counters *counters_destroy(struct counters *counters)
{
	if (!counters)
		return NULL;
	free(counters->operations.at);
	free(counters->requests.at);
	free(counters);
	return NULL;
}

static bool is_series(const struct series *series, const struct series *key)
{
	if (series->route != key->route)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(key->values); i++)
		if (strcmp(series->values[i], key->values[i]) != 0)
			return false;
	return true;
}

/* NULL without memory. */
static struct series *find_or_add(struct table *table, const struct series *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (is_series(&table->at[i], key))
			return &table->at[i];
	if (table->count == SERIES_MAX)
		return NULL;
	if (table->count == table->room) {
		size_t room = table->room ? table->room * 2 : 32;
		struct series *grown = reallocarray(table->at, room, sizeof(*grown));

		if (!grown)
			return NULL;
		table->at = grown;
		table->room = room;
	}
	table->at[table->count] = *key;
	return &table->at[table->count++];
}

void counters_operation(
	struct counters *counters, const struct operation *operation, const char *driver)
{
	struct series key = {0}, *series;

	snprintf(key.values[0], TEXT_MAX, "%s", operation->verb);
	snprintf(key.values[1], TEXT_MAX, "%s", driver ? driver : "");
	snprintf(key.values[2], TEXT_MAX, "%s", operation_state_to_string(operation->state));
	series = find_or_add(&counters->operations, &key);
	if (series)
		histogram_add(&series->times, &g_operation_bounds,
			(operation->ended_ms - operation->created_ms) * (int64_t)MS);
}

void counters_request(struct counters *counters, const char *route, const char *method,
	unsigned status, int64_t duration_ns)
{
	struct series key = {.route = route ? route : ""}, *series;

	snprintf(key.values[1], TEXT_MAX, "%s", method);
	snprintf(key.values[2], TEXT_MAX, "%uxx", status / 100 % 10);
	series = find_or_add(&counters->requests, &key);
	if (series)
		histogram_add(&series->times, &g_request_bounds, duration_ns);
}

/* --- Exposing -------------------------------------------------------------------------------- */

struct kind {
	struct family total, times;
	const char *labels[3];
	const struct bounds *bounds;
};

static const struct kind g_operations = {
	.total = {"corpus_operations", FAMILY_COUNTER, NULL,
		"Operations that ended since the agent started."},
	.times = {"corpus_operation_duration_seconds", FAMILY_HISTOGRAM, "seconds",
		"From the acceptance of an operation to its end."},
	.labels = {"verb", "driver", "result"},
	.bounds = &g_operation_bounds,
};

static const struct kind g_requests = {
	.total = {"corpus_http_requests", FAMILY_COUNTER, NULL,
		"Requests that were answered since the agent started."},
	.times = {"corpus_http_request_duration_seconds", FAMILY_HISTOGRAM, "seconds",
		"From the first line of a request to its answer, with what it waited for."},
	.labels = {"route", "method", "status"},
	.bounds = &g_request_bounds,
};

static void fill_labels(
	const struct kind *kind, const struct series *series, struct label ret[static 3])
{
	for (size_t i = 0; i < ARRAY_SIZE(kind->labels); i++)
		ret[i] = (struct label){kind->labels[i], series->values[i]};
	if (series->route)
		ret[0].value = series->route;
}

static void expose_table(
	const struct kind *kind, const struct table *table, struct exposition *exposition)
{
	struct label labels[3];

	expose_family(exposition, &kind->total);
	for (size_t i = 0; i < table->count; i++) {
		fill_labels(kind, &table->at[i], labels);
		expose_number(exposition, labels, ARRAY_SIZE(labels), table->at[i].times.count);
	}
	expose_family(exposition, &kind->times);
	for (size_t i = 0; i < table->count; i++) {
		fill_labels(kind, &table->at[i], labels);
		expose_histogram(
			exposition, labels, ARRAY_SIZE(labels), &table->at[i].times, kind->bounds);
	}
}

void counters_expose(const struct counters *counters, struct exposition *exposition)
{
	expose_table(&g_operations, &counters->operations, exposition);
	expose_table(&g_requests, &counters->requests, exposition);
}
