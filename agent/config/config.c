/* The configuration: defaults, then what the file says, then the defaults that follow from it. */
#include "agent/config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/keys.h"
#include "agent/config/rules.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/libexec.h"
#include "base/strv.h"
#include "model/name.h"

#define GIB  (1ULL << 30)
#define NODE "localhost"

DEFINE_CLEANUP(struct config *, config_free)

static const struct config DEFAULTS = {
	.socket_mode = 0666,
	.log_level = LOG_LEVEL_INFO,
	.workers = 4,
	.storage = {.loop_size = 20 * GIB,
		.loop_max = 200 * GIB,
		.image_max_size = 20 * GIB,
		.image_max_entries = 1000000},
	.net = {.gateway = 10U << 24 | 5U << 16 | 1, /* 10.5.0.1 */
		.prefix = 16,
		.dhcp = true,
		.docker_user = true,
		.port_first = 40000,
		.port_last = 60000},
	.audit = {.size = 16 << 20, .files = 8},
	.reconcile_ms = 60 * 1000,
	.operations_kept_ms = 7ULL * 24 * 3600 * 1000,
	.events_kept = 10000,
	.stats_interval_ms = 10 * 1000,
	.session_keep_ms = 60 * 1000,
	.sessions_per_guest = 128,
	.sessions_max = 1024,
	.stop_timeout_ms = 30 * 1000,
	.health_parallel = 16,
	.restart = {.delay_ms = 1000, .delay_max_ms = 300 * 1000, .reset_ms = 600 * 1000},
};

/* Gives *member its default, made by the format, unless it has a value. Remembers a failure for the
 * end of many. */
static void fill(char **member, bool *failed, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fill(char **member, bool *failed, const char *fmt, ...)
{
	va_list ap;

	if (*member)
		return;
	va_start(ap, fmt);
	if (vasprintf(member, fmt, ap) < 0) {
		*member = NULL;
		*failed = true;
	}
	va_end(ap);
}

/* An empty text stands for the default. */
static void clear_empty(char **member)
{
	if (*member && !**member) {
		free(*member);
		*member = NULL;
	}
}

static int fill_driver(struct driver_settings *settings, struct err *err)
{
	static char srv[] = "/srv";
	static char *usual[] = {srv, NULL};
	char program[DRIVER_NAME_MAX + 32];

	clear_empty(&settings->program);
	clear_empty(&settings->endpoint);
	clear_empty(&settings->registries);
	if (!settings->data_paths && !strv_copy(&settings->data_paths, usual))
		return -ENOMEM;
	if (settings->program)
		return 0;
	snprintf(program, sizeof(program), "corpus-driver-%s", settings->name);
	return libexec_find(program, &settings->program, err);
}

static int fill_drivers(struct config *config, struct err *err)
{
	bool failed = false;
	int r = 0;

	if (config->drivers_count == 0) {
		config->drivers = calloc(1, sizeof(*config->drivers));
		if (!config->drivers)
			return -ENOMEM;
		config->drivers_count = 1;
		config->drivers[0].parallel = CONFIG_PARALLEL;
		fill(&config->drivers[0].name, &failed, "lxc");
	}
	for (size_t i = 0; r == 0 && !failed && i < config->drivers_count; i++)
		r = fill_driver(&config->drivers[i], err);
	return failed ? -ENOMEM : r;
}

/* Directories first: others are below them. */
static int fill_defaults(struct config *config, struct err *err)
{
	char host[GUEST_NAME_MAX + 1] = NODE;
	bool failed = false;
	int r;

	if (gethostname(host, sizeof(host)) < 0 || !*host)
		snprintf(host, sizeof(host), NODE);
	clear_empty(&config->socket);
	clear_empty(&config->node_name);
	clear_empty(&config->net.domain);
	fill(&config->state_dir, &failed, "/var/lib/corpus");
	fill(&config->run_dir, &failed, "/run/corpus");
	fill(&config->log_dir, &failed, "/var/log/corpus");
	fill(&config->additions_dir, &failed, "/etc/corpus/guests.d");
	fill(&config->socket, &failed, "%s/agent.sock", config->run_dir);
	fill(&config->environment, &failed, "dev");
	fill(&config->node_name, &failed, "%s", host);
	fill(&config->storage.path, &failed, "%s/pool", config->state_dir);
	fill(&config->storage.loop_file, &failed, "%s/pool.img", config->state_dir);
	fill(&config->net.bridge, &failed, "lxcbr1");
	r = failed ? -ENOMEM : fill_drivers(config, err);
	return r == -ENOMEM ? err_errno(err, r, "cannot read the configuration") : r;
}

static int read_source(struct config *config, struct source *source, struct err *err)
{
	struct place root = source_root(source);
	int r = root.node ? setting_keys(&root, CONFIG_KEYS, config, err) : 0;

	if (r == 0)
		r = fill_defaults(config, err);
	return r < 0 ? r : rules_check(config, source, err);
}

int config_load(const char *path, struct config **ret, struct err *err)
{
	CLEANUP(config_freep) struct config *config = malloc(sizeof(*config));
	struct source source;
	int r;

	if (!config)
		return err_errno(err, ENOMEM, "cannot read the configuration");
	*config = DEFAULTS;
	if (path) {
		r = source_load(&source, path, err);
		if (r < 0)
			return r;
		r = read_source(config, &source, err);
		source_finish(&source);
	} else {
		r = fill_defaults(config, err);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->drivers_count; i++) {
		free(config->drivers[i].name);
		free(config->drivers[i].program);
		free(config->drivers[i].endpoint);
		free(config->drivers[i].registries);
		strv_free(config->drivers[i].data_paths);
	}
	free(config->drivers);
	free(config->grants);
	free(config->verbs);
	free(config->state_dir);
	free(config->run_dir);
	free(config->log_dir);
	free(config->additions_dir);
	free(config->socket);
	free(config->environment);
	free(config->node_name);
	free(config->storage.path);
	free(config->storage.loop_file);
	free(config->net.bridge);
	free(config->net.domain);
	free(config);
	return NULL;
}

static bool is_member(gid_t gid, const gid_t *gids, size_t gids_count)
{
	for (size_t i = 0; i < gids_count; i++)
		if (gids[i] == gid)
			return true;
	return false;
}

enum role config_role(const struct config *config, uid_t uid, const gid_t *gids, size_t gids_count)
{
	enum role role = uid == 0 ? ROLE_ADMIN : ROLE_NONE;

	for (size_t i = 0; i < config->grants_count; i++) {
		const struct access_grant *grant = &config->grants[i];
		bool matches =
			grant->is_group ? is_member(grant->id, gids, gids_count) : grant->id == uid;

		if (matches && grant->role > role)
			role = grant->role;
	}
	return role;
}

enum role config_verb_role(const struct config *config, const char *verb)
{
	for (size_t i = 0; i < config->verbs_count; i++)
		if (strcmp(config->verbs[i].verb, verb) == 0)
			return config->verbs[i].role;
	return ROLE_NONE;
}
