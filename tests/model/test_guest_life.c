/* What a guest does without hands, and its first boot, in requests and patches: autostart, restart,
 * health checks, keys, user data, raw lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strv.h"
#include "keys.h"
#include "requests.h"

#define MADE(name, extra) CLEANUP(guest_freep) struct guest *name = accepted(extra)

static void by_default_nothing_is_done_for_it_but_the_start_with_the_node(void **state)
{
	MADE(guest, "\"health\": null, \"ssh_keys\": null, \"user_data\": null, \"raw\": []");

	(void)state;
	assert_true(guest->autostart.on);
	assert_int_equal(guest->autostart.order, 0);
	assert_int_equal(guest->autostart.delay_s, 0);
	assert_int_equal(guest->restart.policy, GUEST_RESTART_NEVER);
	assert_int_equal(guest->restart.max, 10);
	assert_int_equal(guest->health.check, GUEST_CHECK_NONE);
	assert_null(guest->ssh_keys);
	assert_null(guest->user_data);
	assert_null(guest->raw);
	assert_false(guest->first_boot_done);
}

static void autostart_and_restart(void **state)
{
	MADE(guest, "\"autostart\": {\"on\": false, \"order\": 5, \"delay\": \"1m30s\"},"
		    "\"restart\": {\"policy\": \"on-failure\", \"max\": 0}");
	MADE(always, "\"autostart\": {\"delay\": 7}, \"restart\": {\"policy\": \"always\"}");

	(void)state;
	assert_false(guest->autostart.on);
	assert_int_equal(guest->autostart.order, 5);
	assert_int_equal(guest->autostart.delay_s, 90);
	assert_int_equal(guest->restart.policy, GUEST_RESTART_ON_FAILURE);
	assert_int_equal(guest->restart.max, 0);
	assert_int_equal(always->autostart.delay_s, 7);
	assert_int_equal(always->restart.policy, GUEST_RESTART_ALWAYS);
	assert_int_equal(always->restart.max, 10);
	REFUSED({"\"autostart\": {\"order\": -1}", "autostart.order", "from 0 to 1000000"},
		{"\"autostart\": {\"delay\": \"2h\"}", "autostart.delay", "from 0s to 3600s"},
		{"\"autostart\": {\"delay\": \"500ms\"}", "autostart.delay", "in whole seconds"},
		{"\"autostart\": {\"delay\": -1}", "autostart.delay", "a duration"},
		{"\"autostart\": {\"delay\": true}", "autostart.delay", "a duration"},
		{"\"autostart\": {\"delay_s\": 1}", "autostart.delay_s", "not a known field"},
		{"\"restart\": \"always\"", "restart", "must be a JSON object"},
		{"\"restart\": {\"policy\": \"sometimes\"}", "restart.policy",
			"one of never, on-failure, always"},
		{"\"restart\": {\"policy\": 1}", "restart.policy", "one of never"},
		{"\"restart\": {\"max\": -1}", "restart.max", "from 0 to 1000000"});
}

/* It boots, and under software emulation that takes its time. */
static void a_machine_has_more_time_until_it_must_be_well(void **state)
{
	MADE(machine, "\"health\": {\"check\": \"http\", \"port\": 80}");
	MADE(again, "\"health\": {\"check\": \"http\", \"port\": 80}");
	MADE(given, "\"health\": {\"check\": \"http\", \"port\": 80, \"grace\": \"30s\"}");
	json_auto_t *shown = NULL;
	json_auto_t *same = NULL;
	json_auto_t *other = NULL;

	(void)state;
	machine->disk = calloc(1, sizeof(*machine->disk));
	assert_non_null(machine->disk);
	assert_int_equal(guest_health_grace(machine), 300);
	shown = guest_to_json(machine, NULL);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(shown, "health"), "grace")),
		"300s");
	assert_int_equal(guest_diff(machine, again, &same, NULL), 0);
	assert_int_equal(json_object_size(same), 0);
	assert_int_equal(guest_diff(machine, given, &other, NULL), 0);
	assert_non_null(json_object_get(other, "health"));
}

