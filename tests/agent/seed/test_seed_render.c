/* The files of a first boot: against golden files, and what is kept of what people wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "golden.h"
#include "keys.h"

static char *g_keys[] = {(char *)KEY_ED25519, (char *)KEY_ECDSA256, NULL};
static char *g_one_key[] = {(char *)KEY_ECDSA256, NULL};

static void assert_rendered(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void hosts_name_the_guest_once(void **state)
{
	(void)state;
	assert_rendered(render_hosts("127.0.0.1 localhost\n::1 localhost\n", "web1.example.org"),
		"127.0.0.1 localhost\n::1 localhost\n127.0.1.1\tweb1.example.org web1\n");
	assert_rendered(
		render_hosts("127.0.1.1\told\n10.0.0.1 db\n 127.0.1.1 older # note\n", "web"),
		"127.0.1.1\tweb\n10.0.0.1 db\n");
	assert_rendered(
		render_hosts("127.0.1.10 other", "web"), "127.0.1.10 other\n127.0.1.1\tweb\n");
	assert_rendered(render_hosts("", "web"), "127.0.1.1\tweb\n");
	assert_rendered(render_hosts("127.0.1.1", "web"), "127.0.1.1\n127.0.1.1\tweb\n");
}

static void hosts_rendered_again_are_the_same(void **state)
{
	AUTOFREE char *once = render_hosts("127.0.0.1 localhost\n", "web1.example.org");

	(void)state;
	assert_rendered(render_hosts(once, "web1.example.org"), once);
}

static void keys_of_people_stay_around_ours(void **state)
{
	static const char theirs[] = "# my laptop\nssh-rsa AAAA me\n\nno end of line";
	AUTOFREE char *two = render_keys(theirs, g_keys);
	AUTOFREE char *more = NULL;
	AUTOFREE char *one = NULL;

	(void)state;
	assert_golden("authorized_keys", two);
	assert_rendered(render_keys(two, g_keys), two);
	/* Somebody adds a line behind our block. */
	assert_true(asprintf(&more, "%sssh-rsa BBBB added\n", two) > 0);
	one = render_keys(more, g_one_key);
	assert_non_null(strstr(one, "ssh-rsa AAAA me\n"));
	assert_non_null(strstr(one, "ssh-rsa BBBB added\n"));
	assert_null(strstr(one, KEY_ED25519));
	assert_non_null(strstr(one, KEY_ECDSA256 "\n"));
	assert_rendered(render_keys(one, NULL),
		"# my laptop\nssh-rsa AAAA me\n\nno end of line\nssh-rsa BBBB added\n");
}

static void no_keys_leave_nothing_of_ours(void **state)
{
	AUTOFREE char *block = render_keys(NULL, g_keys);

	(void)state;
	assert_rendered(render_keys(NULL, NULL), "");
	assert_rendered(render_keys(block, NULL), "");
	assert_rendered(render_keys("x\n", (char *[]){NULL}), "x\n");
}

/* A key that was taken from the guest must not stay because the mark behind it is missing. */
static void a_block_that_lost_its_end_is_taken_away(void **state)
{
	AUTOFREE char *block = render_keys("mine\n", g_keys);
	AUTOFREE char *cut = NULL;

	(void)state;
	*strstr(block, "# corpus: end") = '\0';
	assert_true(asprintf(&cut, "%s\nbehind a blank line\n", block) > 0);
	assert_rendered(render_keys(cut, NULL), "mine\n\nbehind a blank line\n");
	assert_rendered(render_keys(block, NULL), "mine\n");
}

static void only_roots_password_changes(void **state)
{
	(void)state;
	assert_rendered(render_shadow("root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
				"$6$x", 20000),
		"root:$6$x:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n");
	assert_rendered(render_shadow("bin:*::\nroot::::::::\n", "H", 20000),
		"bin:*::\nroot:H:20000::::::\n");
	assert_rendered(render_shadow("root:x:0:0:9:7:::", "H", 20000), "root:H:20000:0:9:7:::\n");
	assert_rendered(render_shadow("rooty:*:0:::::\n", "H", 20000), "rooty:*:0:::::\n");
	assert_rendered(render_shadow("root:\n", "H", 20000), "root:H\n");
	assert_rendered(render_shadow("", "H", 20000), "");
}

