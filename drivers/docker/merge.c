/* What people add to a container. They may do what root of the node may, and not what would make
 * the agent's picture of the guest wrong. dockerd does not mind the case of letters in what it
 * reads, so all is refused here that is not known to be harmless. */
#include "drivers/docker/merge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/addition.h"
#include "drivers/docker/data.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/driver.h"

#define HOST	 "HostConfig"
#define NOT_OURS "the network, names and ports of a guest are the agent's"

/* What may be added. */
static const char *const ALLOWED[] = {"StopTimeout", "Healthcheck", "Shell", "Labels"};
static const char *const ALLOWED_HOST[] = {"Annotations", "Binds", "BlkioDeviceReadIOps",
	"BlkioDeviceWriteIOps", "CapAdd", "CapDrop", "CgroupnsMode", "CpuRealtimePeriod",
	"CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems", "DeviceCgroupRules",
	"DeviceRequests", "Devices", "GroupAdd", "Init", "IpcMode", "LogConfig", "MaskedPaths",
	"MemoryReservation", "MemorySwappiness", "Mounts", "OomKillDisable", "OomScoreAdj",
	"ReadonlyPaths", "ReadonlyRootfs", "Runtime", "SecurityOpt", "ShmSize", "Sysctls", "Tmpfs",
	"Ulimits"};

/* Of those: ours stay, and theirs are added. */
static const char *const JOINED[] = {"Binds", "CapAdd", "CapDrop", "DeviceCgroupRules", "Devices",
	"GroupAdd", "Mounts", "SecurityOpt", "Ulimits"};

/* And why not, for what people ask for. */
static const struct {
	const char *key, *why;
} REASONS[] = {
	{"Image", "the guest's image says it"},
	{"Entrypoint", "use container.entrypoint instead"},
	{"Cmd", "use container.command instead"},
	{"Env", "use container.environment instead"},
	{"User", "use container.user instead"},
	{"WorkingDir", "use container.working_dir instead"},
	{"StopSignal", "use container.stop_signal instead"},
	{"Tty", "use container.terminal instead"},
	{"Volumes", "use container.data instead"},
	{"Hostname", "rename the guest instead"},
	{"Domainname", "rename the guest instead"},
	{"ExposedPorts", "use the guest's ports instead"},
	{"NetworkingConfig", NOT_OURS},
	{"MacAddress", NOT_OURS},
	{"NetworkDisabled", NOT_OURS},
	{HOST ".NetworkMode", NOT_OURS},
	{HOST ".PortBindings", "use the guest's ports instead"},
	{HOST ".PublishAllPorts", "use the guest's ports instead"},
	{HOST ".Links", NOT_OURS},
	{HOST ".Dns", NOT_OURS},
	{HOST ".DnsSearch", NOT_OURS},
	{HOST ".DnsOptions", NOT_OURS},
	{HOST ".ExtraHosts", NOT_OURS},
	{HOST ".RestartPolicy", "use the guest's restart policy instead"},
	{HOST ".AutoRemove", "destroy the guest instead"},
	{HOST ".Privileged", "use privileged of the guest, and CapAdd and Devices here"},
	{HOST ".UsernsMode", "use privileged of the guest instead"},
	{HOST ".VolumesFrom", "a guest's data are its own"},
	{HOST ".Memory", "use limits.memory instead"},
	{HOST ".MemorySwap", "use limits.swap instead"},
	{HOST ".NanoCpus", "use limits.cpus instead"},
	{HOST ".CpuPeriod", "use limits.cpus instead"},
	{HOST ".CpuQuota", "use limits.cpus instead"},
	{HOST ".PidsLimit", "use limits.pids instead"},
	{HOST ".BlkioWeight", "use limits.io_weight instead"},
	{HOST ".BlkioDeviceReadBps", "use limits.io_read instead"},
	{HOST ".BlkioDeviceWriteBps", "use limits.io_write instead"},
	{HOST ".StorageOpt", "the agent's configuration says how large layers may be"},
	{HOST ".PidMode", "a guest has namespaces of its own"},
	{HOST ".UTSMode", "a guest has namespaces of its own"},
	{HOST ".CgroupParent", "the agent has to find the guest's control groups"},
};

/* --- Messages --------------------------------------------------------------------------------- */

/* Where the key is first named. */
static int line_of(const char *text, const char *key)
{
	char quoted[128];
	const char *at;
	int line = 1;

	snprintf(quoted, sizeof(quoted), "\"%.100s\"", key);
	at = strstr(text, quoted);
	for (const char *p = text; at && p < at; p++)
		line += *p == '\n';
	return line;
}

