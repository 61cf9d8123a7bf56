/* Names: what is one, and what is said about what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "model/name.h"

#define CHARS_63 "a23456789b123456789c123456789d123456789e123456789f123456789g123"
#define NAME_253                                                                                   \
	CHARS_63 "." CHARS_63 "." CHARS_63                                                         \
		 ".a23456789b123456789c123456789d123456789e123456789f123456789g1"

static void assert_refused(int r, const struct err *err, const char *name, const char *words)
{
	if (r != -EINVAL || err->code != ERR_INVALID || strcmp(err->field, "the.field") != 0 ||
		!strstr(err->message, words))
		fail_msg("\"%s\": returned %d: %s: %s", name, r, err->field, err->message);
}

static void guests_are_named_like_hosts(void **state)
{
	static const char *const good[] = {"a", "prod-app6.example.org", "1a", "a1", "3com.com",
		"x--y", "xn--bcher-kva.example", "1.2.3.a", CHARS_63, NAME_253};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (name_check_guest(good[i], "name", &err) < 0)
			fail_msg("\"%s\": %s", good[i], err.message);
}

static void what_is_no_host_name_is_refused(void **state)
{
	static const struct {
		const char *name, *words;
	} bad[] = {
		{"", "must not be empty"},
		{"A", "lower-case"},
		{"prod-App6", "lower-case"},
		{"a_b", "lower-case letters, digits, hyphens and dots"},
		{"a b", "lower-case letters, digits, hyphens and dots"},
		{"a/b", "lower-case letters, digits, hyphens and dots"},
		{"../etc", "dots only between"},
		{"a\nb", "lower-case letters, digits, hyphens and dots"},
		{"b\xc3\xbc"
		 "cher",
			"lower-case letters, digits, hyphens and dots"},
		{"-a", "begins or ends with a hyphen"},
		{"a-", "begins or ends with a hyphen"},
		{"a.-b", "begins or ends with a hyphen"},
		{"a-.b", "begins or ends with a hyphen"},
		{".", "dots only between"},
		{".a", "dots only between"},
		{"a.", "dots only between"},
		{"a..b", "dots only between"},
		{CHARS_63 "4", "at most 63"},
		{"a." CHARS_63 "4.b", "at most 63"},
		{NAME_253 "2", "at most 253"},
		{"10.5.0.2", "read as an address"},
		{"1", "read as an address"},
		{"1.2", "read as an address"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		int r = name_check_guest(bad[i].name, "the.field", &err);

		assert_refused(r, &err, bad[i].name, bad[i].words);
	}
}

static void images(void **state)
{
	static const char *const good[] = {
		"a", "busybox", "debian-12", "a.b_c-d", "1", "debian:12", "a:1.2_b-c", "a..b"};
	static const char *const bad[] = {"", ":", "a:", ":b", "a:b:c", ".a", "-a", "_a", "a:.b",
		"A", "a b", "a/b", "../a", "..", "a\x01", "\xc3\xa9"};
	char text[IMAGE_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(name_check_image(good[i], "the.field", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		int r = name_check_image(bad[i], "the.field", &err);

		assert_refused(r, &err, bad[i], "an image's name");
	}
	memset(text, 'a', sizeof(text));
	text[IMAGE_NAME_MAX] = '\0';
	assert_int_equal(name_check_image(text, "the.field", NULL), 0);
	text[IMAGE_NAME_MAX] = 'a';
	text[IMAGE_NAME_MAX + 1] = '\0';
	assert_int_equal(name_check_image(text, "the.field", NULL), -EINVAL);
}

static void references(void **state)
{
	static const char *const good[] = {"debian", "debian:12", "a/b/c", "a__b-c--d.e",
		"docker.io/library/debian:12", "localhost:5000/a",
		"R.example.org:5000/team/app:V1.2_x", "[::1]:5000/a:1",
		"a@sha256:0123456789abcdef0123456789abcdef",
		"r/a:1@sha256:0123456789abcdef0123456789abcdef"};
	static const char *const bad[] = {"", "A", "a/B", "-a", "a-", "a..b", "a/", "/a", "a//b",
		"a:", "a:-b", "a:b:c", "a@", "a@sha256", "a@sha256:0123", "a b", "a\n", "a:b\n",
		"https://r/a", "../a", "a/../b", "r.example.org:port/a", "a;b",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
	char text[IMAGE_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(name_check_reference(good[i], "the.field", NULL), 0);
		assert_int_equal(name_check_any_image(good[i], "the.field", NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		int r = name_check_reference(bad[i], "the.field", &err);

		assert_refused(r, &err, bad[i], "as Docker has it");
	}
	memset(text, 'a', sizeof(text));
	text[IMAGE_NAME_MAX] = '\0';
	assert_int_equal(name_check_reference(text, "the.field", NULL), 0);
	text[IMAGE_NAME_MAX] = 'a';
	text[IMAGE_NAME_MAX + 1] = '\0';
	assert_int_equal(name_check_reference(text, "the.field", NULL), -EINVAL);
	assert_int_equal(name_check_any_image(text, "the.field", NULL), -EINVAL);
}

static void any_image_is_named_in_either_way(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(name_check_any_image("a..b-", "the.field", NULL), 0);
	assert_int_equal(name_check_any_image("a/b", "the.field", NULL), 0);
	assert_refused(
		name_check_any_image("a/B", "the.field", &err), &err, "a/B", "as Docker has it");
	err = (struct err){0};
	assert_refused(
		name_check_any_image("A B", "the.field", &err), &err, "A B", "an image's name");
}

static void words(void **state)
{
	static const char *const good[] = {"a", "lxc", "web-2", "abcdefghijklmnopqrstuvwxyz01234"};
	static const char *const bad[] = {"", "1a", "-a", "A", "a_b", "a.b", "a b", "a\n",
		"abcdefghijklmnopqrstuvwxyz012345"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(name_check_word(good[i], "the.field", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		int r = name_check_word(bad[i], "the.field", &err);

		assert_refused(r, &err, bad[i], "must be a word of 1 to 31 characters");
	}
}

static void ids(void **state)
{
	static const char *const bad[] = {"", "0123456789a", "0123456789abc", "0123456789aB",
		"0123456789ag", "0123456789a/", "../../../../"};

	(void)state;
	assert_int_equal(name_check_id("0123456789ab", GUEST_ID_LEN, "the.field", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		int r = name_check_id(bad[i], GUEST_ID_LEN, "the.field", &err);

		assert_refused(r, &err, bad[i], "12 hexadecimal digits");
	}
}

static void snapshots(void **state)
{
	static const char *const good[] = {"a", "0", "20231114t221320z", "before-upgrade_2.1"};
	static const char *const bad[] = {"", ".", "..", "-a", ".a", "A", "a/b", "a b", "a:b",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(name_check_snapshot(good[i], "name", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		assert_int_equal(name_check_snapshot(bad[i], "name", &err), -EINVAL);
		assert_string_equal(err.field, "name");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots),
		cmocka_unit_test(guests_are_named_like_hosts),
		cmocka_unit_test(what_is_no_host_name_is_refused),
		cmocka_unit_test(images),
		cmocka_unit_test(references),
		cmocka_unit_test(any_image_is_named_in_either_way),
		cmocka_unit_test(words),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
