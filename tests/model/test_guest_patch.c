/* Changing guests in place: merge patches of what may change, refusals with the way to do it
 * instead, and the difference behind PUT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "requests.h"

#define MADE(name, text) CLEANUP(guest_freep) struct guest *name = make(text)

#define EXAMPLE                                                                                    \
	"{\"name\": \"g\", \"image\": \"i\", \"slots\": 3, \"environment\": \"prod\","             \
	"\"limits\": {\"cpus\": 1.5, \"memory\": \"1GiB\", \"pids\": 50},"                         \
	"\"labels\": {\"a\": \"1\", \"b\": \"2\"}, \"autostart\": {\"on\": false},"                \
	"\"storage\": {\"size\": \"1GiB\"}, \"network\": {\"address\": \"10.5.0.9\"},"             \
	"\"ports\": [{\"guest\": 80, \"host\": 40080, \"purpose\": \"web\"}, {\"guest\": 81}]}"

static void an_empty_patch_changes_nothing(void **state)
{
	MADE(guest, EXAMPLE);
	MADE(same, EXAMPLE);
	json_auto_t *before = guest_to_record(same);
	json_auto_t *after = NULL;

	(void)state;
	assert_int_equal(patch(guest, "{}", NULL), 0);
	assert_int_equal(
		patch(guest, "{\"limits\": {}, \"labels\": {}, \"autostart\": {}}", NULL), 0);
	after = guest_to_record(guest);
	assert_true(json_equal(before, after));
}

static void what_is_named_changes_and_the_rest_stays(void **state)
{
	MADE(guest, EXAMPLE);

	(void)state;
	assert_int_equal(patch(guest,
				 "{\"limits\": {\"memory\": \"2GiB\", \"io_weight\": 200},"
				 "\"labels\": {\"b\": \"3\", \"c\": \"4\"}, \"slots\": 4}",
				 NULL),
		0);
	assert_int_equal(guest->limits.memory, UINT64_C(2) << 30);
	assert_int_equal(guest->limits.io_weight, 200);
	assert_int_equal(guest->limits.cpu_milli, 1500);
	assert_int_equal(guest->limits.pids, 50);
	assert_int_equal(guest->slots, 4);
	assert_string_equal(guest->environment, "prod");
	assert_false(guest->autostart.on);
	assert_int_equal(guest->labels_count, 3);
	assert_string_equal(guest->labels[0].value, "1");
	assert_string_equal(guest->labels[1].value, "3");
	assert_string_equal(guest->labels[2].value, "4");
	assert_int_equal(guest->ports_count, 3);
	assert_string_equal(guest->name, "g");
}

static void null_resets_to_the_default(void **state)
{
	MADE(guest, EXAMPLE);

	(void)state;
	assert_int_equal(patch(guest,
				 "{\"limits\": {\"memory\": null}, \"labels\": {\"a\": null,"
				 "\"never-was\": null}, \"slots\": null, \"environment\": null}",
				 NULL),
		0);
	assert_int_equal(guest->limits.memory, 0);
	assert_int_equal(guest->limits.cpu_milli, 1500);
	assert_int_equal(guest->labels_count, 1);
	assert_string_equal(guest->labels[0].key, "b");
	assert_int_equal(guest->slots, 1);
	assert_string_equal(guest->environment, "dev");
	assert_int_equal(
		patch(guest, "{\"limits\": null, \"labels\": null, \"autostart\": null}", NULL), 0);
	assert_int_equal(guest->limits.cpu_milli, 0);
	assert_int_equal(guest->limits.pids, 0);
	assert_int_equal(guest->labels_count, 0);
	assert_true(guest->autostart.on);
}

static void refusals_say_the_way(void **state)
{
	static const struct {
		const char *patch, *field, *words;
	} cases[] = {
		{"[]", "", "the request must be a JSON object"},
		{"null", "", "the request must be a JSON object"},
		{"{\"foo\": 1}", "foo", "is not a known field"},
		{"{\"foo\": null}", "foo", "is not a known field"},
		{"{\"limits\": {\"foo\": null}}", "limits.foo", "is not a known field"},
		{"{\"limits\": {\"memory\": true}}", "limits.memory", "must be a size"},
		{"{\"limits\": {\"memory\": 5}}", "limits.memory", "from 4 MiB"},
		{"{\"limits\": 5}", "limits", "must be a JSON object"},
		{"{\"labels\": {\"a\": 5}}", "labels.a", "must be a string"},
		{"{\"labels\": {\"A\": null}}", "labels.A", "must be a word"},
		{"{\"slots\": 0}", "slots", "from 1 to"},
		{"{\"environment\": \"x\"}", "environment", "must be one of"},
		{"{\"autostart\": {\"orders\": null}}", "autostart.orders", "is not a known field"},
		{"{\"name\": \"x\"}", "name", "use actions/rename"},
		{"{\"driver\": \"kvm\"}", "driver", "cannot be changed after creation"},
		{"{\"image\": \"x\"}", "image", "cannot be changed after creation"},
		{"{\"network\": {}}", "network", "cannot be changed after creation"},
		{"{\"privileged\": true}", "privileged", "cannot be changed after creation"},
		{"{\"storage\": {\"size\": 1}}", "storage", "use storage/enlarge or storage/trim"},
		{"{\"ports\": []}", "ports", "use the guest's ports"},
		{"{\"start\": true}", "start", "use actions/start or actions/stop"},
		{"{\"state\": \"running\"}", "state", "is decided by the node"},
		{"{\"etag\": null}", "etag", "is decided by the node"},
	};
	MADE(guest, EXAMPLE);
	json_auto_t *before = guest_to_record(guest);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_auto_t *after = NULL;
		struct err err = {0};
		int r = patch(guest, cases[i].patch, &err);

		if (r != -EINVAL || err.code != ERR_INVALID ||
			strcmp(err.field, cases[i].field) != 0 ||
			!strstr(err.message, cases[i].words))
			fail_msg("%s: returned %d: \"%s\": %s", cases[i].patch, r, err.field,
				err.message);
		after = guest_to_record(guest);
		assert_true(json_equal(before, after));
	}
}

static void labels_are_bounded_after_the_merge_too(void **state)
{
	MADE(guest, EXAMPLE);
	json_auto_t *json = json_pack("{s:{}}", "labels");
	json_t *labels = json_object_get(json, "labels");
	struct err err = {0};

	(void)state;
	for (int i = 0; i < GUEST_LABELS_MAX; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		json_object_set_new(labels, key, json_string(""));
	}
	assert_int_equal(guest_patch(guest, json, &err), -EINVAL);
	assert_string_equal(err.field, "labels");
	assert_int_equal(guest->labels_count, 2);
}

/* --- Differences ------------------------------------------------------------------------------ */