static int refuse(const struct addition *a, const char *key, const char *why, struct err *err)
{
	return addition_refuse(a, line_of(a->text, key), why, err);
}

static int refuse_key(const struct addition *a, const char *path, struct err *err)
{
	const char *dot = strrchr(path, '.');
	const char *why = "it is not among what can be added (docs/docker.md)";
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(REASONS); i++)
		if (strcasecmp(REASONS[i].key, path) == 0)
			why = REASONS[i].why;
	snprintf(text, sizeof(text), "%.100s cannot be set: %s", path, why);
	return refuse(a, dot ? dot + 1 : path, text, err);
}

/* --- Checks ----------------------------------------------------------------------------------- */

static bool is_among(const char *const *list, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], key) == 0)
			return true;
	return false;
}

/* As it is, with all links followed, or as it is written. */
static void resolve(const char *path, char ret[static PATH_MAX])
{
	if (!realpath(path, ret))
		snprintf(ret, PATH_MAX, "%s", path);
}

/* Whether dockerd's socket is there or below. */
static bool shows_socket(const char *source, const char *socket)
{
	char resolved[PATH_MAX], at[PATH_MAX];
	size_t n;

	resolve(source, resolved);
	resolve(socket, at);
	n = strlen(resolved);
	return strcmp(resolved, "/") == 0 ||
	       (strncmp(at, resolved, n) == 0 && (at[n] == '\0' || at[n] == '/'));
}

static int check_source(
	const struct addition *a, const char *source, const char *socket, struct err *err)
{
	if (source[0] != '/' || !shows_socket(source, socket))
		return 0;
	return refuse(a, "Source",
		"dockerd's socket is never given to a guest: who has it is root of the node", err);
}

static int check_target(const struct addition *a, const char *target, struct err *err)
{
	struct driver_container container = {.data_paths = (const char *const[]){target, NULL}};
	struct driver_guest guest = {.container = &container};
	char text[200], **paths = NULL;

	if (data_paths(&guest, NULL, &paths, NULL) == 0) {
		free(paths[0]);
		free(paths);
		return 0;
	}
	snprintf(text, sizeof(text),
		"%.100s is no place for a mount: it is Docker's own or the agent's", target);
	return refuse(a, target, text, err);
}

/* "SOURCE:TARGET[:OPTIONS]" */
static int check_bind(
	const struct addition *a, const json_t *bind, const char *socket, struct err *err)
{
	AUTOFREE char *text = strdup(json_string_value(bind) ?: "");
	char *target = text ? strchr(text, ':') : NULL;
	int r;

	if (!target)
		return refuse(
			a, "Binds", HOST ".Binds: expected texts like \"SOURCE:TARGET:ro\"", err);
	*target++ = '\0';
	target[strcspn(target, ":")] = '\0';
	r = check_source(a, text, socket, err);
	return r == 0 ? check_target(a, target, err) : r;
}

static int check_mount(
	const struct addition *a, const json_t *mount, const char *socket, struct err *err)
{
	static const char *const keys[] = {"Type", "Source", "Target", "ReadOnly", "Consistency",
		"BindOptions", "TmpfsOptions"};
	const char *type = json_string_value(json_object_get(mount, "Type"));
	const char *source = json_string_value(json_object_get(mount, "Source"));
	const char *target = json_string_value(json_object_get(mount, "Target"));
	const char *key;
	json_t *value;
	int r;

	json_object_foreach ((json_t *)mount, key, value)
		if (!is_among(keys, ARRAY_SIZE(keys), key))
			return refuse_key(a, key, err);
	if (!type || !target || (strcmp(type, "bind") != 0 && strcmp(type, "tmpfs") != 0))
		return refuse(a, "Mounts",
			HOST ".Mounts: expected objects with a Target, of Type bind or tmpfs", err);
	r = check_source(a, source ? source : "", socket, err);
	return r == 0 ? check_target(a, target, err) : r;
}

