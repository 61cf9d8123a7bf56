/* What Docker is told to make a container of. */
#include "drivers/docker/container.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/data.h"
#include "drivers/docker/define.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/docker/merge.h"
#include "drivers/inside/hostname.h"
#include "drivers/protocol/value.h"

/* Of this file's own rules: with another number containers are made anew, with their layers. */
#define RULES 2

/* Privileges that Docker leaves to root, beyond those that services need: forged packets, device
 * nodes, the kernel's audit log, and what gives others privileges. */
static const char *const DROPPED[] = {"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP"};

#define PERIOD_US   100000 /* the kernel's default */
#define QUOTA_LEAST 1000   /* us, the least that the kernel takes */

static json_t *strings(const char *const *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

/* --- Program ---------------------------------------------------------------------------------- */

static void extend(json_t *program, const char *const *own, const json_t *of_image)
{
	json_t *given = own ? value_from_strings(own) : NULL;

	json_array_extend(program, given ? given : (json_t *)of_image);
	json_decref(given);
}

json_t *container_program(const struct driver_container *c, const json_t *config)
{
	json_t *program = json_array();
	bool replaced = c->entrypoint != NULL;

	extend(program, c->entrypoint, json_object_get(config, "Entrypoint"));
	extend(program, c->command, replaced ? NULL : json_object_get(config, "Cmd"));
	/* Docker's way to say that there is no entry point. */
	if (json_array_size(program) > 0 &&
		strcmp(json_string_value(json_array_get(program, 0)) ?: "", "") == 0)
		json_array_remove(program, 0);
	return program;
}

static int render_program(const struct container_plan *p, json_t *body, struct err *err)
{
	json_t *program = container_program(p->guest->container, p->config);

	if (json_array_size(program) == 0) {
		json_decref(program);
		return err_set(err, ERR_INVALID, "container.command",
			"the image %s does not say what to run: give container.command",
			p->guest->container->image);
	}
	if (strcmp(json_string_value(json_array_get(program, 0)) ?: "", GATE_EXEC) == 0) {
		json_decref(program);
		return err_set(err, ERR_INVALID, "container.command",
			"no program can be called " GATE_EXEC);
	}
	json_object_set_new(body, "Entrypoint", json_pack("[s]", GATE_PROGRAM));
	json_object_set_new(body, "Cmd", program);
	return 0;
}

/* --- Environment ------------------------------------------------------------------------------ */

static size_t key_length(const char *variable)
{
	return strcspn(variable, "=");
}

static bool has_key(const json_t *list, const char *variable)
{
	size_t n = key_length(variable), i;
	json_t *value;

	json_array_foreach ((json_t *)list, i, value) {
		const char *other = json_string_value(value);

		if (other && key_length(other) == n && strncmp(other, variable, n) == 0)
			return true;
	}
	return false;
}

static void add_missing(json_t *list, const json_t *others, bool key_only)
{
	size_t i;
	json_t *value;

	json_array_foreach ((json_t *)others, i, value) {
		const char *variable = json_string_value(value);

		if (!variable || has_key(list, variable))
			continue;
		json_array_append_new(list, key_only ? json_stringn(variable, key_length(variable))
						     : json_incref(value));
	}
}

/* A layer keeps what was set when it was kept: a name alone takes it back. */
static json_t *environment(const struct container_plan *p)
{
	json_t *list = p->guest->container->env ? value_from_strings(p->guest->container->env)
						: json_array();

	add_missing(list, json_object_get(p->config, "Env"), false);
	add_missing(list, p->variables, true);
	return list;
}

/* --- What is fixed ---------------------------------------------------------------------------- */

static void set_text(
	json_t *body, const char *key, const char *own, const json_t *config, const char *fallback)
{
	const char *of_image = json_string_value(json_object_get(config, key));

	json_object_set_new(body, key, json_string(own ? own : of_image ? of_image : fallback));
}

static json_t *labels_of(const struct container_plan *p, bool container)
{
	json_t *labels = json_pack("{s:s, s:s}", LABEL_GUEST, p->guest->id, LABEL_AGENT, p->agent);

	if (container)
		json_object_set_new(labels, LABEL_DEFINITION, json_string(p->definition));
	return labels;
}

static int render_config(const struct container_plan *p, json_t *body, struct err *err)
{
	const struct driver_container *c = p->guest->container;
	int length = hostname_length(p->guest->name);

	json_object_set_new(body, "Image", json_string(p->from));
	json_object_set_new(body, "Hostname", json_stringn(p->guest->name, (size_t)length));
	json_object_set_new(body, "Env", environment(p));
	set_text(body, "User", c->user, p->config, "");
	set_text(body, "WorkingDir", c->working_dir, p->config, "");
	set_text(body, "StopSignal", c->stop_signal, p->config, "SIGTERM");
	json_object_set_new(body, "Tty", json_boolean(c->terminal));
	json_object_set_new(body, "OpenStdin", json_true());
	json_object_set_new(body, "StdinOnce", json_false());
	/* The agent has checks of its own, which people see. */
	json_object_set_new(body, "Healthcheck", json_pack("{s:[s]}", "Test", "NONE"));
	json_object_set_new(body, "Labels", labels_of(p, true));
	return render_program(p, body, err);
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void set_number(json_t *host, const char *key, uint64_t number)
{
	if (number)
		json_object_set_new(host, key, json_integer((json_int_t)number));
}

int container_limits(const struct guest_limits *l, json_t *host)
{
	uint64_t quota = (uint64_t)l->cpu_milli * PERIOD_US / 1000;

	if (quota) {
		set_number(host, "CpuPeriod", PERIOD_US);
		set_number(host, "CpuQuota", quota < QUOTA_LEAST ? QUOTA_LEAST : quota);
	}
	set_number(host, "Memory", l->memory);
	/* Left out, Docker would give as much swap as memory. */
	if (l->memory)
		json_object_set_new(host, "MemorySwap",
			json_integer(l->swap ? (json_int_t)(l->memory + l->swap) : -1));
	set_number(host, "PidsLimit", l->pids);
	return 0;
}

/* --- HostConfig ------------------------------------------------------------------------------- */

static int render_mounts(const struct container_plan *p, json_t *host, struct err *err)
{
	json_t *labels = labels_of(p, false), *mounts = NULL;
	int r = data_mounts(p->guest, p->data, labels, &mounts, err);

	json_decref(labels);
	if (r < 0)
		return r;
	/* Neither lies below the other: dockerd makes what it mounts on, and not in what is
	 * read-only (26.1, when it reads files of a container that does not run). */
	json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source",
					      p->gate_dir, "Target", GATE_DIR, "ReadOnly", 1));
	json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source",
					      p->gate, "Target", GATE_PROGRAM, "ReadOnly", 1));
	json_object_set_new(host, "Mounts", mounts);
	return 0;
}

