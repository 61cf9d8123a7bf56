/* JSON as YAML and back: what is printed is read again as the same, and what is wrong is told with
 * its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/yaml.h"

static char *printed(const json_t *json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(yaml_print(json, out), 0);
	fclose(out);
	return text;
}

static void what_is_printed_is_read_as_the_same(void **state)
{
	static const char *const VALUES[] = {
		"{}",
		"[]",
		"{\"a\": {\"b\": [1, 2.5, null, true, false, -3]}}",
		"{\"on\": \"yes\", \"no\": \"null\", \"1\": \"1.5\", \"\": \"\", \"~\": \"~\"}",
		"[\"two\\nlines\\n\", \" led by a blank\", \"- x\", \"a: b\", \"# c\", \"\\t\", "
		"\"'\"]",
		"[\"2026-11-22T12:00:00Z\", \"0x10\", \"1e3\", \"+1\", \"10.5.0.2\", \"<<\", "
		"\"=\"]",
		"[\"é界😀\", \"\\u0001\", \"trailing \", \"ends with newline\\n\\n\", \"\\n\"]",
		"[[[[]]], {\"a\": []}, [{}]]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(VALUES); i++) {
		json_auto_t *value = json_loads(VALUES[i], 0, NULL), *back = NULL;
		AUTOFREE char *text = NULL;
		struct err err;

		assert_non_null(value);
		text = printed(value);
		assert_int_equal(yaml_read(text, "x", &back, &err), 0);
		if (!json_equal(value, back))
			fail_msg("%s was printed as\n%s", VALUES[i], text);
	}
}

static void what_people_write_is_understood(void **state)
{
	static const struct {
		const char *yaml, *json;
	} CASES[] = {
		{"", "null"},
		{"# nothing but a comment\n", "null"},
		{"a: b # c\nd:\n- 1\n- '1'\n- \n", "{\"a\": \"b\", \"d\": [1, \"1\", null]}"},
		{"{a: [x, y], b: {c: true}}", "{\"a\": [\"x\", \"y\"], \"b\": {\"c\": true}}"},
		{"memory: 512MiB\ncpus: 1.5\n", "{\"memory\": \"512MiB\", \"cpus\": 1.5}"},
		{"a: |\n  x\n  y\n", "{\"a\": \"x\\ny\\n\"}"},
		{"country: no\n", "{\"country\": \"no\"}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		json_auto_t *wanted = json_loads(CASES[i].json, JSON_DECODE_ANY, NULL), *got = NULL;
		struct err err;

		assert_int_equal(yaml_read(CASES[i].yaml, "x", &got, &err), 0);
		assert_true(json_equal(wanted, got));
	}
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *yaml, *message;
	} CASES[] = {
		{"a: 1\nb: [\n", "f, line 3"},
		{"a: 1\na: 2\n", "f, line 2: a is there twice"},
		{"a: &x [*x]\n", "f, line 1: anchors are not known here"},
		{"a: 1\n---\nb: 2\n", "f, line 2: a second document begins"},
		{"a: 1\n[b]: 2\n", "f, line 2: a key must be a word"},
		{"\tx: 1\n", "f, line 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		json_t *got = NULL;
		struct err err = {0};

		assert_true(yaml_read(CASES[i].yaml, "f", &got, &err) < 0);
		assert_null(got);
		assert_int_equal(err.code, ERR_MALFORMED);
		assert_non_null(strstr(err.message, CASES[i].message));
	}
}

static void depth_is_bounded(void **state)
{
	char text[201] = {0};
	json_t *got = NULL;
	struct err err = {0};

	(void)state;
	memset(text, '[', 100);
	memset(text + 100, ']', 100);
	assert_true(yaml_read(text, "f", &got, &err) < 0);
	assert_non_null(strstr(err.message, "too deep"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_is_read_as_the_same),
		cmocka_unit_test(what_people_write_is_understood),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
