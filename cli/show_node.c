/* The node, its slots, images, operations and events. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/text.h"

static char *guests_in_short(const json_t *guests)
{
	struct strbuf buf = {0};
	const char *state;
	json_t *count;

	json_object_foreach ((json_t *)guests, state, count)
		strbuf_addf(&buf, "%s%" JSON_INTEGER_FORMAT " %s", buf.used ? ", " : "",
			json_integer_value(count), state);
	return strbuf_take(&buf);
}

static void add_resources(struct table *facts, const json_t *node)
{
	AUTOFREE char *guests = guests_in_short(json_at(node, "guests"));

	facts_add(facts, "cpus", V_NUMBER(node, "resources.cpus"));
	facts_addf(facts, "memory", "%s, %s available", V_SIZE(node, "resources.memory.total"),
		V_SIZE(node, "resources.memory.available"));
	facts_addf(facts, "storage", "%s, %s free", V_SIZE(node, "resources.storage.total"),
		V_SIZE(node, "resources.storage.free"));
	facts_addf(facts, "slots", "%s: %s used, %s reserved, %s free",
		V_NUMBER(node, "slots.total"), V_NUMBER(node, "slots.used"),
		V_NUMBER(node, "slots.reserved"), V_NUMBER(node, "slots.free"));
	facts_add(facts, "guests", guests && *guests ? guests : "none");
}

/* "libvirt 9.0.0 (kvm)": what is driven, and how machines are accelerated. */
static const char *version_of(char buf[static VALUE_MAX], const json_t *driver)
{
	const char *acceleration = json_text(driver, "acceleration");

	snprintf(buf, VALUE_MAX, *acceleration ? "%.40s (%.16s)" : "%.40s%s",
		json_text(driver, "version"), acceleration);
	return buf;
}