static void each_kind_of_check(void **state)
{
	MADE(http, "\"health\": {\"check\": \"http\", \"port\": 80}");
	MADE(tcp, "\"health\": {\"check\": \"tcp\", \"port\": 5432, \"interval\": \"10s\","
		  "\"timeout\": 2, \"retries\": 1, \"grace\": \"1m\", \"restart\": true}");
	MADE(exec, "\"health\": {\"check\": \"exec\", \"command\": [\"pg_isready\", \"\"]}");

	(void)state;
	assert_int_equal(http->health.check, GUEST_CHECK_HTTP);
	assert_int_equal(http->health.port, 80);
	assert_string_equal(http->health.path, "/");
	assert_int_equal(http->health.interval_s, 30);
	assert_int_equal(http->health.timeout_s, 5);
	assert_int_equal(http->health.retries, 3);
	assert_int_equal(guest_health_grace(http), 30);
	assert_false(http->health.restart);
	assert_int_equal(tcp->health.check, GUEST_CHECK_TCP);
	assert_int_equal(tcp->health.interval_s, 10);
	assert_int_equal(tcp->health.timeout_s, 2);
	assert_int_equal(tcp->health.retries, 1);
	assert_int_equal(guest_health_grace(tcp), 60);
	assert_true(tcp->health.restart);
	assert_null(tcp->health.path);
	assert_int_equal(exec->health.check, GUEST_CHECK_EXEC);
	assert_int_equal(strv_length(exec->health.command), 2);
	assert_string_equal(exec->health.command[0], "pg_isready");
}

static void wrong_checks(void **state)
{
	(void)state;
	REFUSED({"\"health\": \"http\"", "health", "must be a JSON object"},
		{"\"health\": {}", "health.check", "is missing: one of http, tcp, exec"},
		{"\"health\": {\"check\": \"none\"}", "health.check", "one of http, tcp, exec"},
		{"\"health\": {\"check\": \"http\"}", "health.port", "a check of http needs it"},
		{"\"health\": {\"check\": \"tcp\", \"port\": null}", "health.port",
			"a check of tcp needs it"},
		{"\"health\": {\"check\": \"tcp\", \"port\": 0}", "health.port", "from 1 to 65535"},
		{"\"health\": {\"check\": \"tcp\", \"port\": 1, \"path\": \"/\"}", "health.path",
			"is for checks of http: leave it out"},
		{"\"health\": {\"check\": \"exec\"}", "health.command", "needs it"},
		{"\"health\": {\"check\": \"exec\", \"command\": []}", "health.command",
			"a command and its arguments"},
		{"\"health\": {\"check\": \"exec\", \"command\": [\"\"]}", "health.command",
			"a command and its arguments"},
		{"\"health\": {\"check\": \"exec\", \"command\": \"true\"}", "health.command",
			"an array of strings"},
		{"\"health\": {\"check\": \"exec\", \"command\": [\"a\", 1]}", "health.command[1]",
			"must be a string"},
		{"\"health\": {\"check\": \"exec\", \"command\": [\"a\\u0000\"]}",
			"health.command[0]", "without NUL"},
		{"\"health\": {\"check\": \"exec\", \"command\": [\"a\"], \"port\": 5}",
			"health.port", "is for checks of http and tcp"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"path\": \"x\"}", "health.path",
			"must begin with /"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"path\": \"/a b\"}",
			"health.path", "without blanks"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"path\": \"/a\\r\\nHost: b\"}",
			"health.path", "without blanks"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"interval\": 0}",
			"health.interval", "from 1s to 86400s"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"timeout\": \"2h\"}",
			"health.timeout", "from 1s to 3600s"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"retries\": 0}", "health.retries",
			"from 1 to 1000"},
		{"\"health\": {\"check\": \"http\", \"port\": 1, \"foo\": 0}", "health.foo",
			"not a known field"});
}

static void a_check_is_patched_in_parts(void **state)
{
	MADE(guest, "\"health\": {\"check\": \"http\", \"port\": 80, \"interval\": 9}");
	struct err err = {0};

	(void)state;
	patched(guest, "{\"health\": {\"path\": \"/up\", \"interval\": null}}");
	assert_string_equal(guest->health.path, "/up");
	assert_int_equal(guest->health.port, 80);
	assert_int_equal(guest->health.interval_s, 30);
	assert_int_equal(patch(guest, "{\"health\": {\"check\": \"tcp\"}}", &err), -EINVAL);
	assert_string_equal(err.field, "health.path");
	patched(guest, "{\"health\": {\"check\": \"tcp\", \"path\": null}}");
	assert_int_equal(guest->health.check, GUEST_CHECK_TCP);
	assert_null(guest->health.path);
	assert_int_equal(guest->health.port, 80);
	patched(guest, "{\"health\": null}");
	assert_int_equal(guest->health.check, GUEST_CHECK_NONE);
	assert_int_equal(guest->health.port, 0);
	assert_int_equal(patch(guest, "{\"health\": {\"retries\": 2}}", &err), -EINVAL);
	assert_string_equal(err.field, "health.check");
}

