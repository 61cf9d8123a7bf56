/* Whether guests can run below this dockerd: what is missing is said in a way that can be acted
 * upon. */
#include "drivers/docker/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/reply.h"

#define PROBE_MS 4500

/* They are listed as "name=userns,…". */
bool probe_has_security(const json_t *info, const char *name)
{
	const json_t *option;
	size_t i, length = strlen(name);

	json_array_foreach (json_object_get(info, "SecurityOptions"), i, option) {
		const char *text = json_string_value(option);

		if (text && strncmp(text, "name=", 5) == 0 &&
			strncmp(text + 5, name, length) == 0 &&
			(text[5 + length] == '\0' || text[5 + length] == ','))
			return true;
	}
	return false;
}

/* What dockerd's storage says of itself; "" when it does not. */
static const char *storage_says(const json_t *info, const char *what)
{
	const json_t *pair;
	size_t i;

	json_array_foreach (json_object_get(info, "DriverStatus"), i, pair) {
		const char *key = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		if (key && value && strcmp(key, what) == 0)
			return value;
	}
	return "";
}

/* "extfs", "xfs", … */
static const char *backing_file_system(const json_t *info)
{
	return storage_says(info, "Backing Filesystem");
}

bool probe_ignores_sizes(const json_t *info)
{
	return strncmp(storage_says(info, "driver-type"), "io.containerd.", 14) == 0;
}

/* Whether Docker's storage may be able to bound a layer. With overlay2 on xfs that depends on how
 * it is mounted, which only a try shows. */
static bool may_bound_layers(const json_t *info)
{
	static const char *const bounding[] = {"btrfs", "zfs", "devicemapper"};
	const char *driver = reply_text_or_none(info, "Driver");

	if (probe_ignores_sizes(info))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(bounding); i++)
		if (strcmp(driver, bounding[i]) == 0)
			return true;
	return strcmp(driver, "overlay2") == 0 && strcmp(backing_file_system(info), "xfs") == 0;
}

__attribute__((format(printf, 2, 3))) static void note(
	struct driver_info *ret, const char *fmt, ...)
{
	size_t used = strlen(ret->notice);
	va_list args;

	if (used > 0)
		used += (size_t)snprintf(ret->notice + used, sizeof(ret->notice) - used, "; ");
	va_start(args, fmt);
	if (used < sizeof(ret->notice))
		vsnprintf(ret->notice + used, sizeof(ret->notice) - used, fmt, args);
	va_end(args);
}

static void fill_notice(const json_t *info, struct driver_info *ret)
{
	const char *below = backing_file_system(info);

	if (!probe_has_security(info, "seccomp"))
		note(ret, "guests may use all system calls: dockerd has no seccomp");
	if (!probe_has_security(info, "userns"))
		note(ret, "root in a guest is root: dockerd has no userns-remap");
	if (!may_bound_layers(info))
		note(ret, "layers of guests have no bound: storage driver %s%s%s",
			reply_text_or_none(info, "Driver"),
			probe_ignores_sizes(info) ? " in containerd's store"
			: below[0]		  ? " on "
						  : "",
			below);
	if (!reply_is_true(info, "LiveRestoreEnabled"))
		note(ret, "guests end with dockerd: no live-restore");
}

static void fill_problem(const json_t *info, struct driver_info *ret)
{
	const char *os = reply_text_or_none(info, "OSType");

	/* podman, which does not say its name. */
	if (reply_at(info, "BuildahVersion")) {
		snprintf(ret->problem, sizeof(ret->problem),
			"this is podman, which has only a part of Docker's API: dockerd is needed "
			"(drivers: endpoint)");
		return;
	}
	if (strcmp(os, "linux") != 0)
		snprintf(ret->problem, sizeof(ret->problem),
			"dockerd runs containers of %.32s: Linux is needed",
			os[0] ? os : "an unknown kind");
	else if (probe_has_security(info, "rootless"))
		snprintf(ret->problem, sizeof(ret->problem),
			"this dockerd is rootless, where the node's network and storage do not "
			"reach: lead the driver to one that runs as root");
}

void probe_judge(const json_t *info, unsigned version, struct driver_info *ret)
{
	const char *groups = reply_text_or_none(info, "CgroupVersion");

	snprintf(ret->version, sizeof(ret->version), "Docker %.24s, API 1.%u, cgroup v%.4s",
		reply_text_or_none(info, "ServerVersion"), version, groups[0] ? groups : "1");
	fill_problem(info, ret);
	if (ret->problem[0] == '\0')
		fill_notice(info, ret);
}

void probe_host(const struct docker *docker, struct driver_info *ret)
{
	static const struct engine_request ask = {
		.path = "/info", .what = "ask dockerd how it is set up"};
	AUTOENGINE struct engine *engine = NULL;
	json_t *info = NULL;
	struct err err = {0};

	snprintf(ret->version, sizeof(ret->version), "Docker");
	if (geteuid() != 0)
		err_set(&err, ERR_DENIED, NULL, "the driver has to run as root");
	else if (engine_open(docker->socket, PROBE_MS, &engine, &err) == 0 &&
		 engine_call(engine, &ask, &info, &err) == 0)
		probe_judge(info, engine_version(engine), ret);
	json_decref(info);
	if (err.code != ERR_OK)
		snprintf(ret->problem, sizeof(ret->problem), "%.255s", err.message);
	ret->usable = ret->problem[0] == '\0';
}