static void print_drivers(struct cli *cli, const json_t *drivers)
{
	static const struct table_column COLUMNS[] = {{"DRIVER"}, {"STATE", .state = true},
		{"VERSION"}, {"IMAGES"}, {"CAN"}, {"PROBLEM"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *driver;
	size_t i;

	if (json_array_size(drivers) == 0)
		return;
	json_array_foreach (drivers, i, driver) {
		AUTOFREE char *can = value_list(driver, "capabilities");
		const char *problem = json_text(driver, "problem");

		table_add(table,
			(const char *const[]){
				json_text(driver, "name"),
				json_is_true(json_at(driver, "usable")) ? "usable" : "unusable",
				version_of((char[VALUE_MAX]){0}, driver),
				json_text(driver, "image_kind"),
				can,
				*problem ? problem : json_text(driver, "notice"),
			});
	}
	fputc('\n', cli->out);
	table_print(table, cli->out, cli->colour);
}

static void print_problems(struct cli *cli, const json_t *problems)
{
	static const struct table_column COLUMNS[] = {{"PROBLEM"}, {"SINCE"}, {"WHAT"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *problem;
	size_t i;

	if (json_array_size(problems) == 0)
		return;
	json_array_foreach (problems, i, problem)
		table_add(table, (const char *const[]){
					 json_text(problem, "code"),
					 V_TIME(problem, "since"),
					 json_text(problem, "message"),
				 });
	fputc('\n', cli->out);
	table_print(table, cli->out, cli->colour);
}

static void add_rest(struct table *facts, const json_t *rest)
{
	const char *state = json_text(rest, "state");

	if (strcmp(state, "stopping") == 0)
		facts_addf(facts, "guests", "guests are being stopped: %s still run",
			V_NUMBER(rest, "running"));
	else if (strcmp(state, "waking") == 0)
		facts_addf(facts, "rest", "guests are being started: %s still to come",
			V_NUMBER(rest, "guests"));
	else if (strcmp(state, "resting") == 0)
		facts_addf(facts, "rest", "guests are stopped: %s will start again, %s run",
			V_NUMBER(rest, "guests"), V_NUMBER(rest, "running"));
}

static void print_names(struct cli *cli, const char *what, const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach (names, i, name) {
		AUTOFREE char *text = text_escaped(json_string_value(name));

		fprintf(cli->out, "would be %s: %s\n", what, text ? text : "?");
	}
}

void show_mode_plan(struct cli *cli, const json_t *plan)
{
	if (!json_is_true(json_at(plan, "changed")))
		fputs("the node is so already\n", cli->out);
	else
		fprintf(cli->out, "would be in mode %s\n", json_text(plan, "mode"));
	print_names(cli, "stopped", json_at(plan, "stop"));
	print_names(cli, "started", json_at(plan, "start"));
}

/* Of each driver whose guests have some. */
static void add_data_paths(struct table *facts, const json_t *drivers)
{
	const json_t *driver;
	size_t i;

	json_array_foreach (drivers, i, driver) {
		AUTOFREE char *paths = value_list(driver, "data_paths");

		if (json_at(driver, "data_paths"))
			facts_addf(facts, "data paths", "%s: %s", json_text(driver, "name"),
				paths && *paths ? paths : "none");
	}
}

void show_node(struct cli *cli, const json_t *node)
{
	struct table *facts = facts_create();
	AUTOFREE char *addresses = value_list(node, "addresses");

	facts_add(facts, "name", json_text(node, "name"));
	facts_add(facts, "mode", json_text(node, "mode"));
	add_rest(facts, json_at(node, "rest"));
	facts_add(facts, "environment", json_text(node, "environment"));
	facts_add(facts, "addresses", addresses);
	facts_add(facts, "kernel", json_text(node, "kernel"));
	facts_add(facts, "agent", json_text(node, "version"));
	facts_add(facts, "started", V_TIME(node, "started"));
	add_resources(facts, node);
	add_data_paths(facts, json_at(node, "drivers"));
	facts_print(cli, facts);
	print_drivers(cli, json_at(node, "drivers"));
	print_problems(cli, json_at(node, "problems"));
}

void show_slots(struct cli *cli, const json_t *slots)
{
	static const struct table_column COLUMNS[] = {{"GUEST"}, {"ID"}, {"SLOTS", .right = true},
		{"USE"}, {"DRIVER"}, {"ENVIRONMENT"}, {"STATE", .state = true}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *guest;
	size_t i;

	fprintf(cli->out, "%s slots: %s used, %s reserved, %s free", V_NUMBER(slots, "total"),
		V_NUMBER(slots, "used"), V_NUMBER(slots, "reserved"), V_NUMBER(slots, "free"));
	if (strcmp(json_text(slots, "mode"), "active") != 0) {
		AUTOFREE char *mode = text_escaped(json_text(slots, "mode"));

		fprintf(cli->out, "; the node takes no guests: its mode is %s", mode ? mode : "?");
	}
	fputc('\n', cli->out);
	if (json_array_size(json_at(slots, "guests")) == 0)
		return;
	json_array_foreach (json_at(slots, "guests"), i, guest)
		table_add(table,
			(const char *const[]){
				json_text(guest, "name"),
				json_text(guest, "id"),
				V_NUMBER(guest, "slots"),
				json_is_true(json_at(guest, "reserved")) ? "reserved" : "used",
				json_text(guest, "driver"),
				json_text(guest, "environment"),
				json_text(guest, "state"),
			});
	fputc('\n', cli->out);
	table_print(table, cli->out, cli->colour);
}

void show_image(struct cli *cli, const json_t *image)
{
	struct table *facts = facts_create();

	const json_t *disk = json_at(image, "disk");

	facts_add(facts, "name", json_text(image, "name"));
	facts_add(facts, "kind", json_text(image, "kind"));
	if (json_is_object(disk))
		facts_addf(facts, "disk", "%s of %s, booted by %s", json_text(disk, "format"),
			V_SIZE(disk, "size"), json_text(disk, "boot"));
	facts_add(facts, "driver", json_text(image, "driver"));
	facts_add(facts, "id", json_text(image, "id"));
	facts_add(facts, "sha256", json_text(image, "sha256"));
	facts_add(facts, "size", V_SIZE(image, "size"));
	if (json_is_integer(json_at(image, "entries")))
		facts_add(facts, "entries", V_NUMBER(image, "entries"));
	facts_add(facts, "guests", V_NUMBER(image, "users"));
	facts_add(facts, "created", V_TIME(image, "created"));
	facts_print(cli, facts);
}

/* --- Operations ------------------------------------------------------------------------------ */

const char *shown_asker(char *buf, const json_t *operation)
{
	const json_t *uid = json_at(operation, "uid");
	const struct passwd *user =
		json_is_integer(uid) ? getpwuid((uid_t)json_integer_value(uid)) : NULL;

	if (!user)
		return value_number(buf, operation, "uid");
	snprintf(buf, VALUE_MAX, "%s", user->pw_name);
	return buf;
}

const char *shown_step(char *buf, const json_t *operation)
{
	const char *name = json_text(operation, "step");

	if (strcmp(json_text(operation, "state"), "done") == 0 || !*name)
		return "";
	snprintf(buf, VALUE_MAX, "%s (%s of %s)", name, V_NUMBER(operation, "step_index"),
		V_NUMBER(operation, "steps_count"));
	return buf;
}

void show_operation(struct cli *cli, const json_t *operation)
{
	struct table *facts = facts_create();

	facts_add(facts, "id", json_text(operation, "id"));
	facts_add(facts, "verb", json_text(operation, "verb"));
	facts_add(facts, "target", json_text(operation, "target"));
	facts_add(facts, "state", json_text(operation, "state"));
	facts_add(facts, "step", shown_step((char[VALUE_MAX]){0}, operation));
	facts_addf(facts, "progress", "%.0f %%",
		json_number_value(json_at(operation, "progress")) * 100);
	facts_add(facts, "who", shown_asker((char[VALUE_MAX]){0}, operation));
	facts_add(facts, "created", V_TIME(operation, "created"));
	facts_add(facts, "started", V_TIME(operation, "started"));
	facts_add(facts, "ended", V_TIME(operation, "ended"));
	if (json_is_true(json_at(operation, "cancel_requested")))
		facts_add(facts, "cancel", "requested");
	facts_add(facts, "problem", json_text(operation, "error.detail"));
	facts_print(cli, facts);
}

/* --- Events ---------------------------------------------------------------------------------- */

/* Fields that lead the line, or say nothing to a person. */
static bool is_leading(const char *key)
{
	static const char *const LEADING[] = {"number", "time", "type", "target", "guest_id"};

	for (size_t i = 0; i < ARRAY_SIZE(LEADING); i++)
		if (strcmp(LEADING[i], key) == 0)
			return true;
	return false;
}

static void add_detail(struct strbuf *line, const char *key, const json_t *value)
{
	AUTOFREE char *text = NULL;

	if (json_is_null(value) || is_leading(key))
		return;
	if (!json_is_string(value))
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	strbuf_add(line, " ");
	text_escape(line, key);
	strbuf_add(line, "=");
	text_escape(line, json_is_string(value) ? json_string_value(value) : text ? text : "");
}

void show_event(struct cli *cli, const json_t *event)
{
	struct strbuf buf = {0};
	AUTOFREE char *line = NULL;
	const char *key;
	json_t *value;

	strbuf_addf(&buf, "%6s  ", V_NUMBER(event, "number"));
	text_escape(&buf, V_TIME(event, "time"));
	strbuf_add(&buf, "  ");
	text_escape(&buf, json_text(event, "type"));
	strbuf_add(&buf, " ");
	text_escape(&buf, json_text(event, "target"));
	json_object_foreach ((json_t *)event, key, value)
		add_detail(&buf, key, value);
	line = strbuf_take(&buf);
	fprintf(cli->out, "%s\n", line ? line : "");
}
