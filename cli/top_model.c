/* Rates and orders. */
#include "cli/top_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"

/* What grows, as it was in the answer before, with the rates that followed from it. */
struct top_counters {
	const char *id; /* in the answer that it was made from */
	int64_t sampled_ms;
	double cpu_ns, throttled, io, received, sent;
	double rates[4]; /* cpu, io, received, sent */
	bool held_back;
};

enum { RATE_CPU, RATE_IO, RATE_RECEIVED, RATE_SENT };

/* Milliseconds since the epoch of "2026-11-22T12:55:03.250Z"; 0: no time. */
static int64_t time_of(const char *text)
{
	struct tm tm = {0};
	int ms = 0;

	if (sscanf(text, "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		    &tm.tm_min, &tm.tm_sec, &ms) < 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

static double number(const json_t *json, const char *path)
{
	const json_t *value = json_at(json, path);

	return json_is_number(value) ? json_number_value(value) : TOP_UNKNOWN;
}

static double sum(double a, double b)
{
	return a < 0 || b < 0 ? TOP_UNKNOWN : a + b;
}

/* --- Rates ----------------------------------------------------------------------------------- */

static int compare_counters(const void *a, const void *b)
{
	return strcmp(((const struct top_counters *)a)->id, ((const struct top_counters *)b)->id);
}

static const struct top_counters *counters_before(const struct top *top, const char *id)
{
	const struct top_counters key = {.id = id};

	return top->before_count ? bsearch(&key, top->before, top->before_count, sizeof(key),
					   compare_counters)
				 : NULL;
}

/* What has grown since, for each second; one that shrank began anew. */
static double rate(double now, double before, int64_t ms)
{
	return now < 0 || before < 0 || now < before || ms <= 0
		       ? TOP_UNKNOWN
		       : (now - before) * 1000 / (double)ms;
}

static void fill_rates(struct top_counters *now, const struct top_counters *before)
{
	int64_t ms = before ? now->sampled_ms - before->sampled_ms : 0;
	bool same = before && ms == 0;

	for (size_t i = 0; i < 4; i++)
		now->rates[i] = same ? before->rates[i] : TOP_UNKNOWN;
	now->held_back = same && before->held_back;
	if (!before || same)
		return;
	now->rates[RATE_CPU] = rate(now->cpu_ns, before->cpu_ns, ms);
	if (now->rates[RATE_CPU] > 0)
		now->rates[RATE_CPU] /= 1e9;
	now->rates[RATE_IO] = rate(now->io, before->io, ms);
	now->rates[RATE_RECEIVED] = rate(now->received, before->received, ms);
	now->rates[RATE_SENT] = rate(now->sent, before->sent, ms);
	now->held_back = before->throttled >= 0 && now->throttled > before->throttled;
}

static void read_counters(const struct top *top, const json_t *guest, struct top_counters *ret)
{
	*ret = (struct top_counters){.id = json_text(guest, "id"),
		.sampled_ms = time_of(json_text(guest, "sampled")),
		.cpu_ns = number(guest, "cpu.used_ns"),
		.throttled = number(guest, "cpu.throttled"),
		.io = sum(number(guest, "io.read_bytes"), number(guest, "io.write_bytes")),
		.received = number(guest, "network.received_bytes"),
		.sent = number(guest, "network.sent_bytes")};
	fill_rates(ret, counters_before(top, ret->id));
}

static void read_row(const json_t *guest, const struct top_counters *counters, struct top_row *ret)
{
	*ret = (struct top_row){.name = json_text(guest, "name"),
		.state = json_text(guest, "state"),
		.driver = json_text(guest, "driver"),
		.cpu = counters->rates[RATE_CPU],
		.cpu_set = number(guest, "cpu.set"),
		.memory = number(guest, "memory.used"),
		.memory_set = number(guest, "memory.set"),
		.pids = number(guest, "pids.used"),
		.io = counters->rates[RATE_IO],
		.received = counters->rates[RATE_RECEIVED],
		.sent = counters->rates[RATE_SENT],
		.storage = number(guest, "storage.used"),
		.storage_set = number(guest, "storage.set"),
		.oom_kills = number(guest, "memory.oom_kills"),
		.throttled = counters->held_back,
		.unknown = *json_text(guest, "unknown_since") != '\0'};
}

static void take_node_cpu(struct top *top)
{
	double used_ns = number(top->now, "node.cpu_used_ns");
	int64_t time_ms = time_of(json_text(top->now, "time"));

	if (top->node_ms && time_ms == top->node_ms)
		return;
	top->cpu = top->node_ms ? rate(used_ns, top->node_cpu_ns, time_ms - top->node_ms)
				: TOP_UNKNOWN;
	if (top->cpu > 0)
		top->cpu /= 1e9;
	top->node_cpu_ns = used_ns;
	top->node_ms = time_ms;
}

int top_take(struct top *top, const json_t *answer)
{
	const json_t *guests = json_at(answer, "guests");
	size_t count = json_array_size(guests);
	struct top_row *rows = calloc(count + 1, sizeof(*rows));
	struct top_counters *counters = calloc(count + 1, sizeof(*counters));

	if (!rows || !counters) {
		free(rows);
		free(counters);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		const json_t *guest = json_array_get(guests, i);

		read_counters(top, guest, &counters[i]);
		read_row(guest, &counters[i], &rows[i]);
	}
	qsort(counters, count, sizeof(*counters), compare_counters);
	free(top->rows);
	free(top->before);
	json_decref(top->now);
	top->now = json_incref((json_t *)answer);
	top->rows = rows;
	top->before = counters;
	top->count = top->before_count = count;
	take_node_cpu(top);
	top_sort(top, top->order);
	return 0;
}

/* --- Orders ---------------------------------------------------------------------------------- */

static double key_of(const struct top_row *row, enum top_order order)
{
	switch (order) {
	case TOP_BY_CPU: return row->cpu;
	case TOP_BY_MEMORY: return row->memory;
	case TOP_BY_IO: return row->io;
	case TOP_BY_NETWORK: return sum(row->received, row->sent);
	case TOP_BY_STORAGE: return row->storage;
	case TOP_BY_NAME: break;
	}
	return 0;
}

/* The most first; of the same, by name. */
static int compare_rows(const void *a, const void *b, void *data)
{
	const struct top_row *left = a, *right = b;
	double difference =
		key_of(right, *(enum top_order *)data) - key_of(left, *(enum top_order *)data);

	if (difference != 0)
		return difference > 0 ? 1 : -1;
	return strcmp(left->name, right->name);
}

void top_sort(struct top *top, enum top_order order)
{
	top->order = order;
	qsort_r(top->rows, top->count, sizeof(*top->rows), compare_rows, &top->order);
}

void top_finish(struct top *top)
{
	free(top->rows);
	free(top->before);
	json_decref(top->now);
	*top = (struct top){0};
}
