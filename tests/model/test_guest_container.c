/* What runs in guests made of images of programs: read, refused, changed, kept and shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "requests.h"

#define WHOLE                                                                                      \
	"{\"entrypoint\": [\"/bin/sh\", \"-c\"], \"command\": [\"echo a\\necho b\"],"              \
	"\"environment\": {\"B\": \"2=3\", \"A\": \"\"}, \"user\": \"www-data:33\","               \
	"\"working_dir\": \"/srv/app\", \"stop_signal\": \"quit\", \"terminal\": false,"           \
	"\"data\": [\"/srv\", \"/var/lib/db\"]}"

/* A guest of an image of such a container; NULL: as the image says. */
static int read_guest(const char *container, struct guest **ret, struct err *err)
{
	AUTOFREE char *text = NULL;

	assert_true(
		asprintf(&text, "{\"name\": \"g\", \"image\": \"r.example.org:5000/t/app:V1\"%s%s}",
			container ? ", \"container\": " : "", container ? container : "") > 0);
	return read_request(text, ret, err);
}

static struct guest *with(const char *container)
{
	struct guest *guest = NULL;
	struct err err = {0};

	if (read_guest(container, &guest, &err) < 0)
		fail_msg("%s: %s", container ? container : "none", err.message);
	return guest;
}

static void assert_words(char *const *list, const char *const *wanted)
{
	assert_non_null(list);
	assert_true(strv_equal(list, (char *const *)wanted));
}

static void all_of_it_is_read(void **state)
{
	static const char *const entrypoint[] = {"/bin/sh", "-c", NULL};
	static const char *const command[] = {"echo a\necho b", NULL};
	static const char *const environment[] = {"A=", "B=2=3", NULL};
	static const char *const data[] = {"/srv", "/var/lib/db", NULL};
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);
	const struct guest_container *container = guest->container;

	(void)state;
	assert_words(container->entrypoint, entrypoint);
	assert_words(container->command, command);
	assert_words(container->environment, environment);
	assert_words(container->data, data);
	assert_string_equal(container->user, "www-data:33");
	assert_string_equal(container->working_dir, "/srv/app");
	assert_string_equal(container->stop_signal, "SIGQUIT");
	assert_false(container->terminal);
	assert_int_equal(guest_image_kind(guest), IMAGE_OCI);
}

static void what_is_not_given_is_as_the_image_says(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with("{}");
	CLEANUP(guest_freep)
	struct guest *none = with("{\"entrypoint\": [], \"command\": [\"a\"]}");

	(void)state;
	assert_null(guest->container->entrypoint);
	assert_null(guest->container->command);
	assert_null(guest->container->data);
	assert_null(guest->container->user);
	assert_true(guest->container->terminal);
	assert_int_equal(strv_length(none->container->entrypoint), 0);
	assert_non_null(none->container->entrypoint);
}

