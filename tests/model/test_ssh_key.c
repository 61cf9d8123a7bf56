/* Keys of authorized_keys: all types that ssh takes, and what a paste can do to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "keys.h"
#include "model/guest.h"
#include "model/ssh_key.h"

static void every_type_of_key_comes_back_as_it_was(void **state)
{
	static const char *const keys[] = {KEY_ED25519, KEY_RSA, KEY_ECDSA256, KEY_ECDSA384,
		KEY_ECDSA521, KEY_SK_ED25519, KEY_SK_ECDSA,
		KEY_RSA " a comment, with \"marks\" and caf\xc3\xa9"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		AUTOFREE char *key = NULL;
		struct err err = {0};

		if (ssh_key_parse(keys[i], "k", &key, &err) < 0)
			fail_msg("%s: %s", keys[i], err.message);
		assert_string_equal(key, keys[i]);
	}
}

static void blanks_around_a_key_go(void **state)
{
	AUTOFREE char *key = NULL;

	(void)state;
	assert_int_equal(ssh_key_parse(" \t" KEY_ED25519 " \r\n", "k", &key, NULL), 0);
	assert_string_equal(key, KEY_ED25519);
}

static void what_is_no_whole_key_is_refused(void **state)
{
	static const struct {
		const char *key, *words;
	} cases[] = {
		{"", "must begin with a type"},
		{"   \n", "must begin with a type"},
		{"hello", "must begin with a type"},
		{"ssh-dss AAAAB3NzaC1kc3M=", "must begin with a type"},
		{"ssh-ed25519-cert-v01@openssh.com AAAA", "must begin with a type"},
		{"no-pty " KEY_ED25519, "options before it are not taken"},
		{"command=\"/bin/sh\" " KEY_ED25519, "options before it are not taken"},
		{"# " KEY_ED25519, "must begin with a type"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----", "must be a public key"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz", "must be one line"},
		{KEY_ED25519 "\n" KEY_RSA, "must be one line"},
		{KEY_ED25519 "\rx", "must be one line"},
		{"ssh-ed25519", "cut off or damaged"},
		{"ssh-ed25519 ", "cut off or damaged"},
		{"ssh-ed25519 AAAA", "cut off or damaged"},
		{"ssh-ed25519 AAA", "cut off or damaged"},
		{"ssh-ed25519 ====", "cut off or damaged"},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB*W", "cut off or damaged"},
		{KEY_OF_ANOTHER_TYPE, "cut off or damaged"},
		{KEY_CUT_OFF, "cut off or damaged"},
		{KEY_WITH_MORE, "cut off or damaged"},
		{KEY_WITH_HUGE_FIELD, "cut off or damaged"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *key = NULL;
		struct err err = {0};

		if (ssh_key_parse(cases[i].key, "keys[3]", &key, &err) != -EINVAL || key ||
			err.code != ERR_INVALID || strcmp(err.field, "keys[3]") != 0 ||
			!strstr(err.message, cases[i].words))
			fail_msg("%s: %s", cases[i].key, err.message);
	}
}

static void a_key_that_lost_any_of_its_end_is_refused(void **state)
{
	size_t whole = strcspn(KEY_RSA + 8, " ") + 8;

	(void)state;
	for (size_t n = 0; n < whole; n++) {
		AUTOFREE char *text = strndup(KEY_RSA, n);
		AUTOFREE char *key = NULL;

		assert_int_equal(ssh_key_parse(text, "k", &key, NULL), -EINVAL);
	}
}

static void a_key_is_bounded(void **state)
{
	AUTOFREE char *text = calloc(1, GUEST_SSH_KEY_MAX + 2);
	AUTOFREE char *key = NULL;
	struct err err = {0};

	(void)state;
	strcpy(text, KEY_ED25519);
	memset(text + strlen(text), 'x', GUEST_SSH_KEY_MAX - strlen(text));
	assert_int_equal(ssh_key_parse(text, "k", &key, NULL), 0);
	text[GUEST_SSH_KEY_MAX] = 'x';
	key = (free(key), NULL);
	assert_int_equal(ssh_key_parse(text, "k", &key, &err), -EINVAL);
	assert_non_null(strstr(err.message, "at most 16384 bytes"));
}

static void keys_are_the_same_whatever_their_comments(void **state)
{
	(void)state;
	assert_true(ssh_key_same(KEY_RSA, KEY_RSA " another"));
	assert_true(ssh_key_same("ssh-x AAAA", "ssh-x \t AAAA one"));
	assert_false(ssh_key_same(KEY_RSA, KEY_ED25519));
	assert_false(ssh_key_same("ssh-x AAAA", "ssh-x AAAAB"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_of_key_comes_back_as_it_was),
		cmocka_unit_test(blanks_around_a_key_go),
		cmocka_unit_test(what_is_no_whole_key_is_refused),
		cmocka_unit_test(a_key_that_lost_any_of_its_end_is_refused),
		cmocka_unit_test(a_key_is_bounded),
		cmocka_unit_test(keys_are_the_same_whatever_their_comments),
	};

	return cmocka_run_group_tests_name("ssh_key", tests, NULL, NULL);
}
