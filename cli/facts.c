/* Facts and values. */
#include "cli/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/table.h"

#define SECONDS_LENGTH 19 /* of "2026-11-22T12:55:03" */

static const struct table_column FACTS[] = {{0}, {.state = true}};

struct table *facts_create(void)
{
	return table_create(FACTS, ARRAY_SIZE(FACTS));
}

void facts_add(struct table *facts, const char *name, const char *value)
{
	if (value && *value)
		table_add(facts, (const char *const[]){name, value});
}

void facts_addf(struct table *facts, const char *name, const char *fmt, ...)
{
	AUTOFREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	facts_add(facts, name, text);
}

void facts_print(struct cli *cli, struct table *facts)
{
	table_print(facts, cli->out, cli->colour);
	table_destroy(facts);
}

const char *value_size(char buf[static VALUE_MAX], const json_t *json, const char *path)
{
	const json_t *value = json_at(json, path);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return "-";
	snprintf(buf, VALUE_MAX, "%s", FMT_SIZE((uint64_t)json_integer_value(value)));
	return buf;
}

const char *value_number(char buf[static VALUE_MAX], const json_t *json, const char *path)
{
	const json_t *value = json_at(json, path);

	if (!json_is_number(value))
		return "-";
	if (json_is_integer(value))
		snprintf(buf, VALUE_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		snprintf(buf, VALUE_MAX, "%.4g", json_real_value(value));
	return buf;
}

const char *value_time(char buf[static VALUE_MAX], const json_t *json, const char *path)
{
	const char *text = json_text(json, path);

	snprintf(buf, VALUE_MAX, "%.*s", SECONDS_LENGTH, text);
	for (char *c = buf; *c; c++)
		if (*c == 'T')
			*c = ' ';
	return buf;
}

const char *value_switch(const json_t *json, const char *path)
{
	const json_t *value = json_at(json, path);

	if (!json_is_boolean(value))
		return "";
	return json_is_true(value) ? "yes" : "no";
}

char *value_list(const json_t *json, const char *path)
{
	struct strbuf buf = {0};
	const json_t *item;
	size_t i;

	json_array_foreach (json_at(json, path), i, item) {
		strbuf_add(&buf, i ? ", " : "");
		strbuf_add(&buf, json_string_value(item) ? json_string_value(item) : "?");
	}
	return strbuf_take(&buf);
}
