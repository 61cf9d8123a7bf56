/* Guests, their storage and ports. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/health.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/text.h"

#define SSH "ssh"

static bool is_ssh(const json_t *port)
{
	return strcmp(json_text(port, "purpose"), SSH) == 0;
}

/* --- One guest ------------------------------------------------------------------------------- */

static char *limits_in_short(const json_t *limits)
{
	static const struct {
		const char *name;
		bool size;
		const char *unit;
	} LIMITS[] = {{"cpus", false, ""}, {"memory", true, ""}, {"swap", true, ""},
		{"pids", false, ""}, {"io_weight", false, ""}, {"io_read", true, "/s"},
		{"io_write", true, "/s"}, {"net_ingress", true, "/s"}, {"net_egress", true, "/s"}};
	struct strbuf buf = {0};

	for (size_t i = 0; i < ARRAY_SIZE(LIMITS); i++) {
		const char *name = LIMITS[i].name;

		if (json_number_value(json_at(limits, name)) == 0)
			continue;
		strbuf_addf(&buf, "%s%s %s%s", buf.used ? ", " : "", name,
			LIMITS[i].size ? V_SIZE(limits, name) : V_NUMBER(limits, name),
			LIMITS[i].unit);
	}
	return strbuf_take(&buf);
}

char *shown_labels(const json_t *labels)
{
	struct strbuf buf = {0};
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)labels, key, value)
		strbuf_addf(&buf, "%s%s=%s", buf.used ? ", " : "", key, json_string_value(value));
	return strbuf_take(&buf);
}

/* The command that reaches it, or NULL. */
static char *ssh_command(const json_t *guest)
{
	const json_t *ssh = json_at(guest, "ssh");
	const char *host = json_text(ssh, "host");
	char *command;

	if (!json_is_integer(json_at(ssh, "port")))
		return NULL;
	if (asprintf(&command, "ssh -p %s %s@%s", V_NUMBER(ssh, "port"), json_text(ssh, "user"),
		    *host ? host : "NODE") < 0)
		return NULL;
	return command;
}

static void add_state(struct table *facts, const json_t *guest)
{
	AUTOFREE char *changes = value_list(guest, "restart_needed");

	facts_add(facts, "state", json_text(guest, "state"));
	facts_add(facts, "since", V_TIME(guest, "since"));
	facts_add(facts, "problem", json_text(guest, "problem"));
	facts_add(facts, "restart needed", changes);
}

static void add_first_boot(struct table *facts, const json_t *guest)
{
	size_t keys = json_array_size(json_at(guest, "ssh_keys"));
	size_t raw = json_array_size(json_at(guest, "raw"));
	AUTOFREE char *pending = value_list(guest, "seed_pending");

	if (keys > 0)
		facts_addf(facts, "ssh keys", "%zu", keys);
	if (raw > 0)
		facts_addf(facts, "raw lines", "%zu", raw);
	if (json_number(guest, "user_data_size") > 0)
		facts_add(facts, "user data", V_SIZE(guest, "user_data_size"));
	facts_add(facts, "pending inside", pending);
}

static void add_life(struct table *facts, const json_t *guest)
{
	const char *delay = json_text(guest, "autostart.delay");
	const char *policy = json_text(guest, "restart.policy");
	bool waits = *delay && strcmp(delay, "0s") != 0;

	if (json_is_true(json_at(guest, "autostart.on")))
		facts_addf(facts, "autostart", "yes, order %s%s%s",
			V_NUMBER(guest, "autostart.order"), waits ? ", pause after it " : "",
			waits ? delay : "");
	else
		facts_add(facts, "autostart", value_switch(guest, "autostart.on"));
	if (strcmp(policy, "never") == 0)
		facts_add(facts, "restart", policy);
	else if (*policy)
		facts_addf(facts, "restart", "%s, %s of at most %s in a row", policy,
			V_NUMBER(guest, "restarts"), V_NUMBER(guest, "restart.max"));
}

/* "boots by uefi, from a raw image": of a guest whose root is a disk. */
static void add_disk(struct table *facts, const json_t *guest)
{
	const json_t *disk = json_at(guest, "disk");

	if (json_is_object(disk))
		facts_addf(facts, "disk", "boots by %s, from a %s image", json_text(disk, "boot"),
			json_text(disk, "format"));
}