static void keys_are_a_list_without_doubles(void **state)
{
	MADE(guest, "\"ssh_keys\": [\"" KEY_ED25519 "\\n\", \"" KEY_RSA "\"]");

	(void)state;
	assert_int_equal(strv_length(guest->ssh_keys), 2);
	assert_string_equal(guest->ssh_keys[0], KEY_ED25519);
	patched(guest, "{\"ssh_keys\": [\"" KEY_ECDSA256 "\"]}");
	assert_int_equal(strv_length(guest->ssh_keys), 1);
	patched(guest, "{\"slots\": 2}");
	assert_int_equal(strv_length(guest->ssh_keys), 1);
	patched(guest, "{\"ssh_keys\": null}");
	assert_null(guest->ssh_keys);
	REFUSED({"\"ssh_keys\": \"" KEY_ED25519 "\"", "ssh_keys", "an array of strings"},
		{"\"ssh_keys\": [\"" KEY_ED25519 "\", \"x\"]", "ssh_keys[1]",
			"must begin with a type"},
		{"\"ssh_keys\": [5]", "ssh_keys[0]", "must be a string"},
		{"\"ssh_keys\": [null]", "ssh_keys[0]", "must be a string"},
		{"\"ssh_keys\": [\"" KEY_RSA "\", \"" KEY_RSA " again\"]", "ssh_keys[1]",
			"the same key as the one at 0"});
}

static void keys_are_bounded_in_number(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = NULL;
	json_auto_t *json = json_pack("{s:s, s:s, s:[]}", "name", "g", "image", "i", "ssh_keys");
	struct err err = {0};

	(void)state;
	for (int i = 0; i <= GUEST_SSH_KEYS_MAX; i++)
		json_array_append_new(json_object_get(json, "ssh_keys"), json_string(KEY_RSA));
	assert_int_equal(guest_from_request(json, &guest, &err), -EINVAL);
	assert_string_equal(err.field, "ssh_keys");
	assert_non_null(strstr(err.message, "at most 64"));
}

static void raw_lines(void **state)
{
	MADE(guest, "\"raw\": [\"lxc.cap.drop = sys_time\", \"\\tx\"]");

	(void)state;
	assert_int_equal(strv_length(guest->raw), 2);
	assert_string_equal(guest->raw[1], "\tx");
	REFUSED({"\"raw\": \"x\"", "raw", "an array of strings"},
		{"\"raw\": [\"\"]", "raw[0]", "a line of 1 to 1024 bytes"},
		{"\"raw\": [\" \"]", "raw[0]", "a line of 1 to 1024 bytes"},
		{"\"raw\": [\"a\", \"b\\nc\"]", "raw[1]", "one line"},
		{"\"raw\": [\"a\\u0000b\"]", "raw[0]", "without NUL"});
}

