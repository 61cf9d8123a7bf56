/* A first boot in a real volume: what is written where, what is left out, what hostile files do,
 * and that all of it can be repeated. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/seed/seed.h"
#include "base/file.h"
#include "fixture.h"
#include "keys.h"
#include "tree.h"

static struct guest *g_guest;
static struct seed_result g_result;

char *in_tree(char buf[static 256], const char *path)
{
	char root[160];

	assert_int_equal(
		volume_path(g_f.storage, g_guest->id, VOLUME_ROOTFS, root, sizeof(root)), 0);
	snprintf(buf, 256, "%s%s", root, path);
	return buf;
}

static void assert_absent(const char *path)
{
	assert_int_equal(access(IN(path), F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static int seed(unsigned parts)
{
	g_err = (struct err){0};
	memset(&g_result, 0, sizeof(g_result));
	return seed_apply(g_f.storage, g_guest, "node7.example.org", parts, &g_result, &g_err);
}

static void seeded(unsigned parts)
{
	if (seed(parts) < 0)
		fail_msg("%s", g_err.message);
}

static void a_bare_image_gets_only_what_it_has_a_place_for(void **state)
{
	(void)state;
	seeded(SEED_NEW);
	assert_holds("/etc/hostname", "web1.example.org\n");
	assert_holds("/this_host", "node7.example.org\n");
	assert_holds("/this_port", "40022\n");
	assert_absent("/etc/hosts");
	assert_absent("/etc/shadow");
	assert_absent("/root");
	assert_absent("/etc/corpus");
	assert_absent("/var");
	assert_string_equal(g_result.skipped, "");
	assert_false(g_result.password_set);
	assert_false(g_result.cloud_init);
}

static void a_whole_image_gets_everything_and_again_the_same(void **state)
{
	AUTOFREE char *first = NULL;

	(void)state;
	put("/etc/hosts", "127.0.0.1 localhost\n", 0644);
	put("/etc/shadow", "root:*:19000:0:99999:7:::\n", 0644);
	g_guest->ssh_keys = calloc(2, sizeof(char *));
	g_guest->ssh_keys[0] = strdup(KEY_ED25519);
	g_guest->user_data = strdup("#!/bin/sh\n");
	for (int i = 0; i < 2; i++) {
		AUTOFREE char *keys = NULL;

		seeded(SEED_NEW);
		assert_holds(
			"/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tweb1.example.org web1\n");
		keys = get("/root/.ssh/authorized_keys");
		assert_non_null(strstr(keys, KEY_ED25519 "\n"));
		assert_mode("/root/.ssh", 0700);
		assert_mode("/root/.ssh/authorized_keys", 0600);
		assert_holds("/etc/corpus/user-data", "#!/bin/sh\n");
		assert_mode("/etc/corpus/user-data", 0700);
		assert_true(g_result.password_set);
	}
	first = get("/etc/shadow");
	assert_memory_equal(first, "root:$6$rounds=1000$", 20);
	assert_non_null(strstr(first, ":19000:0:99999:7:::\n"));
	g_guest->user_data[0] = ':';
	seeded(SEED_USER_DATA);
	assert_holds("/etc/corpus/user-data", ":!/bin/sh\n");
	g_guest->user_data = (free(g_guest->user_data), NULL);
	seeded(SEED_USER_DATA);
	assert_absent("/etc/corpus/user-data");
}

static void an_image_with_cloud_init_gets_its_seed(void **state)
{
	AUTOFREE char *meta_data = NULL;

	(void)state;
	assert_int_equal(mkdir(IN("/etc/cloud"), 0755), 0);
	put("/etc/cloud/cloud.cfg", "", 0644);
	g_guest->user_data = strdup("#cloud-config\npackages: [nginx]\n");
	seeded(SEED_NEW);
	assert_true(g_result.cloud_init);
	meta_data = get("/var/lib/cloud/seed/nocloud/meta-data");
	assert_string_equal(
		meta_data, "instance-id: \"0123456789ab\"\nlocal-hostname: \"web1.example.org\"\n");
	assert_holds("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\npackages: [nginx]\n");
	assert_mode("/var/lib/cloud/seed/nocloud/user-data", 0600);
	assert_absent("/etc/corpus/user-data");
	g_guest->name = (free(g_guest->name), strdup("db"));
	seeded(SEED_RENAMED);
	assert_holds("/etc/hostname", "db\n");
	assert_holds("/var/lib/cloud/seed/nocloud/meta-data",
		"instance-id: \"0123456789ab\"\nlocal-hostname: \"db\"\n");
}

static void a_clone_is_nobody_elses_double(void **state)
{
	AUTOFREE char *key = NULL;

	(void)state;
	assert_int_equal(mkdir(IN("/etc/ssh"), 0755), 0);
	put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0644);
	put("/etc/ssh/ssh_host_rsa_key", "secret", 0644);
	put("/etc/ssh/ssh_host_ed25519_key.pub", "public", 0644);
	put("/etc/ssh/sshd_config", "", 0644);
	seeded(SEED_CLONE);
	assert_holds("/etc/machine-id", "");
	assert_absent("/etc/ssh/ssh_host_rsa_key");
	key = get("/etc/ssh/ssh_host_ed25519_key.pub");
	assert_memory_equal(key, "ssh-ed25519 AAAA", 16);
	assert_non_null(strstr(key, " root@web1.example.org\n"));
	assert_mode("/etc/ssh/ssh_host_ed25519_key", 0600);
	assert_holds("/etc/ssh/sshd_config", "");
	seeded(SEED_NEW);
}

static void a_clone_without_an_ssh_server_gets_no_key(void **state)
{
	(void)state;
	assert_int_equal(mkdir(IN("/etc/ssh"), 0755), 0);
	seeded(SEED_CLONE);
	assert_absent("/etc/ssh/ssh_host_ed25519_key");
}

static void hostile_files_are_left_out_and_named(void **state)
{
	char victim[128];
	AUTOFREE char *text = NULL;

	(void)state;
	snprintf(victim, sizeof(victim), "%s/victim", g_f.dir);
	assert_int_equal(file_replace(victim, "root:*::::::\n", 0644, false), 0);
	assert_int_equal(symlink(victim, IN("/etc/shadow")), 0);
	assert_int_equal(unlink(IN("/etc/hostname")), 0);
	assert_int_equal(symlink(victim, IN("/etc/hostname")), 0);
	assert_int_equal(mkdir(IN("/this_port"), 0755), 0);
	seeded(SEED_NEW);
	assert_string_equal(g_result.skipped, "/etc/hostname, /etc/shadow, /this_port");
	assert_false(g_result.password_set);
	assert_holds("/this_host", "node7.example.org\n");
	assert_int_equal(file_read(victim, 4096, &text, NULL), 0);
	assert_string_equal(text, "root:*::::::\n");
}

static void what_was_asked_for_and_cannot_be_is_an_error_with_the_path(void **state)
{
	(void)state;
	assert_int_equal(symlink("/", IN("/root")), 0);
	g_guest->ssh_keys = calloc(2, sizeof(char *));
	g_guest->ssh_keys[0] = strdup(KEY_ED25519);
	assert_true(seed(SEED_NEW) < 0);
	assert_int_equal(g_err.code, ERR_CONFLICT);
	assert_non_null(strstr(g_err.message, "/root/.ssh/authorized_keys"));
	seeded(SEED_NEW | SEED_LENIENT);
	assert_string_equal(g_result.skipped, "/root/.ssh/authorized_keys");
	free(g_guest->ssh_keys[0]);
	g_guest->ssh_keys[0] = NULL;
	assert_int_equal(symlink("..", IN("/etc/corpus")), 0);
	g_guest->user_data = strdup("x");
	assert_true(seed(SEED_USER_DATA) < 0);
	assert_non_null(strstr(g_err.message, "/etc/corpus/user-data"));
}

static int begin(void **state)
{
	fixture_setup(state);
	fixture_import(&g_f, "little");
	g_guest = guest_create();
	strcpy(g_guest->id, "0123456789ab");
	g_guest->name = strdup("web1.example.org");
	g_guest->ports = calloc(1, sizeof(*g_guest->ports));
	g_guest->ports[0] = (struct port){
		.proto = PORT_TCP, .host = 40022, .guest = GUEST_SSH_PORT, .purpose = "ssh"};
	g_guest->ports_count = 1;
	seed_password(g_guest->password);
	assert_ok(volume_create(
		g_f.storage, g_guest->id, IMAGE_TREE, "little", 64 * MIB, NULL, &g_err));
	return 0;
}

static int end(void **state)
{
	g_guest = guest_free(g_guest);
	return fixture_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bare_image_gets_only_what_it_has_a_place_for),
		TEST(a_whole_image_gets_everything_and_again_the_same),
		TEST(an_image_with_cloud_init_gets_its_seed),
		TEST(a_clone_is_nobody_elses_double),
		TEST(a_clone_without_an_ssh_server_gets_no_key),
		TEST(hostile_files_are_left_out_and_named),
		TEST(what_was_asked_for_and_cannot_be_is_an_error_with_the_path),
	};

	return cmocka_run_group_tests_name("seed_apply", tests, NULL, NULL);
}
