/* The configuration: defaults, the example that shows them, what is refused and in which words, and
 * whose role is which. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/keys.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/strbuf.h"
#include "base/strv.h"

static char g_path[] = "/tmp/corpus-config-XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(g_path);

	(void)state;
	unsetenv("CORPUS_LIBEXEC");
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(g_path);
}

static int load(const char *text, struct config **ret, struct err *err)
{
	assert_int_equal(file_replace(g_path, text, 0600, false), 0);
	return config_load(g_path, ret, err);
}

static struct config *load_good(const char *text)
{
	struct config *config = NULL;
	struct err err;

	if (load(text, &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

/* --- Defaults --------------------------------------------------------------------------------- */

#define SAME_TEXT(member)                                                                          \
	do {                                                                                       \
		assert_int_equal(!a->member, !b->member);                                          \
		if (a->member)                                                                     \
			assert_string_equal(a->member, b->member);                                 \
	} while (0)
#define SAME(member) assert_int_equal(a->member, b->member)

static void assert_same(const struct config *a, const struct config *b)
{
	SAME_TEXT(state_dir);
	SAME_TEXT(run_dir);
	SAME_TEXT(log_dir);
	SAME_TEXT(additions_dir);
	SAME_TEXT(socket);
	SAME(socket_mode);
	SAME(log_level);
	SAME(workers);
	SAME_TEXT(environment);
	SAME_TEXT(node_name);
	SAME(node_address);
	SAME(slots);
	SAME_TEXT(storage.path);
	SAME_TEXT(storage.loop_file);
	SAME(storage.loop_size);
	SAME(storage.loop_max);
	SAME(storage.classic_quota);
	SAME(storage.image_max_size);
	SAME(storage.image_max_entries);
	SAME_TEXT(net.bridge);
	SAME(net.gateway);
	SAME(net.prefix);
	SAME_TEXT(net.domain);
	SAME(net.dhcp);
	SAME(net.docker_user);
	SAME(net.port_first);
	SAME(net.port_last);
	SAME(idmap.base);
	SAME(idmap.count);
	SAME(drivers_count);
	for (size_t i = 0; i < a->drivers_count; i++) {
		SAME_TEXT(drivers[i].name);
		SAME_TEXT(drivers[i].program);
		SAME_TEXT(drivers[i].endpoint);
		SAME_TEXT(drivers[i].registries);
		assert_true(strv_equal(a->drivers[i].data_paths, b->drivers[i].data_paths));
		SAME(drivers[i].parallel);
	}
	SAME(grants_count);
	SAME(verbs_count);
	SAME(reconcile_ms);
	SAME(operations_kept_ms);
	SAME(events_kept);
	SAME(stats_interval_ms);
	SAME(session_keep_ms);
	SAME(sessions_per_guest);
	SAME(sessions_max);
	SAME(stop_timeout_ms);
	SAME(audit.size);
	SAME(audit.files);
	SAME(restart.delay_ms);
	SAME(restart.delay_max_ms);
	SAME(restart.reset_ms);
	SAME(health_parallel);
}