static void user_data_are_changed_only_before_the_first_boot(void **state)
{
	MADE(guest, "\"user_data\": \"#!/bin/sh\\nexit 0\\n\"");
	struct err err = {0};

	(void)state;
	assert_string_equal(guest->user_data, "#!/bin/sh\nexit 0\n");
	patched(guest, "{\"user_data\": \"#cloud-config\\n\"}");
	assert_string_equal(guest->user_data, "#cloud-config\n");
	guest->first_boot_done = true;
	patched(guest, "{\"user_data\": \"#cloud-config\\n\", \"slots\": 3}");
	assert_int_equal(guest->slots, 3);
	assert_true(patch(guest, "{\"user_data\": null, \"slots\": 4}", &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_string_equal(err.field, "user_data");
	assert_int_equal(guest->slots, 3);
	assert_non_null(guest->user_data);
}

static void user_data_are_bounded(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = NULL;
	AUTOFREE char *text = calloc(1, GUEST_USER_DATA_MAX + 2);
	json_auto_t *json = NULL;
	struct err err = {0};

	(void)state;
	memset(text, 'x', GUEST_USER_DATA_MAX + 1);
	json = json_pack("{s:s, s:s, s:s}", "name", "g", "image", "i", "user_data", text);
	assert_int_equal(guest_from_request(json, &guest, &err), -EINVAL);
	assert_string_equal(err.field, "user_data");
	assert_non_null(strstr(err.message, "at most 65536 bytes"));
}

/* What GET shows may be sent back by PUT: it does not show the user data. */
static void user_data_that_are_not_given_are_no_difference(void **state)
{
	MADE(have, "\"user_data\": \"x\"");
	MADE(want, "\"slots\": 2");
	MADE(other, "\"user_data\": \"y\"");
	json_auto_t *difference = NULL;
	json_auto_t *to_other = NULL;

	(void)state;
	assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
	assert_int_equal(json_object_size(difference), 1);
	assert_non_null(json_object_get(difference, "slots"));
	assert_int_equal(guest_diff(have, other, &to_other, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(to_other, "user_data")), "y");
}

static void differences_of_checks_keys_and_lines_make_the_one_of_the_other(void **state)
{
	static const char *const guests[] = {
		"\"slots\": 1",
		"\"health\": {\"check\": \"http\", \"port\": 80}",
		"\"health\": {\"check\": \"tcp\", \"port\": 81, \"retries\": 9}",
		"\"health\": {\"check\": \"exec\", \"command\": [\"a\"]}",
		"\"ssh_keys\": [\"" KEY_RSA "\"], \"raw\": [\"a\"],"
		"\"autostart\": {\"order\": 2}, \"restart\": {\"policy\": \"always\"}",
		"\"ssh_keys\": [\"" KEY_ED25519 "\"], \"raw\": [\"b\", \"c\"],"
		"\"limits\": {\"io_read\": \"1MB\", \"io_write\": \"2MB\"}",
	};

	(void)state;
	for (size_t a = 0; a < ARRAY_SIZE(guests); a++)
		for (size_t b = 0; b < ARRAY_SIZE(guests); b++) {
			MADE(have, guests[a]);
			MADE(want, guests[b]);
			json_auto_t *difference = NULL;
			json_auto_t *none = NULL;

			assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
			assert_int_equal(json_object_size(difference) == 0, a == b);
			assert_int_equal(guest_patch(have, difference, NULL), 0);
			assert_int_equal(guest_diff(have, want, &none, NULL), 0);
			assert_int_equal(json_object_size(none), 0);
		}
}

static void what_the_node_counts_cannot_be_set(void **state)
{
	(void)state;
	REFUSED({"\"restarts\": 1", "restarts", "is decided by the node"},
		{"\"health_state\": \"healthy\"", "health_state", "is decided by the node"},
		{"\"snapshots\": []", "snapshots", "is decided by the node"},
		{"\"user_data_size\": 0", "user_data_size", "is decided by the node"},
		{"\"password\": \"x\"", "password", "is not a known field"},
		{"\"first_boot_done\": true", "first_boot_done", "is not a known field"},
		{"\"resting\": true", "resting", "is not a known field"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_default_nothing_is_done_for_it_but_the_start_with_the_node),
		cmocka_unit_test(autostart_and_restart),
		cmocka_unit_test(a_machine_has_more_time_until_it_must_be_well),
		cmocka_unit_test(each_kind_of_check),
		cmocka_unit_test(wrong_checks),
		cmocka_unit_test(a_check_is_patched_in_parts),
		cmocka_unit_test(keys_are_a_list_without_doubles),
		cmocka_unit_test(keys_are_bounded_in_number),
		cmocka_unit_test(raw_lines),
		cmocka_unit_test(user_data_are_changed_only_before_the_first_boot),
		cmocka_unit_test(user_data_are_bounded),
		cmocka_unit_test(user_data_that_are_not_given_are_no_difference),
		cmocka_unit_test(differences_of_checks_keys_and_lines_make_the_one_of_the_other),
		cmocka_unit_test(what_the_node_counts_cannot_be_set),
	};

	return cmocka_run_group_tests_name("guest_life", tests, NULL, NULL);
}
