/* Escaping, measuring, tables and URLs: what the black-box tests cannot hand in, since JSON has no
 * bytes that are not UTF-8. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/url.h"

static void bytes_that_are_not_utf8_are_escaped(void **state)
{
	static const struct {
		const char *text, *escaped;
	} CASES[] = {
		{"\x80", "\\x80"},
		{"\xc3(", "\\xc3("},
		{"\xe2\x82", "\\xe2\\x82"},
		{"\xc0\xaf", "\\xc0\\xaf"},		      /* overlong */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
		{"\xff\xfe", "\\xff\\xfe"},
		{"é界😀", "é界😀"},
		{"\u2066x\u2069", "\\u{2066}x\\u{2069}"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		AUTOFREE char *escaped = text_escaped(CASES[i].text);

		assert_string_equal(escaped, CASES[i].escaped);
	}
}

static void every_single_byte_becomes_printable(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		const char text[] = {(char)byte, '\0'};
		AUTOFREE char *escaped = text_escaped(text);

		for (const char *c = escaped; *c; c++)
			assert_in_range((unsigned char)*c, 0x20, 0x7e);
	}
}

static void width_is_counted_in_columns(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("é"), 1);
	assert_int_equal(text_width("e\u0301"), 1);
	assert_int_equal(text_width("界界"), 4);
	assert_int_equal(text_width(""), 0);
}

static void a_table_is_as_wide_as_its_widest_cells(void **state)
{
	static const struct table_column COLUMNS[] = {
		{"NAME"}, {"SIZE", .right = true}, {"STATE", .state = true}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	AUTOFREE char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	table_add(table, (const char *const[]){"a\n", "1", "running"});
	table_add(table, (const char *const[]){"界", "12345", NULL});
	assert_int_equal(table_print(table, out, true), 0);
	fclose(out);
	assert_string_equal(text, "\033[1mNAME\033[0m   \033[1mSIZE\033[0m  \033[1mSTATE\033[0m\n"
				  "a\\n       1  \033[32mrunning\033[0m\n"
				  "界    12345\n");
}

static void segments_and_values_are_encoded(void **state)
{
	struct strbuf buf = {0};
	AUTOFREE char *url = NULL;

	(void)state;
	url_path(&buf, "/v1/guests/%s/actions/%s", "a/b?c#d %\n", "..");
	url_query(&buf, "name", "*&=\xff");
	url_query(&buf, "none", NULL);
	url_query(&buf, "state", "running,error");
	url = strbuf_take(&buf);
	assert_string_equal(url, "/v1/guests/a%2Fb%3Fc%23d%20%25%0A/actions/%2E%2E"
				 "?name=%2A%26%3D%FF&state=running,error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_not_utf8_are_escaped),
		cmocka_unit_test(every_single_byte_becomes_printable),
		cmocka_unit_test(width_is_counted_in_columns),
		cmocka_unit_test(a_table_is_as_wide_as_its_widest_cells),
		cmocka_unit_test(segments_and_values_are_encoded),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("cli text", tests, NULL, NULL);
}
