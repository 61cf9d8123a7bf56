/* What drivers keep of their guests. */
#include "drivers/definition.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define ID "00000000000a"

static char g_dir[] = "/tmp/corpus-definition-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", g_dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(g_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}

static struct driver_guest a_guest(void)
{
	struct driver_guest guest = {.id = ID, .name = "web", .rootfs = "/pool/web"};

	guest.limits.memory = 1 << 20;
	return guest;
}

static void test_comes_back_as_it_was_kept(void **state)
{
	CLEANUP(definition_finish) struct definition d = {0};
	struct driver_guest guest = a_guest();
	const char *path = path_of("sub/" ID "/guest.json");

	(void)state;
	assert_false(definition_exists(path));
	assert_int_equal(definition_save(path, &guest, NULL, NULL), 0);
	assert_true(definition_exists(path));
	assert_int_equal(definition_load(path, "test", ID, &d, NULL), 0);
	assert_string_equal(d.guest.name, "web");
	assert_string_equal(d.guest.rootfs, "/pool/web");
	assert_int_equal(d.guest.limits.memory, 1 << 20);
	assert_null(d.own);
}

static void test_keeps_what_the_driver_found_out(void **state)
{
	CLEANUP(definition_finish) struct definition d = {0}, again = {0};
	struct driver_guest guest = a_guest();
	json_t *own = json_pack("{s:s}", "container", "c0ffee");
	const char *path = path_of(ID ".json");

	(void)state;
	assert_int_equal(definition_save(path, &guest, own, NULL), 0);
	json_decref(own);
	assert_int_equal(definition_load(path, "test", ID, &d, NULL), 0);
	assert_int_equal(definition_save(path, &d.guest, d.own, NULL), 0);
	assert_int_equal(definition_load(path, "test", ID, &again, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(again.own, "container")), "c0ffee");
	assert_string_equal(again.guest.name, "web");
}

static void test_says_which_guest_there_is_none_of(void **state)
{
	struct definition d;
	struct err err = {0};

	(void)state;
	assert_true(definition_load(path_of("none"), "test", ID, &d, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.message, "the test driver has no guest " ID);
	assert_int_equal(definition_remove(path_of("none"), NULL), 0);
}

static void test_goes_with_all_that_lies_beside_it(void **state)
{
	struct driver_guest guest = a_guest();
	char dir[256], path[512];

	(void)state;
	snprintf(dir, sizeof(dir), "%s", path_of("gone"));
	snprintf(path, sizeof(path), "%s/guest.json", dir);
	assert_int_equal(definition_save(path, &guest, NULL, NULL), 0);
	assert_int_equal(file_replace(path_of("gone/more"), "", 0600, false), 0);
	assert_int_equal(definition_remove_with(path, dir, NULL), 0);
	assert_false(definition_exists(path));
	assert_false(definition_exists(dir));
	assert_int_equal(definition_remove_with(path, dir, NULL), 0);
}

static void test_names_the_file_that_is_damaged(void **state)
{
	struct definition d;
	const char *path = path_of("damaged");
	static const char *const texts[] = {"", "[]", "{", "{\"id\":1}", "{\"driver\":[]}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct err err = {0};

		assert_int_equal(file_replace(path, texts[i], 0600, false), 0);
		assert_true(definition_load(path, "test", ID, &d, &err) < 0);
		assert_int_equal(err.code, ERR_MALFORMED);
		assert_non_null(strstr(err.message, path));
	}
}

/* Knows those that begin with 0. */
static bool look(void *data, const char *id, struct driver_status *ret)
{
	(void)data;
	if (strlen(id) != GUEST_ID_LEN || id[0] != '0')
		return false;
	*ret = (struct driver_status){.state = GUEST_STOPPED};
	memcpy(ret->id, id, GUEST_ID_LEN);
	return true;
}

static void test_lists_all_that_the_driver_knows(void **state)
{
	AUTOFREE struct driver_status *list = NULL;
	char dir[256], path[512];
	size_t count = 0, sum = 0;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", path_of("all"));
	assert_int_equal(file_mkdirs(dir, 0700), 0);
	assert_int_equal(definition_list(dir, look, NULL, &list, &count, NULL), 0);
	assert_int_equal(count, 0);
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "%s/%012x%s", dir, i, i % 2 ? "" : ".json");
		assert_int_equal(file_replace(path, "", 0600, false), 0);
	}
	snprintf(path, sizeof(path), "%s/faults.json", dir);
	assert_int_equal(file_replace(path, "", 0600, false), 0);
	free(TAKE_PTR(list));
	assert_int_equal(definition_list(dir, look, NULL, &list, &count, NULL), 0);
	assert_int_equal(count, 40);
	for (size_t i = 0; i < count; i++)
		sum += strtoul(list[i].id, NULL, 16);
	assert_int_equal(sum, 39 * 40 / 2);
}