static void render_security(const struct container_plan *p, json_t *host)
{
	json_object_set_new(host, "CapDrop", strings(DROPPED, ARRAY_SIZE(DROPPED)));
	json_object_set_new(host, "SecurityOpt", json_pack("[s]", "no-new-privileges"));
	json_object_set_new(host, "IpcMode", json_string("private"));
	/* Its root is then the node's. */
	if (p->guest->privileged)
		json_object_set_new(host, "UsernsMode", json_string("host"));
}

static int render_host(const struct container_plan *p, json_t *host, struct err *err)
{
	uint64_t size = p->guest->container->layer_size;
	char text[24];

	json_object_set_new(host, "NetworkMode", json_string("none"));
	json_object_set_new(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
	json_object_set_new(host, "LogConfig",
		json_pack("{s:s, s:{s:s, s:s}}", "Type", "json-file", "Config", "max-size", "1m",
			"max-file", "2"));
	render_security(p, host);
	container_limits(&p->guest->limits, host);
	snprintf(text, sizeof(text), "%" PRIu64, size);
	if (p->bounded && size)
		json_object_set_new(host, "StorageOpt", json_pack("{s:s}", "size", text));
	return render_mounts(p, host, err);
}

int container_render(const struct container_plan *p, json_t **ret, struct err *err)
{
	json_t *body = json_object(), *host = json_object();
	int r = render_config(p, body, err);

	if (r == 0)
		r = render_host(p, host, err);
	if (r == 0 && json_object_set(body, "HostConfig", host) < 0)
		r = err_errno(err, ENOMEM, "no memory for a container");
	json_decref(host);
	if (r == 0 && p->additions)
		r = merge_apply(body, p->additions, err);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	*ret = body;
	return 0;
}

/* --- Definitions ------------------------------------------------------------------------------ */

static void add_strings(json_t *json, const char *key, const char *const *list)
{
	json_object_set_new(json, key, list ? value_from_strings(list) : json_null());
}

int container_definition(const struct driver_guest *g, const char *gate, const char *gate_dir,
	const json_t *additions, char ret[static CONTAINER_DEFINITION_MAX], struct err *err)
{
	const struct driver_container *c = g->container;
	AUTOFREE char *text = NULL;
	json_t *json = json_pack("{s:i, s:s, s:s?, s:s?, s:s?, s:s?, s:b, s:b, s:s, s:s}", "rules",
		RULES, "image", c->image, "user", c->user, "working_dir", c->working_dir,
		"stop_signal", c->stop_signal, "data", c->data, "terminal", c->terminal,
		"privileged", g->privileged, "gate", gate, "gate_dir", gate_dir);

	add_strings(json, "entrypoint", c->entrypoint);
	add_strings(json, "command", c->command);
	add_strings(json, "env", c->env);
	add_strings(json, "data_paths", c->data_paths);
	if (additions)
		json_object_set(json, "additions", (json_t *)additions);
	text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	if (!text)
		return err_errno(err, ENOMEM, "no memory for a container");
	snprintf(ret, CONTAINER_DEFINITION_MAX, "%016" PRIx64, define_hash(text));
	return 0;
}