static void without_a_file_there_are_the_documented_defaults(void **state)
{
	struct config *config = NULL;
	char host[256];

	(void)state;
	assert_int_equal(config_load(NULL, &config, NULL), 0);
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	assert_string_equal(config->state_dir, "/var/lib/corpus");
	assert_string_equal(config->socket, "/run/corpus/agent.sock");
	assert_int_equal(config->socket_mode, 0666);
	assert_int_equal(config->workers, 4);
	assert_string_equal(config->node_name, host);
	assert_string_equal(config->storage.loop_file, "/var/lib/corpus/pool.img");
	assert_string_equal(config->net.bridge, "lxcbr1");
	assert_int_equal(config->net.gateway, 0x0a050001);
	assert_int_equal(config->net.port_first, 40000);
	assert_int_equal(config->net.port_last, 60000);
	assert_int_equal(config->drivers_count, 1);
	assert_string_equal(config->drivers[0].name, "lxc");
	assert_non_null(strstr(config->drivers[0].program, "/corpus-driver-lxc"));
	assert_int_equal(config->drivers[0].parallel, 8);
	assert_int_equal(config->reconcile_ms, 60000);
	assert_int_equal(config->stats_interval_ms, 10000);
	assert_int_equal(config->operations_kept_ms, 7 * 24 * 3600 * 1000);
	assert_int_equal(config->events_kept, 10000);
	assert_int_equal(config->stop_timeout_ms, 30000);
	assert_int_equal(config->audit.size, 16 << 20);
	assert_int_equal(config->audit.files, 8);
	assert_int_equal(config->restart.delay_ms, 1000);
	assert_int_equal(config->restart.delay_max_ms, 300 * 1000);
	assert_int_equal(config->restart.reset_ms, 600 * 1000);
	assert_int_equal(config->health_parallel, 16);
	config_free(config);
}

/* A commented-out setting, as opposed to prose: "#key", "#  key" or "#    key". */
static bool is_setting(const char *line)
{
	return line[0] == '#' &&
	       (line[1] > ' ' || (line[1] == ' ' && line[2] == ' ' && line[5] != ' ' &&
					 line[3] != '\0' && line[3] != '\n'));
}

/* The example with its settings no longer commented out. */
static char *uncommented(void)
{
	AUTOFREE char *text = NULL;
	struct strbuf buf = {0};
	char *rest, *line;

	assert_int_equal(file_read(EXAMPLE, 1 << 20, &text, NULL), 0);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		strbuf_addf(&buf, "%s\n", is_setting(line) ? line + 1 : line);
	return strbuf_take(&buf);
}

static void the_example_changes_nothing(void **state)
{
	struct config *defaults = NULL, *example = NULL;
	struct err err;

	(void)state;
	assert_int_equal(config_load(NULL, &defaults, NULL), 0);
	if (config_load(EXAMPLE, &example, &err) < 0)
		fail_msg("%s", err.message);
	assert_same(defaults, example);
	config_free(defaults);
	config_free(example);
}

static void the_example_shows_exactly_the_defaults(void **state)
{
	AUTOFREE char *text = uncommented();
	struct config *defaults = NULL, *example = load_good(text);

	(void)state;
	assert_int_equal(config_load(NULL, &defaults, NULL), 0);
	assert_same(defaults, example);
	config_free(defaults);
	config_free(example);
}

static void assert_keys_shown(const struct key *keys, const char *text)
{
	for (; keys->name; keys++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "%s:", keys->name);
		if (!strstr(text, wanted))
			fail_msg("the example does not show %s", keys->name);
		if (keys->keys)
			assert_keys_shown(keys->keys, text);
	}
}

static void assert_keys_described(const struct key *keys, const char *manual)
{
	for (; keys->name; keys++) {
		char wanted[2][64];

		snprintf(wanted[0], sizeof(wanted[0]), "%s\n", keys->name);
		snprintf(wanted[1], sizeof(wanted[1]), "%s ,", keys->name);
		if (!strstr(manual, wanted[0]) && !strstr(manual, wanted[1]))
			fail_msg("the manual does not describe %s", keys->name);
		if (keys->keys)
			assert_keys_described(keys->keys, manual);
	}
}

static void the_manual_describes_every_key(void **state)
{
	AUTOFREE char *manual = NULL;

	(void)state;
	assert_int_equal(file_read(MANUAL, 1 << 20, &manual, NULL), 0);
	assert_keys_described(CONFIG_KEYS, manual);
	assert_keys_described(DRIVER_KEYS, manual);
	assert_keys_described(ACCESS_KEYS, manual);
}

