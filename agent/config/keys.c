/* The table of all keys, and the readers of its lists. Defaults are in config.c, rules between
 * keys in rules.c, and every key is described in dist/corpusd.yaml. */
#include "agent/config/keys.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <net/if.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/guest.h"
#include "model/name.h"

#define PATH_LENGTH   1000
#define SOCKET_LENGTH (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define TIB	      (1ULL << 40)
#define DAY_MS	      (24ULL * 3600 * 1000)
#define IDS_MAX	      UINT32_MAX

#define KEY(key_name, reader, type, member)                                                        \
	.name = key_name, .read = reader, .offset = offsetof(type, member)
#define CONFIG(key_name, reader, member) KEY(key_name, reader, struct config, member)
#define SECTION(key_name, section)	 .name = key_name, .read = setting_section, .keys = section

/* --- Lists ------------------------------------------------------------------------------------
 */

static size_t entries(const struct place *list)
{
	return (size_t)(list->node->data.sequence.items.top -
			list->node->data.sequence.items.start);
}

static int check_list(const struct place *place, struct err *err)
{
	return place->node->type == YAML_SEQUENCE_NODE
		       ? 0
		       : place_fail(place, err, "must be a list: lines that begin with \"- \"");
}

/* --- drivers ----------------------------------------------------------------------------------
 */

/* As a guest's own are read. */
static int read_data_paths(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	json_auto_t *list = json_array();
	struct place entry;
	const char *text;
	int r = check_list(place, err);

	(void)key;
	for (size_t i = 0; r == 0 && place_entry(place, i, &entry); i++) {
		r = place_text(&entry, &text, err);
		if (r == 0 && json_array_append_new(list, json_string(text)) < 0)
			r = place_fail(&entry, err, "must be text in UTF-8");
	}
	if (r < 0)
		return r;
	return guest_container_read_data(list, place->path, member, err) < 0
		       ? place_prefix(place, err)
		       : 0;
}

const struct key DRIVER_KEYS[] = {
	{KEY("name", setting_word, struct driver_settings, name), .min = 1, .max = DRIVER_NAME_MAX},
	{KEY("program", setting_path, struct driver_settings, program), .max = PATH_LENGTH},
	{KEY("endpoint", setting_text, struct driver_settings, endpoint), .max = PATH_LENGTH},
	{KEY("registries", setting_path, struct driver_settings, registries), .max = PATH_LENGTH},
	{KEY("parallel", setting_u32, struct driver_settings, parallel), .min = 1, .max = 1024},
	{KEY("data_paths", read_data_paths, struct driver_settings, data_paths)},
	{0},
};

static bool is_taken(const struct config *config, const char *name)
{
	for (size_t i = 0; i + 1 < config->drivers_count; i++)
		if (strcmp(config->drivers[i].name, name) == 0)
			return true;
	return false;
}

/* The entry is part of the configuration before it is read: what is read of a bad one is freed with
 * the rest. */
static int read_driver(const struct place *place, struct config *config, struct err *err)
{
	struct driver_settings *settings = &config->drivers[config->drivers_count++];
	int r;

	settings->parallel = CONFIG_PARALLEL;
	r = setting_keys(place, DRIVER_KEYS, settings, err);
	if (r < 0)
		return r;
	if (!settings->name)
		return place_fail(place, err, "needs a name");
	if (is_taken(config, settings->name))
		return place_fail(place, err, "names driver %s a second time", settings->name);
	return 0;
}

static int read_drivers(
	const struct place *place, const struct key *key, void *base, struct err *err)
{
	struct config *config = base;
	struct place entry;
	int r = check_list(place, err);

	(void)key;
	if (r < 0)
		return r;
	if (entries(place) == 0)
		return place_fail(place, err, "must name at least one driver");
	config->drivers = calloc(entries(place), sizeof(*config->drivers));
	if (!config->drivers)
		return err_errno(err, ENOMEM, "cannot read the configuration");
	for (size_t i = 0; r == 0 && place_entry(place, i, &entry); i++)
		r = read_driver(&entry, config, err);
	return r;
}

/* --- access -----------------------------------------------------------------------------------
 */

struct access_entry {
	struct access_grant grant;
	bool user, group; /* given */
};

static int read_user(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	struct access_entry *entry = member;
	const struct passwd *passwd;
	const char *text;
	uint64_t id;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	entry->user = true;
	passwd = getpwnam(text);
	if (passwd)
		entry->grant.id = passwd->pw_uid;
	else if (parse_u64(text, IDS_MAX - 1, &id) == 0)
		entry->grant.id = (uint32_t)id;
	else
		return place_fail(place, err, "names a user that does not exist: \"%.60s\"", text);
	return 0;
}

