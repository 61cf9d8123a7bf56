/* The node's own ssh key: made once, made anew when it is lost, and never another's overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

static char g_dir[] = "/tmp/corpus-test-node-key-XXXXXX";
static char g_key[64], g_pub[128], g_aside[128];

static char *node_key(void)
{
	char *public = NULL;
	struct err err;

	assert_int_equal(seed_node_key(g_key, &public, &err), 0);
	return public;
}

static char *content(const char *path)
{
	char *text = NULL;

	assert_int_equal(file_read(path, 65536, &text, NULL), 0);
	return text;
}

static void is_made_once(void **state)
{
	AUTOFREE char *first = node_key();
	AUTOFREE char *again = node_key();
	AUTOFREE char *beside = content(g_pub);
	AUTOFREE char *key = content(g_key);
	struct stat st;

	(void)state;
	assert_int_equal(strncmp(first, "ssh-ed25519 AAAA", 16), 0);
	assert_non_null(strstr(first, " corpus-node\n"));
	assert_string_equal(first, again);
	assert_string_equal(first, beside);
	assert_non_null(strstr(key, "BEGIN OPENSSH PRIVATE KEY"));
	assert_int_equal(stat(g_key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void its_public_half_follows_it(void **state)
{
	AUTOFREE char *first = node_key();
	AUTOFREE char *again = NULL;
	AUTOFREE char *beside = NULL;

	(void)state;
	assert_int_equal(file_replace(g_pub, "somebody else's\n", 0644, false), 0);
	again = node_key();
	beside = content(g_pub);
	assert_string_equal(first, again);
	assert_string_equal(first, beside);
}

static void lost_it_is_made_anew(void **state)
{
	AUTOFREE char *first = node_key();
	AUTOFREE char *again = NULL;
	AUTOFREE char *beside = NULL;

	(void)state;
	assert_int_equal(unlink(g_key), 0);
	again = node_key();
	beside = content(g_pub);
	assert_string_not_equal(first, again);
	assert_string_equal(again, beside);
	assert_int_equal(access(g_aside, F_OK), -1);
}

static void what_is_no_key_of_ours_is_kept_aside(void **state)
{
	AUTOFREE char *ours = (free(node_key()), content(g_key));
	/* Cut off; a bit turned over; nothing; too much. */
	AUTOFREE char *long_one = calloc(1, 10000);
	AUTOFREE char *cut = strndup(ours, strlen(ours) / 2);
	AUTOFREE char *bent = strdup(ours);
	const char *bad[] = {cut, bent, "", "ssh-rsa", long_one};

	(void)state;
	memset(long_one, 'x', 9999);
	bent[strlen(bent) / 2] ^= 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTOFREE char *public = NULL;
		AUTOFREE char *aside = NULL;

		assert_int_equal(file_replace(g_key, bad[i], 0600, false), 0);
		public = node_key();
		aside = content(g_aside);
		assert_string_equal(aside, bad[i]);
		assert_int_equal(strncmp(public, "ssh-ed25519 AAAA", 16), 0);
	}
}

static void where_nothing_can_be_written_it_says_so(void **state)
{
	char *public = NULL;
	struct err err = {0};

	(void)state;
	assert_true(seed_node_key("/nonexistent/node_key", &public, &err) < 0);
	assert_non_null(strstr(err.message, "/nonexistent/node_key"));
	assert_null(public);
}

static int make(void **state)
{
	(void)state;
	if (!mkdtemp(g_dir))
		return -1;
	snprintf(g_key, sizeof(g_key), "%s/node_key", g_dir);
	snprintf(g_pub, sizeof(g_pub), "%s.pub", g_key);
	snprintf(g_aside, sizeof(g_aside), "%s.replaced", g_key);
	return 0;
}

static int away(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_made_once),
		cmocka_unit_test(its_public_half_follows_it),
		cmocka_unit_test(lost_it_is_made_anew),
		cmocka_unit_test(what_is_no_key_of_ours_is_kept_aside),
		cmocka_unit_test(where_nothing_can_be_written_it_says_so),
	};

	return cmocka_run_group_tests_name("node_key", tests, make, away);
}