static void the_example_shows_every_key(void **state)
{
	AUTOFREE char *text = uncommented();

	(void)state;
	assert_keys_shown(CONFIG_KEYS, text);
	assert_keys_shown(DRIVER_KEYS, text);
	assert_keys_shown(ACCESS_KEYS, text);
}

/* --- What is accepted ------------------------------------------------------------------------- */

static void every_kind_of_value_is_read(void **state)
{
	struct config *config = load_good(
		"state_dir: /srv/corpus\n"
		"run_dir: /tmp/run\n"
		"socket_mode: 0660\n"
		"log_level: debug\n"
		"environment: prod\n"
		"node_address: 192.0.2.7\n"
		"slots: 12\n"
		"storage:\n"
		"  loop_file: \"\"\n"
		"  loop_size: 100GiB\n"
		"  loop_max: 0\n"
		"  quota: classic\n"
		"net: {gateway: 10.9.0.1, prefix: 24, dhcp: no, docker_user: off, domain: a.org}\n"
		"idmap: {base: 1000000, count: 65536}\n"
		"drivers:\n"
		"- {name: lxc, program: /opt/lxc, parallel: 2}\n"
		"- {name: docker, endpoint: unix:///run/docker.sock,\n"
		"   registries: /etc/corpus/registries.json, data_paths: [/srv, /var/lib/app]}\n"
		"- {name: other, data_paths: []}\n"
		"operations_kept: 1h30m\n");

	(void)state;
	assert_string_equal(config->socket, "/tmp/run/agent.sock");
	assert_int_equal(config->socket_mode, 0660);
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(config->environment, "prod");
	assert_int_equal(config->node_address, 0xc0000207);
	assert_int_equal(config->slots, 12);
	assert_string_equal(config->storage.path, "/srv/corpus/pool");
	assert_string_equal(config->storage.loop_file, "");
	assert_true(config->storage.loop_size == 100ULL << 30);
	assert_true(config->storage.classic_quota);
	assert_int_equal(config->net.prefix, 24);
	assert_false(config->net.dhcp);
	assert_false(config->net.docker_user);
	assert_string_equal(config->net.domain, "a.org");
	assert_int_equal(config->idmap.base, 1000000);
	assert_int_equal(config->drivers_count, 3);
	assert_string_equal(config->drivers[0].program, "/opt/lxc");
	assert_string_equal(config->drivers[1].endpoint, "unix:///run/docker.sock");
	assert_null(config->drivers[0].registries);
	assert_string_equal(config->drivers[1].registries, "/etc/corpus/registries.json");
	assert_int_equal(strv_length(config->drivers[0].data_paths), 1);
	assert_string_equal(config->drivers[0].data_paths[0], "/srv");
	assert_int_equal(strv_length(config->drivers[1].data_paths), 2);
	assert_string_equal(config->drivers[1].data_paths[1], "/var/lib/app");
	assert_non_null(config->drivers[2].data_paths);
	assert_null(config->drivers[2].data_paths[0]);
	assert_int_equal(config->drivers[1].parallel, 8);
	assert_int_equal(config->operations_kept_ms, 90 * 60 * 1000);
	config_free(config);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	static const char *const texts[] = {"", "# nothing\n", "---\n", "{}\n"};
	struct config *defaults = NULL;

	(void)state;
	assert_int_equal(config_load(NULL, &defaults, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config *config = load_good(texts[i]);

		assert_same(defaults, config);
		config_free(config);
	}
	config_free(defaults);
}

static void programs_are_looked_for_where_the_environment_says(void **state)
{
	struct config *config;

	(void)state;
	setenv("CORPUS_LIBEXEC", "/opt/libexec", 1);
	config = load_good("drivers: [{name: kvm}]\n");
	assert_string_equal(config->drivers[0].program, "/opt/libexec/corpus-driver-kvm");
	config_free(config);
	unsetenv("CORPUS_LIBEXEC");
}

static void programs_beside_our_own_are_preferred_to_installed_ones(void **state)
{
	AUTOFREE char *path = NULL;
	char self[1024] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(libexec_find(strrchr(self, '/') + 1, &path, NULL), 0);
	assert_string_equal(path, self);
}

/* --- What is refused -------------------------------------------------------------------------- */

struct refusal {
	const char *text;
	const char *field;
	unsigned line;
	const char *says;
};

static const struct refusal REFUSALS[] = {
	/* keys */
	{"workers: 2\nworkerz: 3\n", "workerz", 2, "is not a key that is known here"},
	{"net:\n  bridge: b\n  portfirst: 4\n", "net.portfirst", 3, "is not a key"},
	{"drivers:\n- name: lxc\n  paralel: 4\n", "drivers[0].paralel", 3, "is not a key"},
	{"workers: 2\nslots: 3\nworkers: 3\n", "workers", 3, "given twice, first in line 1"},
	{"? [a, b]\n: 1\n", "?", 1, "must be a single value"},
	{"1: 2\n", "1", 1, "is not a key"},
	/* shapes */
	{"- a\n- b\n", "", 1, "must be a group"},
	{"hello\n", "", 1, "must be a group"},
	{"\nnet: 5\n", "net", 2, "must be a group"},
	{"net: [1]\n", "net", 1, "must be a group"},
	{"workers: [1]\n", "workers", 1, "must be a single value"},
	{"workers: {a: 1}\n", "workers", 1, "must be a single value"},
	{"workers:\nslots: 1\n", "workers", 1, "has no value"},
	{"workers: ~\n", "workers", 1, "has no value"},
	{"workers: null\n", "workers", 1, "has no value"},
	{"drivers: lxc\n", "drivers", 1, "must be a list"},
	{"drivers: []\n", "drivers", 1, "at least one"},
	{"drivers: [lxc]\n", "drivers[0]", 1, "must be a group"},
	{"access: {user: a}\n", "access", 1, "must be a list"},
	{"state_dir: \"/a\\0b\"\n", "state_dir", 1, "zero byte"},
	/* numbers */
	{"workers: 0\n", "workers", 1, "from 1 to 64, not \"0\""},
	{"workers: 65\n", "workers", 1, "from 1 to 64"},
	{"workers: -1\n", "workers", 1, "from 1 to 64"},
	{"workers: 1.5\n", "workers", 1, "a whole number"},
	{"workers: many\n", "workers", 1, "not \"many\""},
	{"workers: 99999999999999999999999\n", "workers", 1, "from 1 to 64"},
	{"slots: some\n", "slots", 1, "a whole number"},
	{"net: {prefix: 31}\n", "net.prefix", 1, "from 8 to 30"},
	{"net: {port_first: 22}\n", "net.port_first", 1, "from 1024 to 65535"},
	{"net: {port_last: 65536}\n", "net.port_last", 1, "from 1024 to 65535"},
	{"drivers:\n- name: lxc\n  parallel: 0\n", "drivers[0].parallel", 3, "from 1 to"},
	/* paths of guests' data */
	{"drivers:\n- name: docker\n  data_paths: /srv\n", "drivers[0].data_paths", 3,
		"must be a list"},
	{"drivers: [{name: docker, data_paths: [srv]}]\n", "drivers[0].data_paths[0]", 1,
		"an absolute path"},
	{"drivers: [{name: docker, data_paths: [/a, /b/../c]}]\n", "drivers[0].data_paths[1]", 1,
		"an absolute path"},
	{"drivers: [{name: docker, data_paths: [/]}]\n", "drivers[0].data_paths[0]", 1,
		"must be a path below /"},
	{"drivers: [{name: docker, data_paths: [/a, /a/b]}]\n", "drivers[0].data_paths[1]", 1,
		"is in the way of drivers[0].data_paths[0]"},
	{"drivers: [{name: docker, data_paths: [[/a]]}]\n", "drivers[0].data_paths[0]", 1,
		"must be a single value"},
	/* units */
	{"storage:\n  loop_size: big\n", "storage.loop_size", 2, "a size like"},
	{"storage:\n  loop_size: 5 parsecs\n", "storage.loop_size", 2, "a size like"},
	{"storage: {loop_size: 1MiB}\n", "storage.loop_size", 1, "from 256 MiB"},
	{"storage: {loop_size: 16777216TiB}\n", "storage.loop_size", 1, "a size like"},
	{"stop_timeout: soon\n", "stop_timeout", 1, "a duration like"},
	{"stop_timeout: 1ms\n", "stop_timeout", 1, "from 1 s"},
	{"restart: {delay: 10m, delay_max: 5m}\n", "restart.delay_max", 1,
		"must not be less than restart.delay"},
	{"socket_mode: rw\n", "socket_mode", 1, "in octal"},
	{"socket_mode: 0888\n", "socket_mode", 1, "in octal"},
	{"socket_mode: 7777\n", "socket_mode", 1, "in octal"},
	{"socket_mode: \"\"\n", "socket_mode", 1, "in octal"},
	{"node_address: 300.1.1.1\n", "node_address", 1, "an IPv4 address"},
	{"node_address: \"::1\"\n", "node_address", 1, "an IPv4 address"},
	/* words */
	{"log_level: loud\n", "log_level", 1, "must be error, warning, info or debug"},
	{"environment: test\n", "environment", 1, "must be dev, staging, preprod or prod"},
	{"net: {dhcp: maybe}\n", "net.dhcp", 1, "must be true or false"},
	{"net: {docker_user: yes}\n", "net.docker_user", 1, "must be auto or off"},
	{"net: {bridge: \"a b\"}\n", "net.bridge", 1, "a link's name"},
	{"net: {bridge: ../../etc}\n", "net.bridge", 1, "a link's name"},
	{"net: {bridge: a23456789012345x}\n", "net.bridge", 1, "at most 15"},
	{"net: {domain: -x-}\n", "net.domain", 1, "net.domain"},
	{"node_name: \"no spaces\"\n", "node_name", 1, "node_name"},
	{"drivers: [{name: LXC}]\n", "drivers[0].name", 1, "drivers[0].name"},
	/* paths */
	{"state_dir: var\n", "state_dir", 1, "begins with \"/\""},
	{"state_dir: \"\"\n", "state_dir", 1, "must not be empty"},
	{"drivers: [{name: lxc, program: lxc}]\n", "drivers[0].program", 1, "begins with"},
	/* lists */
	{"drivers:\n- program: /a\n", "drivers[0]", 2, "needs a name"},
	{"drivers:\n- name: lxc\n- name: lxc\n", "drivers[1]", 3, "a second time"},
	{"access:\n- role: admin\n", "access[0]", 2, "either a user or a group"},
	{"access: [{user: root, group: root, role: admin}]\n", "access[0]", 1, "either"},
	{"access: [{user: root}]\n", "access[0]", 1, "needs a role"},
	{"access: [{user: no-such-user, role: admin}]\n", "access[0].user", 1, "does not exist"},
	{"access: [{group: no-such-group, role: admin}]\n", "access[0].group", 1, "not exist"},
	{"verbs: [guest.start]\n", "verbs", 1, "must be a group"},
	{"verbs:\n  guest.fly: admin\n", "verbs.guest.fly", 2, "is no verb"},
	{"verbs:\n  start: admin\n", "verbs.start", 2, "is no verb"},
	{"verbs:\n  guest.start: king\n", "verbs.guest.start", 2, "viewer, operator or"},
	{"verbs: {guest.start: admin, guest.start: viewer}\n", "verbs.guest.start", 1, "twice"},
	{"access: [{user: root, role: king}]\n", "access[0].role", 1, "viewer, operator or"},
	/* rules between keys */
	{"net:\n  gateway: 10.5.0.0\n", "net.gateway", 2, "a host in its network"},
	{"net:\n  prefix: 24\n  gateway: 10.5.0.255\n", "net.gateway", 3, "a host in its"},
	{"net:\n  port_last: 30000\n", "net.port_last", 2, "less than net.port_first"},
	{"net:\n  port_first: 60001\n", "net.port_last", 0, "less than net.port_first"},
	{"storage:\n  quota: simple\n", "storage.quota", 2, "must be auto or classic"},
	{"storage:\n  loop_max: 10GiB\n", "storage.loop_max", 2, "at least storage.loop_size"},
	{"idmap:\n  base: 100000\n", "idmap", 2, "both base and count"},
	{"idmap: {base: 100000, count: 1000}\n", "idmap.count", 1, "at least 65536"},
	{"idmap: {base: 4294900000, count: 100000}\n", "idmap.count", 1, "greatest id"},
};

static void assert_refused(const struct refusal *refusal)
{
	struct config *config = NULL;
	char where[64];
	struct err err;

	if (load(refusal->text, &config, &err) == 0)
		fail_msg("accepted: %s", refusal->text);
	assert_null(config);
	snprintf(where, sizeof(where), refusal->line ? "%s:%u:" : "%s:", g_path, refusal->line);
	if (err.code != ERR_INVALID || strncmp(err.message, where, strlen(where)) != 0 ||
		!strstr(err.message, refusal->says) || strcmp(err.field, refusal->field) != 0)
		fail_msg("%s is refused with \"%s\" of field \"%s\"", refusal->text, err.message,
			err.field);
}

static void what_cannot_be_is_refused_with_key_and_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(REFUSALS); i++)
		assert_refused(&REFUSALS[i]);
}

