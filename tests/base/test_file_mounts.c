/* Removing a tree that has something mounted in it: what is mounted is never touched. In a mount
 * namespace of its own, so nothing is left behind whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/file.h"

#define ROOT "/tmp"

static int set_up(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("corpus-test", ROOT, "tmpfs", 0, NULL) < 0)
		return -1;
	return file_mkdirs(ROOT "/tree/inner", 0700) | file_mkdirs(ROOT "/other", 0700) |
	       file_replace(ROOT "/other/kept", "x", 0600, false);
}

static int tear_down(void **state)
{
	(void)state;
	return umount2(ROOT, MNT_DETACH);
}

static void another_file_system_is_not_entered(void **state)
{
	(void)state;
	assert_int_equal(mount("corpus-test", ROOT "/tree/inner", "tmpfs", 0, NULL), 0);
	assert_int_equal(file_replace(ROOT "/tree/inner/kept", "x", 0600, false), 0);
	assert_int_equal(file_remove_tree(ROOT "/tree"), -EXDEV);
	assert_int_equal(access(ROOT "/tree/inner/kept", F_OK), 0);
}

static void a_bind_mount_of_the_same_file_system_is_not_entered(void **state)
{
	(void)state;
	assert_int_equal(mount(ROOT "/other", ROOT "/tree/inner", NULL, MS_BIND, NULL), 0);
	assert_int_equal(file_remove_tree(ROOT "/tree"), -EXDEV);
	assert_int_equal(access(ROOT "/other/kept", F_OK), 0);
}

static void a_mount_point_itself_is_not_emptied(void **state)
{
	(void)state;
	assert_int_equal(mount(ROOT "/other", ROOT "/tree", NULL, MS_BIND, NULL), 0);
	assert_int_equal(file_remove_tree(ROOT "/tree"), -EXDEV);
	assert_int_equal(access(ROOT "/other/kept", F_OK), 0);
}

static void a_file_that_is_mounted_over_is_busy_or_beyond(void **state)
{
	(void)state;
	assert_int_equal(file_replace(ROOT "/tree/inner/f", "x", 0600, false), 0);
	assert_int_equal(mount(ROOT "/other/kept", ROOT "/tree/inner/f", NULL, MS_BIND, NULL), 0);
	assert_true(file_remove_tree(ROOT "/tree") < 0);
	assert_int_equal(access(ROOT "/other/kept", F_OK), 0);
}

#define IN_NAMESPACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NAMESPACE(another_file_system_is_not_entered),
		IN_NAMESPACE(a_bind_mount_of_the_same_file_system_is_not_entered),
		IN_NAMESPACE(a_mount_point_itself_is_not_emptied),
		IN_NAMESPACE(a_file_that_is_mounted_over_is_busy_or_beyond),
	};

	return cmocka_run_group_tests_name("file_mounts", tests, NULL, NULL);
}