static void the_same_specification_is_no_difference(void **state)
{
	MADE(have, EXAMPLE);
	MADE(want, EXAMPLE);
	json_auto_t *difference = NULL;

	(void)state;
	/* What the node decided since. */
	have->mac[1] = 0x16;
	have->ports[1].host = 40001;
	have->ports[2].host = 40002;
	want->want_running = false;
	assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
	assert_int_equal(json_object_size(difference), 0);
}

static void what_the_node_may_choose_is_no_difference(void **state)
{
	MADE(have, EXAMPLE);
	MADE(want, EXAMPLE);
	json_auto_t *difference = NULL;

	(void)state;
	want->address = 0;
	want->ports[0].host = 0;
	assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
	assert_int_equal(json_object_size(difference), 0);
}

static void ports_in_another_order_are_no_difference(void **state)
{
	MADE(have,
		"{\"name\": \"g\", \"image\": \"i\", \"ports\": [{\"guest\": 80, \"host\": 4000},"
		"{\"guest\": 80, \"host\": 4001}]}");
	MADE(want, "{\"name\": \"g\", \"image\": \"i\", \"ports\": [{\"guest\": 80},"
		   "{\"guest\": 80, \"host\": 4000}]}");
	json_auto_t *difference = NULL;

	(void)state;
	assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
}

