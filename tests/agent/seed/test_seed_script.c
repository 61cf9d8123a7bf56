/* boot.sh as a machine would run it: in a root of its own with nothing but a busybox, at its first
 * boot, at later ones, as a clone, restored, and when corpusd pushes a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "keys.h"
#include "tree.h"

#define HASH	 "$6$rounds=1000$salt$abc./XYZ"
#define NODE_KEY "ssh-ed25519 AAAAnode corpus-node\n"
#define BLOCK_OF(keys)                                                                             \
	"# corpus: keys of this guest; what is between these lines is replaced\n" keys NODE_KEY    \
	"# corpus: end\n"

static char g_root[] = "/tmp/corpus-test-seed-script-XXXXXX";
static char *g_keys[] = {(char *)KEY_ED25519, NULL};
static const struct seed_node NODE = {.name = "node1", .key = NODE_KEY};
static struct guest g_guest;

/* --- The machine's files --------------------------------------------------------------------- */

char *in_tree(char buf[static 256], const char *path)
{
	assert_int_equal(file_path(buf, 256, "%s%s", g_root, path), 0);
	return buf;
}

static bool is_there(const char *path)
{
	return access(IN(path), F_OK) == 0;
}

static int make_machine(void **state)
{
	static const char *const directories[] = {"/bin", "/etc/ssh", "/root", "/run/seed",
		"/var/log", "/proc/sys/kernel/random", "/dev"};
	static const char *const applets[] = {
		"sh", "cat", "cp", "mv", "rm", "mkdir", "chmod", "sed", "tr", "date", "sleep"};

	(void)state;
	strcpy(strrchr(g_root, '-'), "-XXXXXX");
	assert_non_null(mkdtemp(g_root));
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(file_mkdirs(IN(directories[i]), 0755), 0);
	assert_int_equal(
		process_run(&(struct process_options){.argv = (const char *[]){"cp", "/bin/busybox",
							      IN("/bin/busybox"), NULL},
				    .stdin_fd = -1,
				    .stdout_fd = -1},
			NULL),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/bin/%s", applets[i]);
		assert_int_equal(symlink("busybox", IN(path)), 0);
	}
	assert_int_equal(mknod(IN("/dev/null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	put("/proc/sys/kernel/hostname", "none\n", 0644);
	put("/proc/sys/kernel/random/uuid", "01234567-89ab-cdef-0123-456789abcdef\n", 0444);
	put("/etc/hosts", "127.0.0.1 localhost\n 127.0.1.1\told\n", 0644);
	put("/etc/hostname", "image\n", 0644);
	put("/etc/shadow", "root:*:0:0:99999:7:::\nbin:*:19000:::::\n", 0640);
	put("/etc/machine-id", "ffffffffffffffffffffffffffffffff\n", 0444);
	g_guest = (struct guest){
		.id = "0123456789ab", .name = (char *)"web1.example.org", .ssh_keys = g_keys};
	return 0;
}

static int remove_machine(void **state)
{
	(void)state;
	return file_remove_tree(g_root);
}

/* --- Running it ------------------------------------------------------------------------------ */

static int wait_status(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Run by the hook of an image, from its disk; or given to a shell, as by corpusd. */
static int run_as(enum script_runner runner)
{
	const struct script_facts facts = {
		.guest = &g_guest, .node = &NODE, .password_hash = *g_guest.password ? HASH : NULL};
	AUTOFREE char *text = render_script(&facts, runner);
	pid_t pid;

	assert_non_null(text);
	put("/run/seed/corpus-seed", text, 0444);
	put("/run/seed/user-data", g_guest.user_data ? g_guest.user_data : RENDER_NO_USER_DATA,
		0444);
	pid = fork();
	if (pid == 0) {
		int fd = open(IN("/run/seed/corpus-seed"), O_RDONLY);

		if (chroot(g_root) < 0 || chdir("/") < 0 || dup2(fd, 0) < 0)
			_exit(99);
		if (runner == SCRIPT_PUSH || runner == SCRIPT_KEYS)
			execl("/bin/sh", "sh", "-s", (char *)NULL);
		else
			execl("/bin/sh", "sh", "/run/seed/corpus-seed", (char *)NULL);
		_exit(98);
	}
	return wait_status(pid);
}

static void boot(void)
{
	assert_int_equal(run_as(SCRIPT_BOOT), 0);
}

/* User data run on while the machine boots: their end is a file. */
static void wait_for_user_data(void)
{
	for (int i = 0; i < 1000 && !is_there("/etc/corpus/user-data.status"); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(is_there("/etc/corpus/user-data.status"));
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void first_boot_puts_all_in_place(void **state)
{
	AUTOFREE char *shadow = NULL;

	(void)state;
	strcpy(g_guest.password, "secret");
	boot();
	assert_holds("/etc/hostname", "web1.example.org\n");
	assert_holds("/proc/sys/kernel/hostname", "web1.example.org");
	assert_holds("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tweb1.example.org web1\n");
	assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(KEY_ED25519 "\n"));
	assert_mode("/root/.ssh/authorized_keys", 0600);
	assert_mode("/root/.ssh", 0700);
	shadow = get("/etc/shadow");
	assert_int_equal(strncmp(shadow, "root:" HASH ":", strlen("root:" HASH ":")), 0);
	assert_null(strstr(shadow, HASH ":0:"));
	assert_non_null(strstr(shadow, "\nbin:*:19000:::::\n"));
	assert_mode("/etc/shadow", 0640);
	assert_holds("/this_host", "node1\n");
	assert_false(is_there("/this_port"));
	assert_holds("/etc/corpus/instance-id", "0123456789ab\n");
	/* It is the image's, whoever made that. */
	assert_holds("/etc/machine-id", "ffffffffffffffffffffffffffffffff\n");
}

static void later_boots_leave_alone_what_root_changed(void **state)
{
	(void)state;
	strcpy(g_guest.password, "secret");
	boot();
	put("/etc/shadow", "root:mine:20000:::::\n", 0600);
	put("/etc/hostname", "mine\n", 0644);
	put("/root/.ssh/authorized_keys", "ssh-rsa AAAA mine\n", 0640);
	boot();
	assert_holds("/etc/shadow", "root:mine:20000:::::\n");
	assert_holds("/etc/hostname", "mine\n");
	assert_holds(
		"/root/.ssh/authorized_keys", "ssh-rsa AAAA mine\n" BLOCK_OF(KEY_ED25519 "\n"));
	assert_mode("/root/.ssh/authorized_keys", 0640);
}

static void keys_and_name_follow_by_boot_and_by_push(void **state)
{
	static const enum script_runner runners[] = {SCRIPT_BOOT, SCRIPT_PUSH, SCRIPT_CLOUD_INIT};
	static char *others[] = {(char *)KEY_ECDSA256 " it's mine", NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
		g_guest.ssh_keys = g_keys;
		g_guest.name = (char *)"web1.example.org";
		boot();
		g_guest.ssh_keys = others;
		g_guest.name = (char *)"db";
		assert_int_equal(run_as(runners[i]), 0);
		assert_int_equal(run_as(runners[i]), 0);
		assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(KEY_ECDSA256 " it's mine\n"));
		assert_holds("/etc/hostname", "db\n");
		assert_holds("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tdb\n");
	}
}

static void a_block_that_lost_its_end_goes_up_to_the_next_blank_line(void **state)
{
	(void)state;
	boot();
	put("/root/.ssh/authorized_keys",
		"mine\n" KEYS_BEGIN "\n" KEY_ECDSA256 "\n\nno end of line", 0600);
	boot();
	assert_holds("/root/.ssh/authorized_keys",
		"mine\n\nno end of line\n" BLOCK_OF(KEY_ED25519 "\n"));
}

static void user_data_run_once(void **state)
{
	(void)state;
	g_guest.user_data = (char *)"#!/bin/sh\necho ran as $(pwd)\n"
				    "echo once >>/var/log/times\nexit 3\n";
	boot();
	wait_for_user_data();
	boot();
	boot();
	assert_holds("/etc/corpus/user-data.status", "3\n");
	assert_holds("/var/log/corpus-user-data.log", "ran as /\n");
	assert_holds("/var/log/times", "once\n");
	assert_mode("/etc/corpus/user-data", 0700);
}

static void user_data_that_are_no_script_lie_there(void **state)
{
	(void)state;
	g_guest.user_data = (char *)"#cloud-config\n{}\n";
	boot();
	assert_holds("/etc/corpus/user-data", "#cloud-config\n{}\n");
	assert_mode("/etc/corpus/user-data", 0600);
	assert_false(is_there("/etc/corpus/user-data.begun"));
}

static void a_clone_is_somebody_of_its_own(void **state)
{
	(void)state;
	strcpy(g_guest.password, "secret");
	g_guest.user_data = (char *)"#!/bin/sh\necho once >>/var/log/times\n";
	boot();
	wait_for_user_data();
	put("/etc/shadow", "root:mine:20000:::::\n", 0600);
	strcpy(g_guest.id, "ba9876543210");
	g_guest.name = (char *)"clone";
	boot();
	wait_for_user_data();
	assert_holds("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	assert_holds("/etc/hostname", "clone\n");
	assert_holds("/etc/shadow", "root:" HASH ":20000:::::\n");
	assert_holds("/etc/corpus/instance-id", "ba9876543210\n");
	assert_holds("/var/log/times", "once\nonce\n");
}

static void where_cloud_init_is_the_hook_leaves_it_to_that(void **state)
{
	(void)state;
	assert_int_equal(mkdir(IN("/etc/cloud"), 0755), 0);
	put("/etc/cloud/cloud.cfg", "", 0644);
	boot();
	assert_false(is_there("/etc/corpus"));
	/* And what it runs itself does not run user data: those are its own affair. */
	g_guest.user_data = (char *)"#!/bin/sh\necho once >>/var/log/times\n";
	assert_int_equal(run_as(SCRIPT_CLOUD_INIT), 0);
	assert_true(is_there("/etc/corpus/instance-id"));
	assert_false(is_there("/etc/corpus/user-data"));
	put("/etc/cloud/cloud-init.disabled", "", 0644);
	strcpy(g_guest.id, "ba9876543210");
	boot();
	assert_holds("/etc/corpus/instance-id", "ba9876543210\n");
	wait_for_user_data();
}

/* Its disk is that of its start; a key that was taken away by a push must not come back. */
static void an_older_disk_takes_back_nothing(void **state)
{
	static char *none[] = {NULL};

	(void)state;
	boot();
	g_guest.generation = 7;
	g_guest.ssh_keys = none;
	assert_int_equal(run_as(SCRIPT_PUSH), 0);
	g_guest.generation = 6;
	g_guest.ssh_keys = g_keys;
	boot();
	assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(""));
	/* A copy's own counts from its beginning. */
	strcpy(g_guest.id, "ba9876543210");
	boot();
	assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(KEY_ED25519 "\n"));
}

static void a_container_gets_its_keys_alone_also_as_a_copy(void **state)
{
	(void)state;
	g_guest.generation = 7;
	assert_int_equal(run_as(SCRIPT_KEYS), 0);
	g_guest.generation = 6;
	g_guest.ssh_keys = (char *[]){(char *)KEY_ECDSA256, NULL};
	strcpy(g_guest.id, "ba9876543210");
	assert_int_equal(run_as(SCRIPT_KEYS), 0);
	assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(KEY_ECDSA256 "\n"));
	assert_holds("/etc/hostname", "image\n");
	assert_false(is_there("/this_host"));
}

static void what_cannot_be_written_is_told_and_tried_again(void **state)
{
	(void)state;
	assert_int_equal(mkdir(IN("/root/.ssh"), 0700), 0);
	assert_int_equal(mkdir(IN("/root/.ssh/authorized_keys"), 0700), 0);
	assert_int_equal(mkdir(IN("/root/.ssh/authorized_keys/x"), 0700), 0);
	assert_int_not_equal(run_as(SCRIPT_PUSH), 0);
	assert_int_equal(rmdir(IN("/root/.ssh/authorized_keys/x")), 0);
	assert_int_equal(rmdir(IN("/root/.ssh/authorized_keys")), 0);
	assert_int_equal(run_as(SCRIPT_PUSH), 0);
	assert_holds("/root/.ssh/authorized_keys", BLOCK_OF(KEY_ED25519 "\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_machine, remove_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_boot_puts_all_in_place),
		TEST(later_boots_leave_alone_what_root_changed),
		TEST(keys_and_name_follow_by_boot_and_by_push),
		TEST(a_block_that_lost_its_end_goes_up_to_the_next_blank_line),
		TEST(a_container_gets_its_keys_alone_also_as_a_copy),
		TEST(user_data_run_once),
		TEST(user_data_that_are_no_script_lie_there),
		TEST(a_clone_is_somebody_of_its_own),
		TEST(where_cloud_init_is_the_hook_leaves_it_to_that),
		TEST(an_older_disk_takes_back_nothing),
		TEST(what_cannot_be_written_is_told_and_tried_again),
	};

	return cmocka_run_group_tests_name("seed_script", tests, NULL, NULL);
}