static int check_list(const struct addition *a, const char *key, const json_t *list,
	const char *socket, struct err *err)
{
	size_t i;
	json_t *value;
	int r = 0;

	json_array_foreach ((json_t *)list, i, value) {
		if (strcmp(key, "Binds") == 0)
			r = check_bind(a, value, socket, err);
		else if (strcmp(key, "Mounts") == 0)
			r = check_mount(a, value, socket, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_host(
	const struct addition *a, const json_t *host, const char *socket, struct err *err)
{
	const char *key;
	json_t *value;
	char path[128];
	int r = 0;

	if (!json_is_object(host))
		return refuse(a, HOST, HOST ": expected an object", err);
	json_object_foreach ((json_t *)host, key, value) {
		snprintf(path, sizeof(path), HOST ".%.100s", key);
		if (!is_among(ALLOWED_HOST, ARRAY_SIZE(ALLOWED_HOST), key))
			return refuse_key(a, path, err);
		if (is_among(JOINED, ARRAY_SIZE(JOINED), key)) {
			strncat(path, ": expected a list", sizeof(path) - strlen(path) - 1);
			r = json_is_array(value) ? check_list(a, key, value, socket, err)
						 : refuse(a, key, path, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_labels(const struct addition *a, const json_t *labels, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)labels, key, value)
		if (strncmp(key, "corpus.", strlen("corpus.")) == 0)
			return refuse(
				a, key, "labels that begin with corpus. are the agent's", err);
	return json_is_object(labels) ? 0 : refuse(a, "Labels", "Labels: expected an object", err);
}

static int check(const struct addition *a, const json_t *json, const char *socket, struct err *err)
{
	const char *key;
	json_t *value;
	int r = 0;

	if (!json_is_object(json))
		return addition_refuse(a, 1, "expected a JSON object", err);
	json_object_foreach ((json_t *)json, key, value) {
		if (strcmp(key, HOST) == 0)
			r = check_host(a, value, socket, err);
		else if (strcmp(key, "Labels") == 0)
			r = check_labels(a, value, err);
		else if (!is_among(ALLOWED, ARRAY_SIZE(ALLOWED), key))
			r = refuse_key(a, key, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- Merging ---------------------------------------------------------------------------------- */

static int merge(json_t *target, const json_t *patch, bool host);

/* Another way to keep logs has other options than ours. */
static bool is_whole(bool host, const char *key)
{
	return host && strcmp(key, "LogConfig") == 0;
}

static int merge_member(json_t *target, const char *key, json_t *value, bool host)
{
	json_t *ours = json_object_get(target, key);

	if (json_is_null(value))
		return json_object_del(target, key) < 0 && ours ? -ENOMEM : 0;
	if (host && json_is_array(ours) && is_among(JOINED, ARRAY_SIZE(JOINED), key))
		return json_array_extend(ours, value) < 0 ? -ENOMEM : 0;
	if (!json_is_object(value) || is_whole(host, key))
		return json_object_set_new(target, key, json_deep_copy(value)) < 0 ? -ENOMEM : 0;
	if (!json_is_object(ours)) {
		if (json_object_set_new(target, key, json_object()) < 0)
			return -ENOMEM;
		ours = json_object_get(target, key);
	}
	return merge(ours, value, !host && strcmp(key, HOST) == 0);
}

static int merge(json_t *target, const json_t *patch, bool host)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach ((json_t *)patch, key, value)
		if (r == 0)
			r = merge_member(target, key, value, host);
	return r;
}

int merge_apply(json_t *body, const json_t *additions, struct err *err)
{
	size_t i;
	json_t *one;
	int r = 0;

	json_array_foreach ((json_t *)additions, i, one)
		if (r == 0)
			r = merge(body, one, false);
	return r < 0 ? err_errno(err, r, "no memory for a container") : 0;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* One after the other: what is null in one takes back what is before it. */
static int gather(json_t **all, json_t *one, struct err *err)
{
	if (!*all)
		*all = json_array();
	return json_array_append_new(*all, one) < 0
		       ? err_errno(err, ENOMEM, "no memory for additions")
		       : 0;
}

static int take(const struct addition *a, const char *socket, json_t **all, struct err *err)
{
	json_error_t wrong;
	json_t *json = json_loads(a->text, JSON_REJECT_DUPLICATES, &wrong);
	int r;

	if (!json)
		return addition_refuse(a, wrong.line > 0 ? wrong.line : 1, wrong.text, err);
	r = check(a, json, socket, err);
	if (r == 0)
		return gather(all, json, err);
	json_decref(json);
	return r;
}

int merge_read(const char *dir, const struct driver_guest *g, const char *socket, json_t **ret,
	struct err *err)
{
	CLEANUP(additions_finish) struct additions list = {0};
	json_t *all = NULL;
	int r = additions_read_files(&list, dir, g->name, "json", err);

	if (r == 0)
		r = additions_add_raw(&list, g->raw, err);
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = take(&list.list[i], socket, &all, err);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	*ret = all;
	return 0;
}
