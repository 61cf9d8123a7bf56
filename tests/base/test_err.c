/* Errors: codes, messages, prefixes, and that nothing from outside makes them unfit to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void every_code_has_name_title_errno_status(void **state)
{
	(void)state;
	for (int code = ERR_OK; code < ERR_CODE_MAX_; code++) {
		assert_non_null(err_code_to_string((enum err_code)code));
		assert_non_null(err_title((enum err_code)code));
		assert_int_equal(
			err_code_from_string(err_code_to_string((enum err_code)code)), code);
		if (code == ERR_OK)
			continue;
		assert_true(err_errnum((enum err_code)code) < 0);
		assert_in_range(err_http_status((enum err_code)code), 400, 507);
		assert_in_range(err_exit_status((enum err_code)code), 1, 8);
	}
}

static void an_unknown_code_is_internal(void **state)
{
	(void)state;
	assert_int_equal(err_code_from_string("no such code"), ERR_INTERNAL);
	assert_string_equal(err_code_to_string(ERR_CODE_MAX_), "internal");
}

static void set_fills_everything_and_returns_the_errno(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, ERR_INVALID, "a.b", "a.b must be %d", 5), -EINVAL);
	assert_int_equal(err.code, ERR_INVALID);
	assert_int_equal(err.errnum, EINVAL);
	assert_string_equal(err.field, "a.b");
	assert_string_equal(err.message, "a.b must be 5");
}

static void nobody_has_to_want_the_error(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_NOT_FOUND, NULL, "x"), -ENOENT);
	assert_int_equal(err_errno(NULL, -EACCES, "x"), -EACCES);
	err_prefix(NULL, "x");
}

static void arguments_may_come_from_the_error_that_is_replaced(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_DRIVER, "field", "inner");
	err_set(&err, ERR_INTERNAL, err.field, "outer of %s", err.message);
	assert_string_equal(err.field, "field");
	assert_string_equal(err.message, "outer of inner");
}

static void errno_of_either_sign_picks_code_and_text(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_errno(&err, -ENOSPC, "cannot write"), -ENOSPC);
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_string_equal(err.message, "cannot write: No space left on device");
	assert_int_equal(err_errno(&err, EDQUOT, "x"), -EDQUOT);
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_int_equal(err_errno(&err, ETIMEDOUT, "x"), -ETIMEDOUT);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_int_equal(err_errno(&err, EACCES, "x"), -EACCES);
	assert_int_equal(err.code, ERR_INTERNAL);
}

static void an_errno_of_zero_or_unknown_is_still_an_error(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_errno(&err, 0, "x"), -EIO);
	assert_int_equal(err_errno(&err, 9999, "x"), -9999);
	assert_string_equal(err.message, "x: unknown error");
}

static void a_long_message_keeps_its_cause(void **state)
{
	char text[ERR_MESSAGE_MAX * 2];
	struct err err;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_errno(&err, ENOENT, "%s", text);
	assert_non_null(strstr(err.message, ": No such file or directory"));
}

static void a_short_prefix_does_not_cut_a_long_message(void **state)
{
	char text[ERR_MESSAGE_MAX - 10];
	struct err err;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, ERR_DRIVER, NULL, "%s", text);
	err_prefix(&err, "lxc%d", 1);
	assert_memory_equal(err.message, "lxc1: xxx", 9);
	assert_int_equal(strlen(err.message), sizeof(text) - 1 + 6);
}

static void a_prefix_that_does_not_fit_cuts_the_end(void **state)
{
	char text[ERR_MESSAGE_MAX * 2];
	struct err err;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, ERR_DRIVER, NULL, "%s", text);
	assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
	err_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
}

static void messages_are_one_line_of_valid_text(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_INVALID, "f\n\xff", "a\nb\x01 \xc3\xa9 \xc3");
	assert_string_equal(err.field, "f ?");
	assert_string_equal(err.message, "a b  \xc3\xa9 ?");
}

static void a_field_cut_inside_a_character_stays_valid(void **state)
{
	char field[ERR_FIELD_MAX + 8];
	struct err err;

	(void)state;
	memset(field, 'x', sizeof(field));
	memcpy(field + ERR_FIELD_MAX - 2, "\xc3\xa9z", 4);
	err_set(&err, ERR_INVALID, field, "x");
	assert_int_equal(strlen(err.field), ERR_FIELD_MAX - 1);
	assert_int_equal(err.field[ERR_FIELD_MAX - 2], '?');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_name_title_errno_status),
		cmocka_unit_test(an_unknown_code_is_internal),
		cmocka_unit_test(set_fills_everything_and_returns_the_errno),
		cmocka_unit_test(nobody_has_to_want_the_error),
		cmocka_unit_test(arguments_may_come_from_the_error_that_is_replaced),
		cmocka_unit_test(errno_of_either_sign_picks_code_and_text),
		cmocka_unit_test(an_errno_of_zero_or_unknown_is_still_an_error),
		cmocka_unit_test(a_long_message_keeps_its_cause),
		cmocka_unit_test(a_short_prefix_does_not_cut_a_long_message),
		cmocka_unit_test(a_prefix_that_does_not_fit_cuts_the_end),
		cmocka_unit_test(messages_are_one_line_of_valid_text),
		cmocka_unit_test(a_field_cut_inside_a_character_stays_valid),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