static void a_sentence_reads_as_a_whole(void **state)
{
	struct config *config = NULL;
	char expected[256];
	struct err err;

	(void)state;
	assert_true(load("slots: 1\nnet:\n  port_first: abc\n", &config, &err) < 0);
	snprintf(expected, sizeof(expected),
		"%s:3: net.port_first must be a whole number from 1024 to 65535, not \"abc\"",
		g_path);
	assert_string_equal(err.message, expected);
}

static void what_is_not_yaml_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} cases[] = {{"a: b: c\n", 1}, {"slots: 1\n\tworkers: 2\n", 2}, {"slots: \"open\n", 2},
		{"slots: 1\n---\nslots: 2\n", 3}, {"a: *unknown\n", 1}, {"\x80\n", 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *config = NULL;
		char where[64];
		struct err err;

		assert_true(load(cases[i].text, &config, &err) < 0);
		assert_int_equal(err.code, ERR_MALFORMED);
		snprintf(where, sizeof(where), "%s:%u:", g_path, cases[i].line);
		if (strncmp(err.message, where, strlen(where)) != 0)
			fail_msg("case %zu: %s", i, err.message);
	}
}

static void anchors_do_not_lead_astray(void **state)
{
	struct config *config = NULL;
	struct err err;

	(void)state;
	config = load_good("workers: &n 3\nslots: *n\n");
	assert_int_equal(config->slots, 3);
	config = config_free(config);
	assert_true(load("net: &a\n  bridge: *a\n", &config, &err) < 0);
	assert_true(load("drivers: &a\n- *a\n", &config, &err) < 0);
	assert_true(load("&a ? *a\n: 1\n", &config, &err) < 0);
}