static int read_group(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	struct access_entry *entry = member;
	const struct group *group;
	const char *text;
	uint64_t id;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	entry->group = true;
	entry->grant.is_group = true;
	group = getgrnam(text);
	if (group)
		entry->grant.id = group->gr_gid;
	else if (parse_u64(text, IDS_MAX - 1, &id) == 0)
		entry->grant.id = (uint32_t)id;
	else
		return place_fail(place, err, "names a group that does not exist: \"%.60s\"", text);
	return 0;
}

const struct key ACCESS_KEYS[] = {
	{.name = "user", .read = read_user},
	{.name = "group", .read = read_group},
	{KEY("role", setting_role, struct access_entry, grant.role)},
	{0},
};

static int read_grant(const struct place *place, struct config *config, struct err *err)
{
	struct access_entry entry = {0};
	int r = setting_keys(place, ACCESS_KEYS, &entry, err);

	if (r < 0)
		return r;
	if (entry.user == entry.group)
		return place_fail(place, err, "needs either a user or a group");
	if (entry.grant.role == ROLE_NONE)
		return place_fail(place, err, "needs a role");
	config->grants[config->grants_count++] = entry.grant;
	return 0;
}

static int read_access(
	const struct place *place, const struct key *key, void *base, struct err *err)
{
	struct config *config = base;
	struct place entry;
	int r = check_list(place, err);

	(void)key;
	if (r < 0 || entries(place) == 0)
		return r;
	config->grants = calloc(entries(place), sizeof(*config->grants));
	if (!config->grants)
		return err_errno(err, ENOMEM, "cannot read the configuration");
	for (size_t i = 0; r == 0 && place_entry(place, i, &entry); i++)
		r = read_grant(&entry, config, err);
	return r;
}

/* --- verbs ------------------------------------------------------------------------------------
 */

static bool is_verb(const char *text)
{
	static const char *const images[] = {"image.import", "image.delete"};
	enum guest_verb verb;

	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		if (strcmp(text, images[i]) == 0)
			return true;
	return strncmp(text, "guest.", 6) == 0 && guest_verb_from_string(text + 6, &verb) == 0;
}

static int read_verb(
	const struct place *key, const struct place *value, struct config *config, struct err *err)
{
	struct verb_role *role = &config->verbs[config->verbs_count];
	const char *text;
	int r = place_text(key, &text, err);

	if (r < 0)
		return r;
	if (!is_verb(text) || strlen(text) >= sizeof(role->verb))
		return place_fail(
			value, err, "is no verb of operations, like guest.destroy or image.import");
	if (config_verb_role(config, text) != ROLE_NONE)
		return place_fail(value, err, "is given twice");
	memcpy(role->verb, text, strlen(text) + 1);
	r = setting_role(value, NULL, &role->role, err);
	if (r == 0)
		config->verbs_count++;
	return r;
}

static int read_verbs(const struct place *place, const struct key *key, void *base, struct err *err)
{
	struct config *config = base;
	struct place name, value;
	size_t count = 0;
	int r = 0;

	(void)key;
	if (place->node->type != YAML_MAPPING_NODE)
		return place_fail(place, err, "must be a group of \"verb: role\" lines");
	while (place_pair(place, count, &name, &value))
		count++;
	config->verbs = calloc(count + 1, sizeof(*config->verbs));
	if (!config->verbs)
		return err_errno(err, ENOMEM, "cannot read the configuration");
	for (size_t i = 0; r == 0 && place_pair(place, i, &name, &value); i++)
		r = read_verb(&name, &value, config, err);
	return r;
}

/* --- The table --------------------------------------------------------------------------------
 */

/* "auto" is 0: the node's resources decide. */
static int read_slots(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = place_text(place, &text, err);

	if (r == 0 && strcmp(text, "auto") != 0)
		r = setting_u32(place, key, member, err);
	return r;
}

/* Left to itself ("auto"), or one other word. */
static int read_automatic(
	const struct place *place, const char *other, bool *ret_automatic, struct err *err)
{
	const char *text;
	int r = place_text(place, &text, err);

	if (r < 0)
		return r;
	*ret_automatic = strcmp(text, "auto") == 0;
	return *ret_automatic || strcmp(text, other) == 0
		       ? 0
		       : place_fail(place, err, "must be auto or %s, not \"%.40s\"", other, text);
}

static int read_quota(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	bool automatic;
	int r = read_automatic(place, "classic", &automatic, err);

	(void)key;
	if (r == 0)
		*(bool *)member = !automatic;
	return r;
}

static int read_docker_user(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	(void)key;
	return read_automatic(place, "off", member, err);
}

