/* JSON bodies and their media type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/body.h"
#include "agent/http/http.h"
#include "base/cleanup.h"
#include "base/err.h"

static void objects_are_parsed(void **state)
{
	static const char TEXT[] = "{\"a\": \"[[[[\\\"{{\", \"b\": [1, {}]}";
	struct err err;
	json_t *json;

	(void)state;
	assert_return_code(body_parse(TEXT, strlen(TEXT), &json, &err), 0);
	assert_int_equal(json_object_size(json), 2);
	json_decref(json);
}

static void depth_is_bounded(void **state)
{
	char text[256] = "{\"a\":";
	struct err err;
	json_t *json;

	(void)state;
	memset(text + 5, '[', HTTP_JSON_DEPTH - 1);
	memset(text + 5 + HTTP_JSON_DEPTH - 1, ']', HTTP_JSON_DEPTH - 1);
	strcat(text, "}");
	assert_return_code(body_parse(text, strlen(text), &json, &err), 0);
	json_decref(json);
	memset(text, 0, sizeof(text));
	strcpy(text, "{\"a\":");
	memset(text + 5, '[', HTTP_JSON_DEPTH);
	assert_true(body_parse(text, strlen(text), &json, &err) < 0);
	assert_int_equal(err.code, ERR_MALFORMED);
	assert_non_null(strstr(err.message, "deeper than 32"));
}

#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void what_is_no_strict_object_is_malformed(void **state)
{
	static const struct {
		const char *text;
		size_t size;
	} CASES[] = {BYTES(""), BYTES(" "), BYTES("[]"), BYTES("null"), BYTES("1"), BYTES("{"),
		BYTES("{\"a\":1} x"), BYTES("{\"a\":1,}"), BYTES("{'a':1}"), BYTES("{\"a\":NaN}"),
		BYTES("{\"a\":1,\"a\":2}"), BYTES("{\"a\":\"\xff\"}"),
		BYTES("{\"a\":\"\xc0\xaf\"}"), BYTES("{\"a\":\"\\u0000\"}"),
		BYTES("{\"a\":\"x\0y\"}"), BYTES("{\"a\":1}\0"), BYTES("{\"a\0\":1}"),
		BYTES("{\"a\":\"\\ud800\"}"), BYTES("{\"a\":1e999}"),
		BYTES("{\"a\":99999999999999999999}"), BYTES("\xef\xbb\xbf{}"), BYTES("]]]{}")};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct err err = {0};
		json_t *json;

		assert_true(body_parse(CASES[i].text, CASES[i].size, &json, &err) < 0);
		assert_int_equal(err.code, ERR_MALFORMED);
	}
}

static void the_place_of_a_fault_is_told(void **state)
{
	static const char TEXT[] = "{\n  \"a\": 1,\n  \"a\": 2\n}";
	struct err err;
	json_t *json;

	(void)state;
	assert_true(body_parse(TEXT, strlen(TEXT), &json, &err) < 0);
	assert_non_null(strstr(err.message, "line 3, column"));
	assert_non_null(strstr(err.message, "duplicate"));
}

static void only_json_in_utf8_is_a_type_we_take(void **state)
{
	static const char *const GOOD[] = {"application/json", "APPLICATION/JSON ",
		"application/json;charset=utf-8", "application/json ; charset=\"UTF-8\""};
	static const char *const BAD[] = {"", "text/json", "application/jsonx", "application/json;",
		"application/json;charset=latin1", "application/json;x=y",
		"application/json;charset=utf-8;x=y", "application/json,text/plain"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
		assert_true(body_type_is_json(GOOD[i]));
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		assert_false(body_type_is_json(BAD[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_parsed),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(what_is_no_strict_object_is_malformed),
		cmocka_unit_test(the_place_of_a_fault_is_told),
		cmocka_unit_test(only_json_in_utf8_is_a_type_we_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