static void a_missing_file_is_named(void **state)
{
	struct config *config = NULL;
	struct err err;

	(void)state;
	assert_true(config_load("/nonexistent/corpusd.yaml", &config, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.message, "/nonexistent/corpusd.yaml"));
	assert_true(config_load("/", &config, &err) < 0);
}

/* Every prefix and every changed byte of the example: an answer, never a crash. */
static void no_damage_to_the_file_crashes(void **state)
{
	AUTOFREE char *text = uncommented();
	size_t length = strlen(text);

	(void)state;
	for (size_t i = 0; i < 2 * length; i += 3) {
		AUTOFREE char *damaged = strdup(text);
		struct config *config = NULL;
		struct err err = {0};

		if (i < length)
			damaged[i] = '\0';
		else
			damaged[i - length] = "{}[]:#&*!|>'\"%@`\t\n-?,"[i % 21];
		if (load(damaged, &config, &err) < 0)
			assert_true(strlen(err.message) > 0);
		config_free(config);
	}
}

/* --- Verbs ------------------------------------------------------------------------------------ */

static void verbs_can_need_a_higher_role(void **state)
{
	struct config *config = load_good("verbs:\n"
					  "  guest.destroy: admin\n"
					  "  image.import: operator\n");

	(void)state;
	assert_int_equal(config_verb_role(config, "guest.destroy"), ROLE_ADMIN);
	assert_int_equal(config_verb_role(config, "image.import"), ROLE_OPERATOR);
	assert_int_equal(config_verb_role(config, "guest.start"), ROLE_NONE);
	config_free(config);
}

