/* Names of archive entries: what is made of them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "storage/unpack/path.h"

static void harmless_names_are_cleaned(void **state)
{
	static const struct {
		const char *name, *text, *base;
		size_t parent_length;
	} cases[] = {
		{"./", "", "", 0},
		{".", "", "", 0},
		{"a", "a", "a", 0},
		{"./a/", "a", "a", 0},
		{"a//b/./c", "a/b/c", "c", 3},
		{"./...", "...", "...", 0},
		{"a/..b", "a/..b", "..b", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path path;

		assert_int_equal(path_parse(cases[i].name, &path, NULL), 0);
		assert_string_equal(path.text, cases[i].text);
		assert_string_equal(path.base, cases[i].base);
		assert_int_equal(path.parent_length, cases[i].parent_length);
	}
}

static void names_that_lead_outside_are_refused(void **state)
{
	static const char *const names[] = {
		"/etc/passwd", "//a", "..", "../a", "a/..", "a/../../b", "./../a", "a/b/.."};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct path path;
		struct err err;

		assert_true(path_parse(names[i], &path, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static void long_and_deep_names_are_refused(void **state)
{
	static char name[20000];
	struct path path;

	(void)state;
	memset(name, 'a', 255);
	assert_int_equal(path_parse(name, &path, NULL), 0);
	name[255] = 'a';
	assert_true(path_parse(name, &path, NULL) < 0);
	for (size_t i = 0; i < 256; i++)
		memcpy(name + 2 * i, "a/", 3);
	assert_int_equal(path_parse(name, &path, NULL), 0);
	memcpy(name + 512, "a/", 3);
	assert_true(path_parse(name, &path, NULL) < 0);
	memset(name, 'a', 200 * 99);
	for (size_t i = 99; i < sizeof(name); i += 100)
		name[i] = '/';
	name[41 * 100] = '\0';
	assert_true(path_parse(name, &path, NULL) < 0);
}

static void shown_names_are_printable_and_short(void **state)
{
	char name[1000];

	(void)state;
	assert_string_equal(SHOWN("a\nb\033[1m\xc3\xa9"), "a?b?[1m??");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(strlen(SHOWN(name)), NAME_SHOWN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(harmless_names_are_cleaned),
		cmocka_unit_test(names_that_lead_outside_are_refused),
		cmocka_unit_test(long_and_deep_names_are_refused),
		cmocka_unit_test(shown_names_are_printable_and_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
