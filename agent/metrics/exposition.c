/* Metrics as text. */
#include "agent/metrics/exposition.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *open, *classic; /* names of the type */
	const char *suffix;	    /* of its samples */
} g_types[] = {
	[FAMILY_GAUGE] = {"gauge", "gauge", ""},
	[FAMILY_COUNTER] = {"counter", "counter", "_total"},
	[FAMILY_INFO] = {"info", "gauge", "_info"},
	[FAMILY_HISTOGRAM] = {"histogram", "histogram", ""},
};

void histogram_add(struct histogram *histogram, const struct bounds *bounds, int64_t ns)
{
	uint64_t value = ns > 0 ? (uint64_t)ns : 0;
	size_t i = 0;

	while (i < bounds->count && value > bounds->ns[i])
		i++;
	histogram->buckets[i]++;
	histogram->count++;
	histogram->sum_ns += value;
}

void expose_family(struct exposition *exposition, const struct family *family)
{
	struct strbuf *text = &exposition->text;
	bool open = exposition->open_metrics;
	const char *suffix = open ? "" : g_types[family->type].suffix;

	exposition->family = family;
	strbuf_addf(text, "# TYPE %s%s %s\n", family->name, suffix,
		open ? g_types[family->type].open : g_types[family->type].classic);
	if (open && family->unit)
		strbuf_addf(text, "# UNIT %s %s\n", family->name, family->unit);
	strbuf_addf(text, "# HELP %s%s %s\n", family->name, suffix, family->help);
}

/* Backslash, quote and line feed are escaped in a label's value. */
static void add_escaped(struct strbuf *text, const char *value)
{
	while (*value) {
		size_t plain = strcspn(value, "\\\"\n");

		strbuf_add_bytes(text, value, plain);
		value += plain;
		if (!*value)
			return;
		strbuf_add(text, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
		value++;
	}
}

static void add_name(struct exposition *exposition, const char *suffix, const struct label *labels,
	size_t count, const char *bound)
{
	struct strbuf *text = &exposition->text;

	strbuf_add(text, exposition->family->name);
	strbuf_add(text, suffix);
	if (count > 0 || bound)
		strbuf_add(text, "{");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strbuf_add(text, ",");
		strbuf_add(text, labels[i].name);
		strbuf_add(text, "=\"");
		add_escaped(text, labels[i].value);
		strbuf_add(text, "\"");
	}
	if (bound)
		strbuf_addf(text, "%sle=\"%s\"", count > 0 ? "," : "", bound);
	strbuf_add(text, count > 0 || bound ? "} " : " ");
}

static void add_number(struct strbuf *text, uint64_t value)
{
	strbuf_add_u64(text, value);
	strbuf_add(text, "\n");
}

static void add_seconds(struct strbuf *text, uint64_t ns)
{
	strbuf_addf(text, "%llu.%09llu\n", (unsigned long long)(ns / 1000000000),
		(unsigned long long)(ns % 1000000000));
}

void expose_number(
	struct exposition *exposition, const struct label *labels, size_t count, uint64_t value)
{
	add_name(exposition, g_types[exposition->family->type].suffix, labels, count, NULL);
	add_number(&exposition->text, value);
}

void expose_seconds(
	struct exposition *exposition, const struct label *labels, size_t count, uint64_t ns)
{
	add_name(exposition, g_types[exposition->family->type].suffix, labels, count, NULL);
	add_seconds(&exposition->text, ns);
}

void expose_histogram(struct exposition *exposition, const struct label *labels, size_t count,
	const struct histogram *histogram, const struct bounds *bounds)
{
	uint64_t below = 0;

	for (size_t i = 0; i < bounds->count; i++) {
		below += histogram->buckets[i];
		add_name(exposition, "_bucket", labels, count, bounds->text[i]);
		add_number(&exposition->text, below);
	}
	add_name(exposition, "_bucket", labels, count, "+Inf");
	add_number(&exposition->text, histogram->count);
	add_name(exposition, "_sum", labels, count, NULL);
	add_seconds(&exposition->text, histogram->sum_ns);
	add_name(exposition, "_count", labels, count, NULL);
	add_number(&exposition->text, histogram->count);
}

char *expose_end(struct exposition *exposition, size_t *ret_size)
{
	if (exposition->open_metrics)
		strbuf_add(&exposition->text, "# EOF\n");
	*ret_size = exposition->text.used;
	return strbuf_take(&exposition->text);
}