static void a_bad_value_is_refused_by_its_full_path(void **state)
{
	static const struct {
		const char *container, *field, *message;
	} cases[] = {
		{"[]", "container", "must be a JSON object"},
		{"{\"cmd\": []}", "container.cmd", "is not a known field"},
		{"{\"image_id\": \"x\"}", "container.image_id", "is not a known field"},
		{"{\"command\": \"a b\"}", "container.command", "an array of strings"},
		{"{\"command\": [\"a\", 1]}", "container.command[1]", "must be a string"},
		{"{\"command\": [\"a\\u0000b\"]}", "container.command[0]", "without NUL"},
		{"{\"entrypoint\": []}", "container.command", "nothing would run"},
		{"{\"environment\": [\"A=1\"]}", "container.environment", "an object of strings"},
		{"{\"environment\": {\"A=\": \"1\"}}", "container.environment.A=", "without \"=\""},
		{"{\"environment\": {\"\": \"1\"}}", "container.environment.", "must be named"},
		{"{\"environment\": {\"A\": 1}}", "container.environment.A", "a string"},
		{"{\"environment\": {\"A\": \"\\u0000\"}}", "container.environment.A", "NUL"},
		{"{\"user\": \"\"}", "container.user", "a user of the guest"},
		{"{\"user\": \"a:\"}", "container.user", "a user of the guest"},
		{"{\"user\": \"a\\nb\"}", "container.user", "a user of the guest"},
		{"{\"working_dir\": \"srv\"}", "container.working_dir", "an absolute path"},
		{"{\"working_dir\": \"/a/../b\"}", "container.working_dir", "an absolute path"},
		{"{\"working_dir\": \"/a\\n\"}", "container.working_dir", "an absolute path"},
		{"{\"stop_signal\": \"SIGWHAT\"}", "container.stop_signal", "a signal"},
		{"{\"stop_signal\": 0}", "container.stop_signal", "a signal"},
		{"{\"stop_signal\": 65}", "container.stop_signal", "a signal"},
		{"{\"terminal\": 1}", "container.terminal", "true or false"},
		{"{\"data\": [\"/\"]}", "container.data[0]", "a path below /"},
		{"{\"data\": [\"/a/\"]}", "container.data[0]", "an absolute path"},
		{"{\"data\": [\"/a//b\"]}", "container.data[0]", "an absolute path"},
		{"{\"data\": [\"a\"]}", "container.data[0]", "an absolute path"},
		{"{\"data\": [\"/a\", \"/b\", \"/a\"]}", "container.data[2]", "container.data[0]"},
		{"{\"data\": [\"/a/b\", \"/a\"]}", "container.data[1]", "in the way"},
		{"{\"data\": [\"/a\", \"/a/b\"]}", "container.data[1]", "in the way"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *guest = NULL;
		struct err err = {0};

		assert_int_equal(read_guest(cases[i].container, &guest, &err), -EINVAL);
		assert_null(guest);
		assert_string_equal(err.field, cases[i].field);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s: %s", cases[i].container, err.message);
	}
}

static void neighbours_of_one_beginning_are_not_in_the_way(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with("{\"data\": [\"/srv\", \"/srv2\"]}");

	(void)state;
	assert_int_equal(strv_length(guest->container->data), 2);
}

static void lists_and_texts_have_bounds(void **state)
{
	struct strbuf many = {0}, large = {0}, path = {0};
	AUTOFREE char *words = NULL, *text = NULL, *data = NULL;
	struct guest *guest = NULL;
	struct err err = {0};

	(void)state;
	strbuf_addf(&many, "{\"command\": [\"a\"");
	for (int i = 0; i < GUEST_CONTAINER_WORDS_MAX; i++)
		strbuf_addf(&many, ", \"a\"");
	strbuf_addf(&many, "]}");
	words = strbuf_take(&many);
	assert_int_equal(read_guest(words, &guest, &err), -EINVAL);
	assert_string_equal(err.field, "container.command");

	strbuf_addf(&large, "{\"environment\": {\"A\": \"%0*d\", \"B\": \"%0*d\"}}", 20000, 0,
		20000, 0);
	text = strbuf_take(&large);
	assert_int_equal(read_guest(text, &guest, &err), -EINVAL);
	assert_string_equal(err.field, "container");
	assert_non_null(strstr(err.message, "32768 bytes in all"));

	strbuf_addf(&path, "{\"data\": [\"/%0*d\"]}", GUEST_CONTAINER_PATH_MAX, 0);
	data = strbuf_take(&path);
	assert_int_equal(read_guest(data, &guest, &err), -EINVAL);
	assert_string_equal(err.field, "container.data[0]");
	assert_null(guest);
}

static void it_comes_back_from_a_record(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);
	CLEANUP(guest_freep) struct guest *copy = NULL, *back = NULL;
	json_auto_t *record = NULL, *again = NULL;

	(void)state;
	strcpy(guest->id, "0123456789ab");
	strcpy(guest->container->image_id, "sha256:1234");
	copy = guest_copy(guest);
	record = guest_to_record(copy);
	assert_int_equal(guest_from_record(record, &back, NULL), 0);
	assert_string_equal(back->container->image_id, "sha256:1234");
	again = guest_to_record(back);
	assert_true(json_equal(record, again));
}

static void a_list_of_none_comes_back_from_a_record(void **state)
{
	CLEANUP(guest_freep)
	struct guest *guest = with("{\"entrypoint\": [], \"command\": [\"a\"], \"data\": []}");
	CLEANUP(guest_freep) struct guest *back = NULL;
	json_auto_t *record = NULL;

	(void)state;
	strcpy(guest->id, "0123456789ab");
	record = guest_to_record(guest);
	assert_int_equal(guest_from_record(record, &back, NULL), 0);
	assert_non_null(back->container->entrypoint);
	assert_non_null(back->container->data);
	assert_null(back->container->environment);
}

/* --- Changes --------------------------------------------------------------------------------- */

