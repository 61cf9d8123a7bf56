/* Guests as the API shows them, against golden files; states by their names; tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "golden_json.h"
#include "keys.h"
#include "requests.h"

static void assert_shown(const char *name, const struct guest *guest, const char *node_address)
{
	json_auto_t *json = guest_to_json(guest, node_address);

	assert_golden_json(name, json, JSON_REAL_PRECISION(12));
}

static void a_new_guest_shows_what_is_not_known_as_null(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = make("{\"name\": \"g\", \"image\": \"i\"}");

	(void)state;
	strcpy(guest->id, "0123456789ab");
	assert_shown("guest-new.json", guest, NULL);
}

static void a_running_guest_shows_everything(void **state)
{
	CLEANUP(guest_freep)
	struct guest *guest =
		make("{\"name\": \"prod-app6.example.org\", \"image\": \"debian:12\","
		     "\"slots\": 2, \"environment\": \"prod\", \"privileged\": true,"
		     "\"limits\": {\"cpus\": 1.005, \"memory\": \"1GiB\", \"swap\": \"512MiB\","
		     "\"pids\": 500, \"io_weight\": 100, \"net_ingress\": \"10MB\","
		     "\"net_egress\": \"1MB\"}, \"labels\": {\"owner\": \"zo\xc3\xab\"},"
		     "\"network\": {\"address\": \"10.5.0.9\", \"mac\": \"00:16:3e:01:02:03\"},"
		     "\"ports\": [{\"proto\": \"udp\", \"host\": 5353, \"guest\": 53}],"
		     "\"autostart\": {\"order\": 2, \"delay\": \"1m\"},"
		     "\"restart\": {\"policy\": \"on-failure\", \"max\": 5},"
		     "\"health\": {\"check\": \"http\", \"port\": 80, \"path\": \"/up\","
		     "\"restart\": true}, \"ssh_keys\": [\"" KEY_ED25519 "\"],"
		     "\"raw\": [\"lxc.cap.drop = sys_time\"], \"user_data\": \"#!/bin/sh\\n\"}");

	(void)state;
	strcpy(guest->id, "0123456789ab");
	guest->state = GUEST_RUNNING;
	guest->pid = 4711;
	guest->created_ms = INT64_C(1700000000123);
	guest->since_ms = INT64_C(1700000001000);
	guest->generation = 7;
	guest->ports[1].host = 40001;
	guest->health_state = GUEST_HEALTH_HEALTHY;
	guest->restarts = 3;
	strcpy(guest->password, "neverShownToAnybodyHere1");
	guest->snapshots = calloc(2, sizeof(*guest->snapshots));
	guest->snapshots_count = 2;
	strcpy(guest->snapshots[0].name, "before-upgrade");
	guest->snapshots[0].created_ms = INT64_C(1700000000500);
	strcpy(guest->snapshots[1].name, "20231114t221320z");
	guest->snapshots[1].created_ms = INT64_C(1700000000600);
	guest->snapshots[1].consistency = SNAPSHOT_FILE_SYSTEM;
	guest->snapshots[1].memory = true;
	guest->snapshots[1].size = UINT64_C(5) << 30;
	assert_shown("guest-running.json", guest, "192.0.2.1");
}

static void a_guest_in_error_shows_its_problem(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = make("{\"name\": \"g\", \"image\": \"i\"}");

	(void)state;
	strcpy(guest->id, "0123456789ab");
	guest->state = GUEST_ERROR;
	guest->problem = strdup("its init ended: \"exec format error\"");
	assert_shown("guest-error.json", guest, NULL);
}

static void a_guest_with_a_disk_shows_how_it_boots(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = make("{\"name\": \"g\", \"image\": \"i\"}");
	json_auto_t *json = NULL;
	json_auto_t *expected = json_pack("{s:s, s:s}", "format", "raw", "boot", "uefi");

	(void)state;
	guest->disk = calloc(1, sizeof(*guest->disk));
	assert_non_null(guest->disk);
	guest->disk->format = DISK_RAW;
	guest->disk->boot = DISK_BOOT_UEFI;
	json = guest_to_json(guest, NULL);
	assert_true(json_equal(json_object_get(json, "disk"), expected));
}

static void what_is_shown_can_be_asked_for_again(void **state)
{
	static const char *const read_only[] = {"id", "state", "since", "problem", "pid",
		"addresses", "ssh", "created", "etag", "health_state", "restarts", "snapshots",
		"user_data_size", "seed_pending", "restart_needed", "disk", "image_id"};
	CLEANUP(guest_freep)
	struct guest *guest =
		make("{\"name\": \"g\", \"image\": \"i\", \"limits\": {\"cpus\": 0.333},"
		     "\"labels\": {\"a\": \"b\"}, \"ports\": [{\"guest\": 80}],"
		     "\"health\": {\"check\": \"exec\", \"command\": [\"true\"]},"
		     "\"ssh_keys\": [\"" KEY_RSA "\"], \"raw\": [\"a\"], \"user_data\": \"x\","
		     "\"autostart\": {\"delay\": 90}, \"restart\": {\"policy\": \"always\"}}");
	CLEANUP(guest_freep) struct guest *again = NULL;
	json_auto_t *json = guest_to_json(guest, NULL);
	json_auto_t *difference = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
		assert_int_equal(json_object_del(json, read_only[i]), 0);
	assert_int_equal(guest_from_request(json, &again, NULL), 0);
	assert_int_equal(guest_diff(guest, again, &difference, NULL), 0);
	assert_int_equal(json_object_size(difference), 0);
}

static void every_state_has_its_name(void **state)
{
	enum guest_state value = GUEST_ERROR;

	(void)state;
	for (int i = 0; i < GUEST_STATE_MAX_; i++) {
		assert_int_equal(
			guest_state_from_string(guest_state_to_string((enum guest_state)i), &value),
			0);
		assert_int_equal(value, i);
	}
	assert_int_equal(guest_state_from_string("Running", &value), -EINVAL);
	assert_int_equal(value, GUEST_UNKNOWN);
}

static void tags_differ_by_guest_and_generation(void **state)
{
	struct guest guest = {.id = "0123456789ab", .generation = UINT64_MAX};
	char tag[GUEST_ETAG_MAX];

	(void)state;
	assert_string_equal(guest_etag(tag, &guest), "0123456789ab-18446744073709551615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_guest_shows_what_is_not_known_as_null),
		cmocka_unit_test(a_running_guest_shows_everything),
		cmocka_unit_test(a_guest_in_error_shows_its_problem),
		cmocka_unit_test(a_guest_with_a_disk_shows_how_it_boots),
		cmocka_unit_test(what_is_shown_can_be_asked_for_again),
		cmocka_unit_test(every_state_has_its_name),
		cmocka_unit_test(tags_differ_by_guest_and_generation),
	};

	return cmocka_run_group_tests_name("guest_json", tests, NULL, NULL);
}
