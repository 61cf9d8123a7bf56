/* Configurations that cannot be are refused, in words that say where and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "config_file.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_is_refused_with_key_and_line),
		cmocka_unit_test(a_sentence_reads_as_a_whole),
		cmocka_unit_test(what_is_not_yaml_is_refused_with_its_line),
		cmocka_unit_test(anchors_do_not_lead_astray),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(no_damage_to_the_file_crashes),
	};

	return cmocka_run_group_tests(tests, config_file_make, config_file_remove);
}