/* As it would be typed, nearly; NULL: nothing. */
static char *joined(const json_t *words, const char *separator)
{
	struct strbuf buf = {0};
	const json_t *word;
	size_t i;

	if (json_is_array(words) && json_array_size(words) == 0)
		return strdup("none");
	json_array_foreach (words, i, word)
		strbuf_addf(&buf, "%s%s", i ? separator : "", json_string_value(word));
	return strbuf_take(&buf);
}

/* What runs in a container, where that differs from what its image says. */
static void add_container(struct table *facts, const json_t *container)
{
	AUTOFREE char *entrypoint = joined(json_at(container, "entrypoint"), " ");
	AUTOFREE char *command = joined(json_at(container, "command"), " ");
	AUTOFREE char *variables = shown_labels(json_at(container, "environment"));
	AUTOFREE char *data = joined(json_at(container, "data"), ", ");

	facts_add(facts, "entrypoint", entrypoint);
	facts_add(facts, "command", command);
	facts_add(facts, "variables", variables);
	facts_add(facts, "user", json_text(container, "user"));
	facts_add(facts, "workdir", json_text(container, "working_dir"));
	facts_add(facts, "stop signal", json_text(container, "stop_signal"));
	if (json_is_false(json_at(container, "terminal")))
		facts_add(facts, "terminal", "no");
	facts_add(facts, "data", data);
}

static void add_settings(struct table *facts, const json_t *guest)
{
	AUTOFREE char *limits = limits_in_short(json_at(guest, "limits"));
	AUTOFREE char *labels = shown_labels(json_at(guest, "labels"));
	AUTOFREE char *health = health_in_short(guest);

	facts_add(facts, "driver", json_text(guest, "driver"));
	facts_add(facts, "image", json_text(guest, "image"));
	add_disk(facts, guest);
	add_container(facts, json_at(guest, "container"));
	facts_add(facts, "environment", json_text(guest, "environment"));
	facts_add(facts, "slots", V_NUMBER(guest, "slots"));
	facts_add(facts, "limits", limits && *limits ? limits : "none");
	facts_add(facts, "storage", V_SIZE(guest, "storage.size"));
	add_life(facts, guest);
	facts_add(facts, "health", health);
	facts_add(facts, "privileged", value_switch(guest, "privileged"));
	facts_add(facts, "labels", labels);
}

static void add_reach(struct table *facts, const json_t *guest)
{
	AUTOFREE char *ssh = ssh_command(guest);

	facts_add(facts, "address", json_text(guest, "network.address"));
	facts_add(facts, "mac", json_text(guest, "network.mac"));
	facts_add(facts, "ssh", ssh);
}

static void add_snapshots(struct table *facts, const json_t *guest)
{
	const json_t *snapshots = json_at(guest, "snapshots");
	size_t count = json_array_size(snapshots);

	if (count > 0)
		facts_addf(facts, "snapshots", "%zu, the newest is %s", count,
			json_text(json_array_get(snapshots, count - 1), "name"));
}

