/* What people add to guests' configurations: which files are read, and which are not believed. */
#include "drivers/addition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

static char g_dir[64];

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", g_dir, name);
	return path;
}

static int begin(void **state)
{
	(void)state;
	snprintf(g_dir, sizeof(g_dir), "/tmp/corpus-addition-XXXXXX");
	return mkdtemp(g_dir) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}

static void put(const char *name, const char *text, mode_t mode)
{
	assert_int_equal(file_replace(path_of(name), text, 0600, false), 0);
	assert_int_equal(chmod(path_of(name), mode), 0);
}

static void those_of_all_come_first_and_raw_last(void **state)
{
	CLEANUP(additions_finish) struct additions a = {0};
	const char *const raw[] = {"{", "}", NULL};

	(void)state;
	put("all.json", "1", 0644);
	put("web.json", "2", 0600);
	put("other.json", "3", 0600);
	put("web.xml", "4", 0600);
	assert_int_equal(additions_read_files(&a, g_dir, "web", "json", NULL), 0);
	assert_int_equal(additions_add_raw(&a, raw, NULL), 0);
	assert_int_equal(a.count, 3);
	assert_string_equal(a.list[0].text, "1");
	assert_string_equal(a.list[0].origin, path_of("all.json"));
	assert_string_equal(a.list[1].text, "2");
	assert_false(a.list[1].by_line);
	assert_string_equal(a.list[2].text, "{\n}");
	assert_string_equal(a.list[2].origin, "raw");
	assert_true(a.list[2].by_line);
}

static void nothing_is_added_where_there_is_nothing(void **state)
{
	CLEANUP(additions_finish) struct additions a = {0};
	const char *const none[] = {NULL};

	(void)state;
	assert_int_equal(additions_read_files(&a, NULL, "web", "json", NULL), 0);
	assert_int_equal(additions_read_files(&a, g_dir, "web", "json", NULL), 0);
	assert_int_equal(additions_read_files(&a, path_of("nowhere"), "web", "json", NULL), 0);
	assert_int_equal(additions_add_raw(&a, NULL, NULL), 0);
	assert_int_equal(additions_add_raw(&a, none, NULL), 0);
	assert_int_equal(a.count, 0);
}

static void a_guest_called_all_has_no_file_of_its_own(void **state)
{
	CLEANUP(additions_finish) struct additions a = {0};

	(void)state;
	put("all.json", "1", 0644);
	assert_int_equal(additions_read_files(&a, g_dir, "all", "json", NULL), 0);
	assert_int_equal(a.count, 1);
}

static void what_others_may_write_is_not_read(void **state)
{
	CLEANUP(additions_finish) struct additions a = {0};
	struct err err = {0};

	(void)state;
	put("web.json", "1", 0664);
	assert_true(additions_read_files(&a, g_dir, "web", "json", &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_non_null(strstr(err.message, path_of("web.json")));
	assert_int_equal(a.count, 0);
}

static void what_is_refused_is_named_by_its_file_and_line(void **state)
{
	const struct addition file = {.origin = "/etc/corpus/all.xml", .text = ""},
			      raw = {.origin = "raw", .text = "", .by_line = true};
	struct err err = {0};

	(void)state;
	assert_true(addition_refuse(&file, 7, "no", &err) < 0);
	assert_string_equal(err.field, "all.xml:7");
	assert_string_equal(err.message, "/etc/corpus/all.xml, line 7: no");
	assert_true(addition_refuse(&raw, 1, "no", &err) < 0);
	assert_string_equal(err.field, "raw[0]");
	assert_string_equal(err.message, "raw[0]: no");
}

#define addition_test(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		addition_test(those_of_all_come_first_and_raw_last),
		addition_test(nothing_is_added_where_there_is_nothing),
		addition_test(a_guest_called_all_has_no_file_of_its_own),
		addition_test(what_others_may_write_is_not_read),
		cmocka_unit_test(what_is_refused_is_named_by_its_file_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
