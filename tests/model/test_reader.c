/* Reading JSON by tables: paths, types, and that what is absent or null leaves things alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/reader.h"

struct inner {
	uint16_t small;
	uint64_t size;
};

struct outer {
	struct inner inner;
	char word[8];
	char *text;
	uint64_t large;
};

static const struct reader_field INNER[] = {
	{.name = "small",
		.read = reader_u16,
		.offset = offsetof(struct inner, small),
		.required = true,
		.min = 1,
		.max = 9},
	{.name = "size",
		.read = reader_size,
		.offset = offsetof(struct inner, size),
		.min = 100,
		.max = 60000},
};

static const struct reader_field OUTER[] = {
	{.name = "inner",
		.read = reader_nested,
		.offset = offsetof(struct outer, inner),
		.fields = INNER,
		.fields_count = ARRAY_SIZE(INNER)},
	{.name = "word", .read = reader_chars, .offset = offsetof(struct outer, word), .size = 8},
	{.name = "text", .read = reader_text, .offset = offsetof(struct outer, text)},
	{.name = "large",
		.read = reader_u64,
		.offset = offsetof(struct outer, large),
		.max = INT64_MAX},
	{.name = "fixed", .refusal = "cannot be set"},
};

static int read_outer(const char *text, struct outer *outer, struct err *err)
{
	json_auto_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	assert_non_null(json);
	return reader_object(json, "", OUTER, ARRAY_SIZE(OUTER), outer, err);
}

static void refusals_name_the_full_path_and_what_is_expected(void **state)
{
	static const struct {
		const char *json, *field, *message;
	} cases[] = {
		{"[]", "", "the request must be a JSON object"},
		{"\"x\"", "", "the request must be a JSON object"},
		{"null", "", "the request must be a JSON object"},
		{"{\"foo\": 1}", "foo", "foo is not a known field"},
		{"{\"foo\": null}", "foo", "foo is not a known field"},
		{"{\"\": 1}", "", " is not a known field"},
		{"{\"inner\": {\"small\": 1, \"foo\": 1}}", "inner.foo",
			"inner.foo is not a known field"},
		{"{\"inner\": 5}", "inner", "inner must be a JSON object"},
		{"{\"inner\": {}}", "inner.small", "inner.small is missing"},
		{"{\"inner\": {\"small\": null}}", "inner.small", "inner.small is missing"},
		{"{\"inner\": {\"small\": 0}}", "inner.small",
			"inner.small must be a whole number from 1 to 9"},
		{"{\"inner\": {\"small\": 10}}", "inner.small",
			"inner.small must be a whole number from 1 to 9"},
		{"{\"inner\": {\"small\": 65537}}", "inner.small",
			"inner.small must be a whole number from 1 to 9"},
		{"{\"inner\": {\"small\": -1}}", "inner.small",
			"inner.small must be a whole number from 1 to 9"},
		{"{\"inner\": {\"small\": 1.0}}", "inner.small",
			"inner.small must be a whole number"},
		{"{\"inner\": {\"small\": \"1\"}}", "inner.small",
			"inner.small must be a whole number"},
		{"{\"word\": 5}", "word", "word must be a string"},
		{"{\"word\": \"12345678\"}", "word", "word must have at most 7 characters"},
		{"{\"word\": \"a\\u0000b\"}", "word", "word must be a string without NUL bytes"},
		{"{\"fixed\": 1}", "fixed", "fixed cannot be set"},
		{"{\"fixed\": null}", "fixed", "fixed cannot be set"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outer outer = {0};
		struct err err = {0};
		int r = read_outer(cases[i].json, &outer, &err);

		if (r != -EINVAL || err.code != ERR_INVALID ||
			strcmp(err.field, cases[i].field) != 0 ||
			strcmp(err.message, cases[i].message) != 0)
			fail_msg("%s: returned %d: \"%s\": %s", cases[i].json, r, err.field,
				err.message);
		free(outer.text);
	}
}

static void rows_of_another_table_are_rows_of_this_one(void **state)
{
	static const struct reader_field rows[] = {
		{.name = "word",
			.read = reader_chars,
			.offset = offsetof(struct outer, word),
			.size = 8},
		READER_ROWS(INNER, ARRAY_SIZE(INNER)), /* what `inner` begins with */
	};
	struct outer outer = {0};
	json_auto_t *whole = json_pack("{s:s, s:i, s:i}", "word", "a", "small", 3, "size", 100);
	json_auto_t *less = json_pack("{s:s}", "word", "b");
	json_auto_t *more = json_pack("{s:i, s:i}", "small", 3, "large", 1);
	struct err err = {0};

	(void)state;
	assert_int_equal(reader_object(whole, "", rows, ARRAY_SIZE(rows), &outer, &err), 0);
	assert_string_equal(outer.word, "a");
	assert_int_equal(outer.inner.small, 3);
	assert_int_equal(outer.inner.size, 100);
	assert_int_equal(reader_object(less, "", rows, ARRAY_SIZE(rows), &outer, &err), -EINVAL);
	assert_string_equal(err.message, "small is missing");
	assert_int_equal(reader_object(more, "", rows, ARRAY_SIZE(rows), &outer, &err), -EINVAL);
	assert_string_equal(err.message, "large is not a known field");
}

static void null_and_absent_leave_the_default(void **state)
{
	struct outer outer = {.word = "old", .large = 5, .inner.small = 3};

	(void)state;
	assert_int_equal(
		read_outer("{\"word\": null, \"text\": null, \"inner\": null}", &outer, NULL), 0);
	assert_string_equal(outer.word, "old");
	assert_int_equal(outer.large, 5);
	assert_int_equal(outer.inner.small, 3);
	assert_null(outer.text);
}

static void values_arrive(void **state)
{
	struct outer outer = {.text = strdup("old")};

	(void)state;
	assert_int_equal(read_outer("{\"word\": \"1234567\", \"text\": \"new\", "
				    "\"large\": 9223372036854775807, "
				    "\"inner\": {\"small\": 9, \"size\": \"1.5kB\"}}",
				 &outer, NULL),
		0);
	assert_string_equal(outer.word, "1234567");
	assert_string_equal(outer.text, "new");
	assert_int_equal(outer.large, INT64_MAX);
	assert_int_equal(outer.inner.small, 9);
	assert_int_equal(outer.inner.size, 1500);
	free(outer.text);
}

static void a_hostile_name_is_shown_cut_and_harmless(void **state)
{
	char text[400] = "{\"inner\": {\"\\u001b[31m\\n";
	struct outer outer = {0};
	struct err err = {0};

	(void)state;
	memset(text + strlen(text), 'x', 300);
	strcpy(text + 330, "\": 1}}");
	memset(text + 30, 'x', 300);
	assert_int_equal(read_outer(text, &outer, &err), -EINVAL);
	assert_int_equal(strlen(err.field), ERR_FIELD_MAX - 1);
	assert_memory_equal(err.field, "inner. [31m xxx", 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_name_the_full_path_and_what_is_expected),
		cmocka_unit_test(rows_of_another_table_are_rows_of_this_one),
		cmocka_unit_test(null_and_absent_leave_the_default),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(a_hostile_name_is_shown_cut_and_harmless),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
