/* The configuration: defaults, the example that shows them, what is accepted, and whose role is
 * which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "agent/config/keys.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/strv.h"
#include "config_file.h"

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
		cmocka_unit_test(verbs_can_need_a_higher_role),
		cmocka_unit_test(the_highest_grant_of_user_and_groups_counts),
		cmocka_unit_test(users_and_groups_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, config_file_make, config_file_remove);
}
