/* Files: whole reads, atomic replacement, directories made and removed. Each test has a directory
 * of its own, which is removed also when it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/file.h"

static char g_dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(g_dir, "/tmp/corpus-test-file-XXXXXX");
	return mkdtemp(g_dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}

static const char *in_dir(char buf[static 256], const char *name)
{
	assert_int_equal(file_path(buf, 256, "%s/%s", g_dir, name), 0);
	return buf;
}

#define IN(name) in_dir((char[256]){0}, name)

static void make_file(const char *path)
{
	assert_int_equal(file_replace(path, "x", 0600, false), 0);
}

static void read_takes_the_whole_file_up_to_the_bound(void **state)
{
	AUTOFREE char *text = NULL;
	AUTOFREE char *big = malloc(20001);
	size_t size;

	(void)state;
	memset(big, 'y', 20000);
	big[20000] = '\0';
	assert_int_equal(file_replace(IN("f"), big, 0600, false), 0);
	assert_int_equal(file_read(IN("f"), 19999, &text, &size), -EFBIG);
	assert_null(text);
	assert_int_equal(file_read(IN("f"), 20000, &text, &size), 0);
	assert_int_equal(size, 20000);
	assert_string_equal(text, big);
}

static void read_takes_an_empty_file_and_one_without_a_size(void **state)
{
	AUTOFREE char *empty = NULL;
	AUTOFREE char *proc = NULL;
	size_t size = 1;

	(void)state;
	assert_int_equal(file_replace(IN("f"), "", 0600, false), 0);
	assert_int_equal(file_read(IN("f"), 10, &empty, &size), 0);
	assert_int_equal(size, 0);
	assert_string_equal(empty, "");
	assert_int_equal(file_read("/proc/self/stat", 4096, &proc, &size), 0);
	assert_true(size > 0);
	assert_int_equal(file_read(IN("none"), 10, &proc, NULL), -ENOENT);
}

static void write_wants_an_existing_file(void **state)
{
	AUTOFREE char *text = NULL;

	(void)state;
	assert_int_equal(file_write(IN("f"), "new"), -ENOENT);
	make_file(IN("f"));
	assert_int_equal(file_write(IN("f"), "new"), 0);
	assert_int_equal(file_read(IN("f"), 10, &text, NULL), 0);
	assert_string_equal(text, "new");
}

static void replace_changes_text_and_mode_and_leaves_no_other_file(void **state)
{
	AUTOFREE char *text = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(file_replace(IN("f"), "one", 0600, true), 0);
	assert_int_equal(file_replace(IN("f"), "two", 0644, true), 0);
	assert_int_equal(file_read(IN("f"), 10, &text, NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(stat(IN("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(access(IN(".f.new"), F_OK), -1);
}

static void replace_overwrites_what_a_crash_left(void **state)
{
	AUTOFREE char *text = NULL;

	(void)state;
	make_file(IN(".f.new"));
	assert_int_equal(file_replace(IN("f"), "two", 0600, false), 0);
	assert_int_equal(file_read(IN("f"), 10, &text, NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(access(IN(".f.new"), F_OK), -1);
}

static void replace_that_fails_leaves_the_old_file(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs(IN("d/full"), 0700), 0);
	assert_int_equal(file_replace(IN("d"), "x", 0600, false), -EISDIR);
	assert_int_equal(access(IN(".d.new"), F_OK), -1);
	assert_int_equal(access(IN("d/full"), F_OK), 0);
	assert_int_equal(file_replace(IN("none/f"), "x", 0600, false), -ENOENT);
}

static void replace_does_not_write_through_a_link(void **state)
{
	AUTOFREE char *text = NULL;

	(void)state;
	make_file(IN("target"));
	assert_int_equal(symlink(IN("target"), IN(".f.new")), 0);
	assert_int_equal(file_replace(IN("f"), "evil", 0600, false), -ELOOP);
	assert_int_equal(file_read(IN("target"), 10, &text, NULL), 0);
	assert_string_equal(text, "x");
}

static void mkdirs_makes_all_levels_and_may_be_repeated(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdirs(IN("a/b/c"), 0700), 0);
	assert_int_equal(file_mkdirs(IN("a/b/c/"), 0755), 0);
	assert_int_equal(stat(IN("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void mkdirs_refuses_what_is_no_directory(void **state)
{
	(void)state;
	make_file(IN("f"));
	assert_int_equal(file_mkdirs(IN("f"), 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs(IN("f/g"), 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs("", 0700), -ENOENT);
}

static void remove_takes_trees_files_and_nothing(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs(IN("t/a/b"), 0700), 0);
	make_file(IN("t/f"));
	make_file(IN("t/a/b/g"));
	assert_int_equal(file_remove_tree(IN("t")), 0);
	assert_int_equal(access(IN("t"), F_OK), -1);
	assert_int_equal(file_remove_tree(IN("t")), 0);
	make_file(IN("f"));
	assert_int_equal(file_remove_tree(IN("f")), 0);
	assert_int_equal(access(IN("f"), F_OK), -1);
}

static void remove_does_not_follow_links(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs(IN("outside"), 0700), 0);
	make_file(IN("outside/kept"));
	assert_int_equal(file_mkdirs(IN("t"), 0700), 0);
	assert_int_equal(symlink(IN("outside"), IN("t/link")), 0);
	assert_int_equal(symlink("/", IN("t/root")), 0);
	assert_int_equal(symlink(IN("outside"), IN("top")), 0);
	assert_int_equal(file_remove_tree(IN("t")), 0);
	assert_int_equal(file_remove_tree(IN("top")), 0);
	assert_int_equal(access(IN("top"), F_OK), -1);
	assert_int_equal(access(IN("outside/kept"), F_OK), 0);
}

static void remove_goes_to_any_depth_with_few_descriptors(void **state)
{
	AUTOCLOSE int fd = -1;

	(void)state;
	assert_int_equal(mkdir(IN("t"), 0700), 0);
	fd = open(IN("t"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3000; i++) {
		int below;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		fd_close(fd);
		fd = below;
	}
	assert_int_equal(file_remove_tree(IN("t")), 0);
	assert_int_equal(access(IN("t"), F_OK), -1);
}

static void remove_takes_many_entries(void **state)
{
	(void)state;
	assert_int_equal(mkdir(IN("t"), 0700), 0);
	for (int i = 0; i < 3000; i++) {
		char name[32];
		int fd;

		snprintf(name, sizeof(name), "t/%d", i);
		fd = open(IN(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		fd_close(fd);
	}
	assert_int_equal(file_remove_tree(IN("t")), 0);
	assert_int_equal(access(IN("t"), F_OK), -1);
}

static void remove_refuses_paths_without_a_name(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs(IN("t"), 0700), 0);
	assert_int_equal(file_remove_tree(IN("t/")), -EINVAL);
	assert_int_equal(file_remove_tree(IN("t/.")), -EINVAL);
	assert_int_equal(file_remove_tree(IN("t/..")), -EINVAL);
	assert_int_equal(access(IN("t"), F_OK), 0);
}

static void a_path_that_does_not_fit_is_an_error(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(file_path(buf, sizeof(buf), "%s", "1234567"), 0);
	assert_int_equal(file_path(buf, sizeof(buf), "%s", "12345678"), -ENAMETOOLONG);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(read_takes_the_whole_file_up_to_the_bound),
		IN_DIR(read_takes_an_empty_file_and_one_without_a_size),
		IN_DIR(write_wants_an_existing_file),
		IN_DIR(replace_changes_text_and_mode_and_leaves_no_other_file),
		IN_DIR(replace_overwrites_what_a_crash_left),
		IN_DIR(replace_that_fails_leaves_the_old_file),
		IN_DIR(replace_does_not_write_through_a_link),
		IN_DIR(mkdirs_makes_all_levels_and_may_be_repeated),
		IN_DIR(mkdirs_refuses_what_is_no_directory),
		IN_DIR(remove_takes_trees_files_and_nothing),
		IN_DIR(remove_does_not_follow_links),
		IN_DIR(remove_goes_to_any_depth_with_few_descriptors),
		IN_DIR(remove_takes_many_entries),
		IN_DIR(remove_refuses_paths_without_a_name),
		cmocka_unit_test(a_path_that_does_not_fit_is_an_error),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