static const struct key STORAGE_KEYS[] = {
	{CONFIG("path", setting_path, storage.path), .min = 1, .max = PATH_LENGTH},
	{CONFIG("loop_file", setting_path, storage.loop_file), .max = PATH_LENGTH},
	{CONFIG("loop_size", setting_size, storage.loop_size), .min = 256ULL << 20,
		.max = 1024 * TIB},
	{CONFIG("loop_max", setting_size, storage.loop_max), .max = 1024 * TIB},
	{CONFIG("quota", read_quota, storage.classic_quota)},
	{CONFIG("image_max_size", setting_size, storage.image_max_size), .min = 1 << 20,
		.max = 1024 * TIB},
	{CONFIG("image_max_entries", setting_u64, storage.image_max_entries), .min = 1,
		.max = 100000000},
	{0},
};

static const struct key NET_KEYS[] = {
	{CONFIG("bridge", setting_link, net.bridge), .min = 1, .max = IFNAMSIZ - 1},
	{CONFIG("gateway", setting_ipv4, net.gateway)},
	{CONFIG("prefix", setting_u32, net.prefix), .min = 8, .max = 30},
	{CONFIG("domain", setting_host_name, net.domain), .max = GUEST_NAME_MAX},
	{CONFIG("dhcp", setting_bool, net.dhcp)},
	{CONFIG("docker_user", read_docker_user, net.docker_user)},
	{CONFIG("port_first", setting_u16, net.port_first), .min = 1024, .max = 65535},
	{CONFIG("port_last", setting_u16, net.port_last), .min = 1024, .max = 65535},
	{0},
};

static const struct key IDMAP_KEYS[] = {
	{CONFIG("base", setting_u32, idmap.base), .max = IDS_MAX},
	{CONFIG("count", setting_u32, idmap.count), .max = IDS_MAX},
	{0},
};

static const struct key HEALTH_KEYS[] = {
	{CONFIG("parallel", setting_u32, health_parallel), .min = 1, .max = 1024},
	{0},
};

static const struct key AUDIT_KEYS[] = {
	{CONFIG("size", setting_size, audit.size), .min = 4096, .max = 1ULL << 30},
	{CONFIG("files", setting_u32, audit.files), .min = 1, .max = 1000},
	{0},
};

static const struct key RESTART_KEYS[] = {
	{CONFIG("delay", setting_duration, restart.delay_ms), .min = 10, .max = DAY_MS},
	{CONFIG("delay_max", setting_duration, restart.delay_max_ms), .min = 10, .max = DAY_MS},
	{CONFIG("reset", setting_duration, restart.reset_ms), .min = 10, .max = DAY_MS},
	{0},
};

const struct key CONFIG_KEYS[] = {
	{CONFIG("state_dir", setting_path, state_dir), .min = 1, .max = PATH_LENGTH},
	{CONFIG("run_dir", setting_path, run_dir), .min = 1, .max = PATH_LENGTH},
	{CONFIG("log_dir", setting_path, log_dir), .min = 1, .max = PATH_LENGTH},
	{CONFIG("additions_dir", setting_path, additions_dir), .min = 1, .max = PATH_LENGTH},
	{CONFIG("socket", setting_path, socket), .max = SOCKET_LENGTH},
	{CONFIG("socket_mode", setting_mode, socket_mode), .max = 0777},
	{CONFIG("log_level", setting_log_level, log_level)},
	{CONFIG("workers", setting_u32, workers), .min = 1, .max = 64},
	{CONFIG("environment", setting_environment, environment), .max = 16},
	{CONFIG("node_name", setting_host_name, node_name), .max = GUEST_NAME_MAX},
	{CONFIG("node_address", setting_ipv4, node_address)},
	{CONFIG("slots", read_slots, slots), .max = 100000},
	{SECTION("storage", STORAGE_KEYS)},
	{SECTION("net", NET_KEYS)},
	{SECTION("idmap", IDMAP_KEYS)},
	{.name = "drivers", .read = read_drivers},
	{.name = "access", .read = read_access},
	{.name = "verbs", .read = read_verbs},
	{CONFIG("stats_interval", setting_duration, stats_interval_ms), .max = DAY_MS},
	{SECTION("audit", AUDIT_KEYS)},
	{CONFIG("reconcile_interval", setting_duration, reconcile_ms), .min = 1000, .max = DAY_MS},
	{CONFIG("operations_kept", setting_duration, operations_kept_ms), .min = 60 * 1000,
		.max = 3650 * DAY_MS},
	{CONFIG("events_kept", setting_u64, events_kept), .min = 1, .max = 10000000},
	{CONFIG("session_keep", setting_duration, session_keep_ms), .min = 0, .max = DAY_MS},
	{CONFIG("sessions_per_guest", setting_u32, sessions_per_guest), .min = 1, .max = 10000},
	{CONFIG("sessions_max", setting_u32, sessions_max), .min = 1, .max = 10000},
	{CONFIG("stop_timeout", setting_duration, stop_timeout_ms), .min = 1000, .max = DAY_MS},
	{SECTION("restart", RESTART_KEYS)},
	{SECTION("health", HEALTH_KEYS)},
	{0},
};