static void meta_data_of_cloud_init(void **state)
{
	struct guest guest = {.id = "0123456789ab",
		.name = (char *)"web1.example.org",
		.ssh_keys = (char *[]){(char *)KEY_RSA " \"quoted\": caf\xc3\xa9 # no comment",
			(char *)KEY_ED25519, NULL}};
	AUTOFREE char *with = render_meta_data(&guest);
	AUTOFREE char *without = NULL;

	(void)state;
	assert_golden("meta-data", with);
	guest.ssh_keys = NULL;
	without = render_meta_data(&guest);
	assert_golden("meta-data-bare", without);
	assert_golden("vendor-data", RENDER_VENDOR_DATA);
	assert_golden("network-config", RENDER_NETWORK_CONFIG);
}

static void passwords_are_new_and_their_hashes_open_to_them_alone(void **state)
{
	char one[GUEST_PASSWORD_LEN + 1], other[GUEST_PASSWORD_LEN + 1], hash[PASSWORD_HASH_MAX];
	char again[PASSWORD_HASH_MAX];
	struct crypt_data data = {0};

	(void)state;
	seed_password(one);
	seed_password(other);
	assert_int_equal(strlen(one), GUEST_PASSWORD_LEN);
	assert_string_not_equal(one, other);
	assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789"),
		GUEST_PASSWORD_LEN);
	assert_int_equal(password_hash(one, hash), 0);
	assert_int_equal(password_hash(one, again), 0);
	assert_string_not_equal(hash, again);
	assert_string_equal(crypt_r(one, hash, &data), hash);
	assert_string_not_equal(crypt_r(other, hash, &data), hash);
	assert_null(strpbrk(hash, ":\n"));
}

/* The golden files were read by ssh-keygen -y, which gave the public one for the private one. */
static void host_keys_are_as_openssh_keeps_them(void **state)
{
	uint8_t seed[HOST_KEY_SEED], again[HOST_KEY_SEED];
	AUTOFREE char *key = NULL;
	AUTOFREE char *public = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)(i * 7);
	key = render_host_key(seed, "root@web1.example.org");
	public = render_host_key_public(seed, "root@web1.example.org");
	assert_golden("ssh_host_ed25519_key", key);
	assert_int_equal(host_key_seed(key, again), 0);
	assert_memory_equal(again, seed, sizeof(seed));
	assert_golden("ssh_host_ed25519_key.pub", public);
}

static void what_changed_says_what_is_seeded_again(void **state)
{
	struct guest a = {.name = (char *)"a"}, b = {.name = (char *)"a"};

	(void)state;
	assert_int_equal(seed_parts_changed(&a, &b), 0);
	b.ssh_keys = g_keys;
	assert_int_equal(seed_parts_changed(&a, &b), SEED_KEYS);
	a.ssh_keys = g_keys;
	b.user_data = (char *)"x";
	assert_int_equal(seed_parts_changed(&a, &b), SEED_USER_DATA);
	b.name = (char *)"b";
	assert_int_equal(seed_parts_changed(&a, &b), SEED_USER_DATA | SEED_NAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_name_the_guest_once),
		cmocka_unit_test(hosts_rendered_again_are_the_same),
		cmocka_unit_test(keys_of_people_stay_around_ours),
		cmocka_unit_test(no_keys_leave_nothing_of_ours),
		cmocka_unit_test(a_block_that_lost_its_end_is_taken_away),
		cmocka_unit_test(only_roots_password_changes),
		cmocka_unit_test(meta_data_of_cloud_init),
		cmocka_unit_test(passwords_are_new_and_their_hashes_open_to_them_alone),
		cmocka_unit_test(host_keys_are_as_openssh_keeps_them),
		cmocka_unit_test(what_changed_says_what_is_seeded_again),
	};

	return cmocka_run_group_tests_name("seed_render", tests, NULL, NULL);
}
