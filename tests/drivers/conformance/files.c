/* Files of guests: what is put comes back, with owners and modes as the guest sees them. All of it
 * of a stopped guest and of a running one. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "file_words.h"
#include "groups.h"
#include "need.h"

#define BIG (300 * 1024)

/* --- What is put comes back --------------------------------------------------------------------
 */

static void put_look_and_remove(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/a");
	struct driver_file_info info;

	put_ok(f, "first\n");
	assert_reads(f.path, "first\n");
	put_ok(f, "second, longer\n");
	assert_reads(f.path, "second, longer\n");
	f.op = DRIVER_FILE_STAT;
	info = file_ok(f).file;
	assert_string_equal(info.type, "file");
	assert_int_equal(info.mode, 0644);
	assert_int_equal(info.size, strlen("second, longer\n"));
	assert_true(info.mtime_ms > 1000000000000);
	f.op = DRIVER_FILE_READ; /* without a descriptor: only what it is */
	assert_int_equal(file_ok(f).file.size, info.size);
	f.op = DRIVER_FILE_REMOVE;
	file_ok(f);
	file_ok(f);
	f.op = DRIVER_FILE_STAT;
	file_fails(f, ERR_NOT_FOUND);
}

static void what_is_put_comes_back(void **state)
{
	(void)state;
	in_both(put_look_and_remove);
}

static void put_empty_and_big(void)
{
	AUTOFREE char *big = malloc(BIG + 1), *back = malloc(BIG + 1);
	AUTOCLOSE int fd = memory_file("");
	struct driver_file f = file_at(DRIVER_FILE_READ, DIR_INSIDE "/big");

	memset(big, 'x', BIG);
	memcpy(big + BIG / 2, "middle", 6);
	big[BIG] = '\0';
	put_ok(f, big);
	f.fd = fd;
	assert_int_equal(file_ok(f).file.size, BIG);
	assert_int_equal(pread(fd, back, BIG + 1, 0), BIG);
	assert_memory_equal(big, back, BIG);
	f.path = DIR_INSIDE "/empty";
	put_ok(f, "");
	assert_reads(f.path, "");
}

static void empty_and_big_files_come_back(void **state)
{
	(void)state;
	in_both(put_empty_and_big);
}

static void cut_off(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/a");
	struct driver_file list = file_at(DRIVER_FILE_LIST, DIR_INSIDE);
	AUTOCLOSE int fd = memory_file("");
	char buf[4096];
	int ends[2];

	put_ok(f, "old");
	f.size = 100;
	assert_int_equal(put(f, "new").error.code, ERR_INVALID);
	f.size = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	f.whole_fd = ends[0];
	assert_int_equal(put(f, "new").error.code, ERR_CANCELLED);
	close(ends[0]);
	assert_reads(f.path, "old");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "", 1), 1);
	f.whole_fd = ends[0];
	assert_int_equal(put(f, "whole").result, 0);
	close(ends[0]);
	close(ends[1]);
	assert_reads(f.path, "whole");
	list.fd = fd;
	file_ok(list);
	memset(buf, 0, sizeof(buf));
	assert_true(pread(fd, buf, sizeof(buf) - 1, 0) > 0);
	assert_string_equal(strchr(buf, '\n'), "\n"); /* one entry */
}

static void a_transfer_cut_off_changes_nothing(void **state)
{
	(void)state;
	in_both(cut_off);
}

/* --- Owners and modes --------------------------------------------------------------------------
 */

static void assert_attributes(const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct driver_file_info info = file_ok(file_at(DRIVER_FILE_STAT, path)).file;

	assert_int_equal(info.mode, mode);
	assert_int_equal(info.uid, uid);
	assert_int_equal(info.gid, gid);
}

static void set_attributes(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/owned");
	struct driver_file d = file_at(DRIVER_FILE_MKDIR, DIR_INSIDE "/dir");

	put_ok(f, "x");
	assert_attributes(f.path, 0644, 0, 0);
	f.mode = 04750;
	f.uid = 33;
	f.gid = 44;
	put_ok(f, "x");
	assert_attributes(f.path, 04750, 33, 44);
	/* What is not said stays; but other bytes do not inherit the rights of others. */
	f.mode = f.uid = f.gid = -1;
	put_ok(f, "y");
	assert_attributes(f.path, 0750, 33, 44);
	file_ok(d);
	assert_attributes(d.path, 0755, 0, 0);
	d.mode = 0700;
	d.uid = 1000;
	file_ok(d);
	assert_attributes(d.path, 0700, 1000, 0);
	d.mode = d.uid = -1;
	file_ok(d);
	assert_attributes(d.path, 0700, 1000, 0);
}

static void owners_and_modes_are_as_the_guest_sees_them(void **state)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/kept");

	(void)state;
	need_root();
	in_both(set_attributes);
	if (is_machine())
		return;
	/* The same ones in a guest that runs and in one that does not. */
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	file_ok(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE));
	f.uid = 33;
	f.gid = 44;
	put_ok(f, "x");
	stop_guest(GUEST_A, 20000);
	assert_attributes(f.path, 0644, 33, 44);
	f.uid = 55;
	put_ok(f, "x");
	start_guest(GUEST_A);
	assert_attributes(f.path, 0644, 55, 44);
	clear();
	destroy_guest(GUEST_A);
}

/* --- Lists ---------------------------------------------------------------------------------- */

static void list_a_directory(void)
{
	json_t *all, *link;

	put_ok(file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/a"), "12345");
	file_ok(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE "/b"));
	prepare_inside("cd $R" DIR_INSIDE "; ln -s a c; name=$(printf '\\377\"\\nx'); "
		       ": >\"${name%%x}\"");
	all = listed(DIR_INSIDE);
	assert_int_equal(json_object_size(all), 4);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "a"), "size")), 5);
	link = json_object_get(all, "c");
	assert_string_equal(json_string_value(json_object_get(link, "type")), "link");
	assert_string_equal(json_string_value(json_object_get(link, "target")), "a");
	json_decref(all);
	file_fails(file_at(DRIVER_FILE_REMOVE, DIR_INSIDE), ERR_ILLEGAL_STATE);
	prepare_inside("cd $R" DIR_INSIDE "; rm -f c *\\\"*");
	file_ok(file_at(DRIVER_FILE_REMOVE, DIR_INSIDE "/a"));
	file_ok(file_at(DRIVER_FILE_REMOVE, DIR_INSIDE "/b"));
	all = listed(DIR_INSIDE);
	assert_int_equal(json_object_size(all), 0);
	json_decref(all);
	file_ok(file_at(DRIVER_FILE_REMOVE, DIR_INSIDE));
	file_ok(file_at(DRIVER_FILE_REMOVE, DIR_INSIDE "/not/there"));
}

static void directories_are_listed_and_removed_when_empty(void **state)
{
	(void)state;
	in_both(list_a_directory);
}

int files_run(const char *name)
{
	const struct CMUnitTest tests[] = {
		guest_test(what_is_put_comes_back),
		guest_test(empty_and_big_files_come_back),
		guest_test(a_transfer_cut_off_changes_nothing),
		guest_test(owners_and_modes_are_as_the_guest_sees_them),
		guest_test(directories_are_listed_and_removed_when_empty),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