static void test_says_that_there_is_no_directory(void **state)
{
	struct driver_status *list = NULL;
	struct err err = {0};
	size_t count;

	(void)state;
	assert_true(definition_list(path_of("nowhere"), look, NULL, &list, &count, &err) < 0);
	assert_non_null(strstr(err.message, "nowhere"));
	assert_null(list);
}

static void test_paths_are_made_of_the_id_and_nothing_else(void **state)
{
	char file[PATH_MAX], dir[PATH_MAX], long_dir[PATH_MAX];
	const struct definition_path paths[] = {{dir, "/state", ""}, {file, "/run", "/a.json"}};
	struct err err = {0};

	(void)state;
	assert_int_equal(definition_paths(ID, paths, ARRAY_SIZE(paths), NULL), 0);
	assert_string_equal(dir, "/state/" ID);
	assert_string_equal(file, "/run/" ID "/a.json");
	assert_true(definition_paths("../../etc", paths, ARRAY_SIZE(paths), &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	memset(long_dir, 'a', sizeof(long_dir));
	long_dir[PATH_MAX - 8] = '\0';
	assert_true(
		definition_paths(ID, &(struct definition_path){dir, long_dir, ""}, 1, &err) < 0);
}

static void test_what_cannot_be_written_anywhere_is_refused_by_its_field(void **state)
{
	struct driver_guest guest = a_guest();
	struct err err = {0};

	(void)state;
	assert_int_equal(definition_check_names(&guest, "", NULL), 0);
	guest.net.bridge = "br0";
	assert_true(definition_check_names(&guest, "", &err) < 0);
	assert_string_equal(err.field, "net.link");
	guest.net.link = "cg 1";
	assert_true(definition_check_names(&guest, "", &err) < 0);
	assert_string_equal(err.field, "net.link");
	guest.name = "a\nb";
	assert_true(definition_check_names(&guest, "", &err) < 0);
	assert_string_equal(err.field, "name");
	assert_int_equal(definition_check_path("p", NULL, NULL), 0);
	assert_int_equal(definition_check_path("p", "/a b", NULL), 0);
	assert_true(definition_check_path("p", "a", &err) < 0);
	assert_string_equal(err.field, "p");
	assert_true(definition_check_path("p", "/a\x7f", &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back_as_it_was_kept),
		cmocka_unit_test(test_keeps_what_the_driver_found_out),
		cmocka_unit_test(test_says_which_guest_there_is_none_of),
		cmocka_unit_test(test_goes_with_all_that_lies_beside_it),
		cmocka_unit_test(test_names_the_file_that_is_damaged),
		cmocka_unit_test(test_lists_all_that_the_driver_knows),
		cmocka_unit_test(test_says_that_there_is_no_directory),
		cmocka_unit_test(test_paths_are_made_of_the_id_and_nothing_else),
		cmocka_unit_test(test_what_cannot_be_written_anywhere_is_refused_by_its_field),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