/* --- Roles ------------------------------------------------------------------------------------ */

static void the_highest_grant_of_user_and_groups_counts(void **state)
{
	struct config *config = load_good("access:\n"
					  "- {user: 1000, role: viewer}\n"
					  "- {group: 2000, role: operator}\n"
					  "- {group: 3000, role: admin}\n"
					  "- {user: 1001, role: operator}\n"
					  "- {group: 2000, role: viewer}\n");
	const gid_t none[] = {1}, operators[] = {5, 2000}, admins[] = {3000, 2000};

	(void)state;
	assert_int_equal(config_role(config, 0, none, 1), ROLE_ADMIN);
	assert_int_equal(config_role(config, 1000, none, 1), ROLE_VIEWER);
	assert_int_equal(config_role(config, 1000, operators, 2), ROLE_OPERATOR);
	assert_int_equal(config_role(config, 1001, none, 1), ROLE_OPERATOR);
	assert_int_equal(config_role(config, 1001, admins, 2), ROLE_ADMIN);
	assert_int_equal(config_role(config, 2000, none, 1), ROLE_NONE);
	assert_int_equal(config_role(config, 9, operators, 2), ROLE_OPERATOR);
	assert_int_equal(config_role(config, 9, NULL, 0), ROLE_NONE);
	config_free(config);
}