static void show_ports(struct cli *cli, const json_t *guest)
{
	static const struct table_column COLUMNS[] = {
		{"PROTO"}, {"HOST", .right = true}, {"GUEST", .right = true}, {"PURPOSE"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *port;
	size_t i;

	json_array_foreach (json_at(guest, "ports"), i, port)
		table_add(table, (const char *const[]){
					 json_text(port, "proto"),
					 V_NUMBER(port, "host"),
					 V_NUMBER(port, "guest"),
					 json_text(port, "purpose"),
				 });
	table_print(table, cli->out, cli->colour);
}

/* What is used, beside what is set. */
static void show_usage(struct cli *cli, const json_t *stats)
{
	static const struct table_column COLUMNS[] = {
		{"RESOURCE"}, {"USED", .right = true}, {"LIMIT", .right = true}};
	static const struct {
		const char *name, *used, *set, *unit;
	} SIZES[] = {{"memory", "memory.used", "memory.set", ""},
		{"swap", "swap.used", "swap.set", ""},
		{"storage", "storage.used", "storage.set", ""},
		{"disk read", "io.read_bytes", "io.set_read", "/s"},
		{"disk written", "io.write_bytes", "io.set_write", "/s"},
		{"network in", "network.received_bytes", "network.set_ingress", "/s"},
		{"network out", "network.sent_bytes", "network.set_egress", "/s"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	char text[VALUE_MAX];

	snprintf(text, sizeof(text), "%.1f s", json_number(stats, "cpu.used_ns") / 1e9);
	table_add(table, (const char *const[]){"cpu time", text, V_NUMBER(stats, "cpu.set")});
	table_add(table, (const char *const[]){"processes", V_NUMBER(stats, "pids.used"),
				 V_NUMBER(stats, "pids.set")});
	for (size_t i = 0; i < ARRAY_SIZE(SIZES); i++) {
		const char *set = V_SIZE(stats, SIZES[i].set);

		snprintf(text, sizeof(text), "%s%s", set, *set == '-' ? "" : SIZES[i].unit);
		table_add(table,
			(const char *const[]){SIZES[i].name, V_SIZE(stats, SIZES[i].used), text});
	}
	fputc('\n', cli->out);
	table_print(table, cli->out, cli->colour);
}

void show_guest(struct cli *cli, const json_t *guest, const json_t *stats)
{
	struct table *facts = facts_create();

	facts_add(facts, "name", json_text(guest, "name"));
	facts_add(facts, "id", json_text(guest, "id"));
	add_state(facts, guest);
	add_settings(facts, guest);
	add_first_boot(facts, guest);
	add_reach(facts, guest);
	facts_add(facts, "created", V_TIME(guest, "created"));
	add_snapshots(facts, guest);
	facts_print(cli, facts);
	if (json_is_integer(json_at(stats, "cpu.used_ns")))
		show_usage(cli, stats);
	if (json_array_size(json_at(guest, "ports")) > 0) {
		fputc('\n', cli->out);
		show_ports(cli, guest);
	}
}

static void add_reached_ports(struct table *facts, const json_t *guest)
{
	const char *host = json_text(guest, "ssh.host");
	const json_t *port;
	size_t i;

	json_array_foreach (json_at(guest, "ports"), i, port) {
		const char *purpose = json_text(port, "purpose");
		char name[VALUE_MAX];

		snprintf(name, sizeof(name), "  %s", *purpose ? purpose : "port");
		if (!is_ssh(port))
			facts_addf(facts, name, "%s:%s/%s leads to %s", *host ? host : "NODE",
				V_NUMBER(port, "host"), json_text(port, "proto"),
				V_NUMBER(port, "guest"));
	}
}

void show_guest_access(struct cli *cli, const char *name, const json_t *guest)
{
	struct table *facts;
	AUTOFREE char *ssh = ssh_command(guest);

	if (cli->quiet)
		return;
	cli_say(cli, "%s: %s", name, guest ? json_text(guest, "state") : "done");
	facts = facts_create();
	facts_add(facts, "  address", json_text(guest, "network.address"));
	facts_add(facts, "  ssh", ssh);
	add_reached_ports(facts, guest);
	facts_print(cli, facts);
}

/* --- Storage ----------------------------------------------------------------------------- */

/* What a container wrote elsewhere than to its data. */
static void add_layer(struct table *facts, const json_t *layer)
{
	if (!json_is_object(layer))
		return;
	if (json_is_true(json_at(layer, "bounded")))
		facts_addf(
			facts, "layer", "%s of %s", V_SIZE(layer, "used"), V_SIZE(layer, "size"));
	else
		facts_addf(facts, "layer", "%s, not bounded by Docker here", V_SIZE(layer, "used"));
}

void show_storage(struct cli *cli, const json_t *storage)
{
	struct table *facts = facts_create();
	double size = json_number_value(json_at(storage, "size"));
	double used = json_number_value(json_at(storage, "used"));

	facts_add(facts, "size", V_SIZE(storage, "size"));
	facts_addf(facts, "used", "%s (%.0f %%)", V_SIZE(storage, "used"),
		size > 0 ? used / size * 100 : 0);
	facts_add(facts, "free", V_SIZE(storage, "free"));
	facts_add(facts, "least", V_SIZE(storage, "least"));
	facts_add(facts, "trimmable", V_SIZE(storage, "trimmable"));
	facts_add(facts, "because", json_text(storage, "reason"));
	add_layer(facts, json_at(storage, "layer"));
	facts_print(cli, facts);
}