static void a_patch_merges_into_what_is_there(void **state)
{
	static const char *const environment[] = {"B=2=3", "C=4", NULL};
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);

	(void)state;
	strcpy(guest->container->image_id, "sha256:1234");
	assert_int_equal(patch(guest,
				 "{\"container\": {\"environment\": {\"A\": null, \"C\": \"4\"},"
				 "\"entrypoint\": null, \"stop_signal\": 2}}",
				 NULL),
		0);
	assert_words(guest->container->environment, environment);
	assert_null(guest->container->entrypoint);
	assert_string_equal(guest->container->stop_signal, "SIGINT");
	assert_string_equal(guest->container->user, "www-data:33");
	assert_false(guest->container->terminal);
	assert_string_equal(guest->container->image_id, "sha256:1234");
}

static void null_makes_it_as_the_image_says(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);

	(void)state;
	strcpy(guest->container->image_id, "sha256:1234");
	assert_int_equal(patch(guest, "{\"container\": null}", NULL), 0);
	assert_null(guest->container->command);
	assert_true(guest->container->terminal);
	assert_string_equal(guest->container->image_id, "sha256:1234");
}

static void a_bad_patch_changes_nothing(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);
	struct err err = {0};

	(void)state;
	assert_int_equal(patch(guest, "{\"container\": {\"user\": \"a b\"}}", &err), -EINVAL);
	assert_string_equal(err.field, "container.user");
	assert_string_equal(guest->container->user, "www-data:33");
}

static void guests_of_other_kinds_have_none(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with(NULL);
	CLEANUP(guest_freep) struct guest *want = with("{}");
	json_auto_t *json = guest_to_json(guest, NULL);
	json_t *difference = NULL;
	struct err err = {0};

	(void)state;
	assert_null(guest->container);
	assert_true(json_is_null(json_object_get(json, "container")));
	assert_int_equal(patch(guest, "{\"container\": {}}", &err), -EINVAL);
	assert_string_equal(err.field, "container");
	assert_int_equal(patch(guest, "{\"container\": null}", NULL), 0);
	assert_int_equal(guest_diff(guest, want, &difference, &err), -EINVAL);
	assert_string_equal(err.field, "container");
}

static void what_is_left_to_the_node_is_no_difference(void **state)
{
	CLEANUP(guest_freep) struct guest *have = with("{\"data\": [\"/srv\"], \"user\": \"a\"}");
	CLEANUP(guest_freep) struct guest *same = with("{\"user\": \"a\"}");
	CLEANUP(guest_freep) struct guest *none = with(NULL);
	CLEANUP(guest_freep) struct guest *other = with("{\"data\": [\"/var\"], \"user\": \"a\"}");
	json_auto_t *nothing = NULL, *plain = NULL, *moved = NULL;

	(void)state;
	assert_int_equal(guest_diff(have, same, &nothing, NULL), 0);
	assert_int_equal(json_object_size(nothing), 0);
	assert_int_equal(guest_diff(have, none, &plain, NULL), 0);
	assert_true(json_is_null(json_object_get(json_object_get(plain, "container"), "user")));
	assert_int_equal(json_object_size(json_object_get(plain, "container")), 1);
	assert_int_equal(guest_diff(have, other, &moved, NULL), 0);
	assert_int_equal(json_object_size(json_object_get(moved, "container")), 1);
}

static void a_clone_takes_it_over_with_the_image_it_meant(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = with(WHOLE);
	CLEANUP(guest_freep) struct guest *clone = NULL;
	json_auto_t *request =
		json_pack("{s:s, s:{s:s}}", "name", "c", "container", "user", "nobody");

	(void)state;
	strcpy(guest->container->image_id, "sha256:1234");
	assert_int_equal(guest_from_clone_request(guest, request, &clone, NULL), 0);
	assert_string_equal(clone->container->image_id, "sha256:1234");
	assert_string_equal(clone->container->user, "nobody");
	assert_string_equal(clone->container->stop_signal, "SIGQUIT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_read),
		cmocka_unit_test(what_is_not_given_is_as_the_image_says),
		cmocka_unit_test(a_bad_value_is_refused_by_its_full_path),
		cmocka_unit_test(neighbours_of_one_beginning_are_not_in_the_way),
		cmocka_unit_test(lists_and_texts_have_bounds),
		cmocka_unit_test(it_comes_back_from_a_record),
		cmocka_unit_test(a_list_of_none_comes_back_from_a_record),
		cmocka_unit_test(a_patch_merges_into_what_is_there),
		cmocka_unit_test(null_makes_it_as_the_image_says),
		cmocka_unit_test(a_bad_patch_changes_nothing),
		cmocka_unit_test(guests_of_other_kinds_have_none),
		cmocka_unit_test(what_is_left_to_the_node_is_no_difference),
		cmocka_unit_test(a_clone_takes_it_over_with_the_image_it_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