static void users_and_groups_are_known_by_name(void **state)
{
	struct config *config = load_good("access:\n"
					  "- {user: daemon, role: viewer}\n"
					  "- {group: daemon, role: operator}\n");
	const gid_t gid = getgrnam("daemon")->gr_gid;

	(void)state;
	assert_int_equal(config_role(config, getpwnam("daemon")->pw_uid, NULL, 0), ROLE_VIEWER);
	assert_int_equal(config_role(config, 12345, &gid, 1), ROLE_OPERATOR);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_there_are_the_documented_defaults),
		cmocka_unit_test(the_example_changes_nothing),
		cmocka_unit_test(the_example_shows_exactly_the_defaults),
		cmocka_unit_test(the_example_shows_every_key),
		cmocka_unit_test(the_manual_describes_every_key),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(programs_are_looked_for_where_the_environment_says),
		cmocka_unit_test(programs_beside_our_own_are_preferred_to_installed_ones),
		cmocka_unit_test(what_cannot_be_is_refused_with_key_and_line),
		cmocka_unit_test(a_sentence_reads_as_a_whole),
		cmocka_unit_test(what_is_not_yaml_is_refused_with_its_line),
		cmocka_unit_test(anchors_do_not_lead_astray),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(no_damage_to_the_file_crashes),
		cmocka_unit_test(verbs_can_need_a_higher_role),
		cmocka_unit_test(the_highest_grant_of_user_and_groups_counts),
		cmocka_unit_test(users_and_groups_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