/* The patch is the least one, and makes the one of the other. */
static void a_difference_is_a_patch_that_makes_it_so(void **state)
{
	MADE(have, EXAMPLE);
	MADE(want, EXAMPLE);
	json_auto_t *difference = NULL;
	json_auto_t *expected = json_loads("{\"limits\": {\"cpus\": null, \"memory\": 8388608},"
					   "\"labels\": {\"a\": null, \"b\": \"9\", \"c\": \"\"},"
					   "\"autostart\": {\"on\": true}, \"slots\": 1}",
		0, NULL);
	json_auto_t *made = NULL;
	json_auto_t *wanted = NULL;

	(void)state;
	assert_int_equal(patch(want,
				 "{\"limits\": {\"cpus\": 0, \"memory\": \"8MiB\"}, \"slots\": 1,"
				 "\"labels\": {\"a\": null, \"b\": \"9\", \"c\": \"\"},"
				 "\"autostart\": {\"on\": true}}",
				 NULL),
		0);
	assert_int_equal(guest_diff(have, want, &difference, NULL), 0);
	assert_true(json_equal(difference, expected));
	assert_int_equal(guest_patch(have, difference, NULL), 0);
	made = guest_to_record(have);
	wanted = guest_to_record(want);
	assert_true(json_equal(made, wanted));
}

static void what_cannot_change_is_a_conflict_with_its_field(void **state)
{
	static const struct {
		const char *want, *field;
	} cases[] = {
		{"{\"name\": \"h\", \"image\": \"i\"}", "name"},
		{"{\"name\": \"g\", \"image\": \"j\"}", "image"},
		{"{\"name\": \"g\", \"image\": \"i\", \"driver\": \"kvm\"}", "driver"},
		{"{\"name\": \"g\", \"image\": \"i\", \"privileged\": true}", "privileged"},
		{"{\"name\": \"g\", \"image\": \"i\", \"storage\": {\"size\": \"6GiB\"}}",
			"storage.size"},
		{"{\"name\": \"g\", \"image\": \"i\", \"network\": {\"address\": \"10.5.0.9\"}}",
			"network.address"},
		{"{\"name\": \"g\", \"image\": \"i\", \"network\": {\"mac\": "
		 "\"00:16:3e:00:00:01\"}}",
			"network.mac"},
		{"{\"name\": \"g\", \"image\": \"i\", \"ports\": [{\"guest\": 80}]}", "ports"},
		{"{\"name\": \"g\", \"image\": \"i\", \"ports\": [{\"guest\": 22, \"host\": 4000,"
		 "\"purpose\": \"ssh\"}]}",
			"ports"},
	};
	MADE(have, "{\"name\": \"g\", \"image\": \"i\"}");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		MADE(want, cases[i].want);
		json_auto_t *difference = NULL;
		struct err err = {0};
		int r = guest_diff(have, want, &difference, &err);

		if (r != -EBUSY || err.code != ERR_CONFLICT || difference ||
			strcmp(err.field, cases[i].field) != 0)
			fail_msg("%s: returned %d: \"%s\": %s", cases[i].want, r, err.field,
				err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_patch_changes_nothing),
		cmocka_unit_test(what_is_named_changes_and_the_rest_stays),
		cmocka_unit_test(null_resets_to_the_default),
		cmocka_unit_test(refusals_say_the_way),
		cmocka_unit_test(labels_are_bounded_after_the_merge_too),
		cmocka_unit_test(the_same_specification_is_no_difference),
		cmocka_unit_test(what_the_node_may_choose_is_no_difference),
		cmocka_unit_test(ports_in_another_order_are_no_difference),
		cmocka_unit_test(a_difference_is_a_patch_that_makes_it_so),
		cmocka_unit_test(what_cannot_change_is_a_conflict_with_its_field),
	};

	return cmocka_run_group_tests_name("guest_patch", tests, NULL, NULL);
}
