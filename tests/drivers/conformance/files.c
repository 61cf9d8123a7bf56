/* Files of guests: what is put comes back, with owners and modes as the guest sees them, and
 * nothing leads out of the guest's root. All of it of a stopped guest and of a running one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "groups.h"
#include "guests.h"

#define DIR_INSIDE "/corpus-files"
#define BIG	   (300 * 1024)
#define RACES	   40

/* --- Words -------------------------------------------------------------------------------------
 */

static struct driver_file file_at(enum driver_file_op op, const char *path)
{
	return (struct driver_file){
		.op = op, .path = path, .fd = -1, .mode = -1, .uid = -1, .gid = -1};
}

static struct outcome do_file(struct driver_file file)
{
	return call((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &file, .deadline_ms = 60000});
}

static struct outcome file_ok(struct driver_file file)
{
	return call_ok((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &file, .deadline_ms = 60000});
}

static void file_fails(struct driver_file file, enum err_code code)
{
	call_fails((struct driver_request){.call = DRIVER_CALL_FILE,
			   .id = GUEST_A,
			   .file = &file,
			   .deadline_ms = 60000},
		code);
}

static struct outcome put(struct driver_file file, const char *text)
{
	AUTOCLOSE int fd = memory_file(text);

	file.op = DRIVER_FILE_WRITE;
	file.fd = fd;
	return do_file(file);
}

static void put_ok(struct driver_file file, const char *text)
{
	struct outcome o = put(file, text);

	if (o.result < 0)
		fail_msg("%s: %s", file.path, o.error.message);
}

static void assert_reads(const char *path, const char *text)
{
	AUTOCLOSE int fd = memory_file("");
	struct driver_file file = file_at(DRIVER_FILE_READ, path);

	file.fd = fd;
	assert_int_equal(file_ok(file).file.size, strlen(text));
	assert_holds(fd, text);
}

static void clear(void)
{
	prepare_inside("rm -rf $R" DIR_INSIDE);
}

/* Whether the test reaches the guest's files also while it does not run. */
static bool is_tree(void)
{
	return environment()->rootfs != NULL;
}

/* Runs a test on a guest that is stopped, where that has files, then on one that runs. */
static void in_both(void (*test)(void))
{
	struct driver_file directory = file_at(DRIVER_FILE_MKDIR, DIR_INSIDE);

	if (!can(DRIVER_CAN_FILE))
		skip();
	for (int running = !is_tree(); running < 2; running++) {
		if (running)
			borrow_guest();
		else
			define_guest(GUEST_A, ROOTFS_PLAIN);
		clear();
		file_ok(directory);
		test();
	}
	clear();
	return_guest();
}

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
	if (geteuid() != 0)
		skip();
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

static json_t *listed(const char *path)
{
	AUTOCLOSE int fd = memory_file("");
	struct driver_file f = file_at(DRIVER_FILE_LIST, path);
	json_t *all = json_object(), *entry;
	FILE *lines;

	f.fd = fd;
	file_ok(f);
	lines = fdopen(dup(fd), "r");
	rewind(lines);
	while ((entry = json_loadf(lines, JSON_DISABLE_EOF_CHECK, NULL)))
		json_object_set_new(all, json_string_value(json_object_get(entry, "name")), entry);
	fclose(lines);
	return all;
}

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

/* --- What is refused ---------------------------------------------------------------------------
 */

static void refuse_paths(void)
{
	static const char *const bad[] = {"", "a", "../a", "/", "/..", DIR_INSIDE "/.",
		DIR_INSIDE "/a/../..", DIR_INSIDE "/a/b"};
	AUTOFREE char *longest = malloc(6000);

	put_ok(file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/a"), "x");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct outcome o = put(file_at(DRIVER_FILE_WRITE, bad[i]), "x");

		assert_int_equal(o.error.code, ERR_INVALID);
		assert_string_equal(o.error.field, "path");
	}
	memset(longest, 'a', 5999);
	longest[0] = '/';
	longest[5999] = '\0';
	file_fails(file_at(DRIVER_FILE_STAT, longest), ERR_INVALID);
	longest[300] = '\0';
	file_fails(file_at(DRIVER_FILE_MKDIR, longest), ERR_INVALID);
	file_fails(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE "/not/there"), ERR_NOT_FOUND);
	file_fails(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE "/a"), ERR_INVALID);
	file_fails(file_at(DRIVER_FILE_READ, DIR_INSIDE), ERR_INVALID);
	assert_int_equal(put(file_at(DRIVER_FILE_WRITE, DIR_INSIDE), "x").error.code, ERR_INVALID);
	assert_string_equal(file_ok(file_at(DRIVER_FILE_STAT, "/")).file.type, "directory");
}

static void bad_paths_are_refused(void **state)
{
	(void)state;
	in_both(refuse_paths);
}

/* A container's root may not. */
static bool can_make_devices(void)
{
	return geteuid() == 0 && !environment()->container;
}

static void refuse_specials(void)
{
	static const char *const names[] = {
		DIR_INSIDE "/fifo", DIR_INSIDE "/device", DIR_INSIDE "/link"};

	prepare_inside("cd $R" DIR_INSIDE "; mkfifo fifo; ln -s fifo link; %s",
		can_make_devices() ? "mknod device c 1 5" : ":");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTOCLOSE int fd = memory_file("");
		struct driver_file f = file_at(DRIVER_FILE_READ, names[i]);

		if (i == 1 && !can_make_devices())
			continue;
		f.fd = fd;
		file_fails(f, ERR_INVALID);
		if (i < 2)
			assert_int_equal(put(f, "x").error.code, ERR_INVALID);
	}
}

static void devices_and_fifos_are_never_opened(void **state)
{
	(void)state;
	in_both(refuse_specials);
}

static void a_reader_that_goes_ends_the_call(void **state)
{
	struct driver_file f = file_at(DRIVER_FILE_READ, DIR_INSIDE "/a");
	int ends[2];

	(void)state;
	if (!can(DRIVER_CAN_FILE))
		skip();
	if (is_tree())
		define_guest(GUEST_A, ROOTFS_PLAIN);
	else
		borrow_guest();
	file_ok(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE));
	put_ok(f, "x");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	f.fd = ends[1];
	file_fails(f, ERR_CANCELLED);
	close(ends[1]);
	clear();
	return_guest();
}

/* What has been killed for its deadline may be about to end still. */
static void await_nobody_reads(int fd)
{
	struct pollfd p = {.fd = fd};

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(p.revents & POLLERR);
}

/* As when a file system of the guest's hangs: it costs that call, and nothing else. */
static void a_transfer_that_hangs_ends_at_its_deadline_and_leaves_nothing(void **state)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/a");
	int ends[2];
	json_t *all;

	(void)state;
	if (!can(DRIVER_CAN_FILE) || !subject_is_process(subject()))
		skip();
	borrow_guest();
	file_ok(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE));
	put_ok(f, "old");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "half", 4), 4);
	f.fd = ends[0];
	call_fails(
		(struct driver_request){
			.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &f, .deadline_ms = 300},
		ERR_TIMEOUT);
	close(ends[0]);
	await_nobody_reads(ends[1]);
	close(ends[1]);
	assert_reads(f.path, "old");
	all = listed(DIR_INSIDE);
	assert_int_equal(json_object_size(all), 1);
	json_decref(all);
	clear();
	return_guest();
}

static void a_full_file_system_is_told_and_keeps_nothing(void **state)
{
	AUTOFREE char *big = NULL, *path = NULL;
	json_t *before, *after;

	(void)state;
	if (!can(DRIVER_CAN_FILE) || !environment()->small_directory)
		skip();
	big = malloc((1 << 20) + 1);
	assert_non_null(big);
	memset(big, 'x', 1 << 20);
	big[1 << 20] = '\0';
	assert_true(asprintf(&path, "%s/too-big", environment()->small_directory) > 0);
	borrow_guest();
	before = listed(environment()->small_directory);
	assert_int_equal(put(file_at(DRIVER_FILE_WRITE, path), big).error.code, ERR_NO_ROOM);
	after = listed(environment()->small_directory);
	assert_int_equal(json_object_size(before), json_object_size(after));
	json_decref(before);
	json_decref(after);
	return_guest();
}

/* --- Links -------------------------------------------------------------------------------------
 */

/* A directory beside the guest's root that is none of its business. */
static char g_beside[PATH_MAX];

static void make_beside(void)
{
	char file[PATH_MAX + 8];

	snprintf(g_beside, sizeof(g_beside), "%s-beside",
		is_tree() ? environment()->rootfs(ROOTFS_PLAIN) : environment()->config.state_dir);
	snprintf(file, sizeof(file), "%s/f", g_beside);
	assert_int_equal(file_mkdirs(g_beside, 0777), 0);
	assert_int_equal(file_replace(file, "secret", 0666, false), 0);
}

static void assert_beside_untouched(void)
{
	AUTOFREE char *text = NULL, *file = NULL;
	CLEANUP(closedirp) DIR *dir = opendir(g_beside);
	size_t n = 0;

	assert_true(asprintf(&file, "%s/f", g_beside) > 0);
	assert_int_equal(file_read(file, 64, &text, NULL), 0);
	assert_string_equal(text, "secret");
	while (readdir(dir))
		n++;
	assert_int_equal(n, 3); /* ".", ".." and f */
}

static void follow_links_that_lead_out(void)
{
	AUTOFREE char *relative = NULL, *f = strdup(DIR_INSIDE "/out/f");
	const char *targets[2] = {g_beside, NULL};

	make_beside();
	assert_true(asprintf(&relative, "../../../../../../../../../..%s", g_beside) > 0);
	targets[1] = relative;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		prepare_inside("ln -sfn '%s' $R" DIR_INSIDE "/out", targets[i]);
		file_fails(file_at(DRIVER_FILE_READ, f), ERR_NOT_FOUND);
		file_fails(file_at(DRIVER_FILE_STAT, f), ERR_NOT_FOUND);
		assert_int_equal(put(file_at(DRIVER_FILE_WRITE, f), "x").error.code, ERR_NOT_FOUND);
		file_fails(file_at(DRIVER_FILE_MKDIR, DIR_INSIDE "/out/d"), ERR_NOT_FOUND);
		file_ok(file_at(DRIVER_FILE_REMOVE, f)); /* there is none inside */
		assert_beside_untouched();
	}
	/* In the place of a link comes a file. */
	put_ok(file_at(DRIVER_FILE_WRITE, DIR_INSIDE "/out"), "mine");
	assert_reads(DIR_INSIDE "/out", "mine");
	assert_beside_untouched();
	file_remove_tree(g_beside);
}

static void links_lead_nowhere_outside(void **state)
{
	(void)state;
	in_both(follow_links_that_lead_out);
}

/* What "out" is changes between a directory and a link, for as long as this lives. */
static pid_t start_swapping(void)
{
	const char *root = environment()->rootfs(ROOTFS_PLAIN);
	AUTOFREE char *a = NULL, *b = NULL;
	pid_t pid;

	assert_true(asprintf(&a, "%s" DIR_INSIDE "/out", root) > 0);
	assert_true(asprintf(&b, "%s" DIR_INSIDE "/other", root) > 0);
	assert_int_equal(mkdir(a, 0777), 0);
	assert_int_equal(symlink(g_beside, b), 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	return pid;
}

static void race_with_links(void)
{
	struct driver_file f = file_at(DRIVER_FILE_READ, DIR_INSIDE "/out/f");
	bool leaked = false;
	pid_t swapper;

	make_beside();
	swapper = start_swapping();
	for (int i = 0; i < RACES && !leaked; i++) {
		AUTOCLOSE int fd = memory_file("");
		char buf[64] = "";

		put(f, "inside");
		f.fd = fd;
		do_file(f);
		leaked = pread(fd, buf, sizeof(buf) - 1, 0) > 0 && strstr(buf, "secret");
		f.fd = -1;
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	assert_false(leaked);
	assert_beside_untouched();
	file_remove_tree(g_beside);
}

static void links_swapped_during_a_put_lead_nowhere_outside(void **state)
{
	(void)state;
	in_both(race_with_links);
}

static void files_of_a_machine_need_it_to_run(void **state)
{
	struct driver_file f = file_at(DRIVER_FILE_STAT, "/");
	struct driver_request request = {
		.call = DRIVER_CALL_FILE, .id = GUEST_B, .file = &f, .deadline_ms = 60000};

	(void)state;
	if (!can(DRIVER_CAN_FILE))
		skip();
	define_guest(GUEST_B, ROOTFS_PLAIN);
	call_fails(request, ERR_ILLEGAL_STATE);
	destroy_guest(GUEST_B);
	call_fails(request, ERR_NOT_FOUND);
}

int files_run(const char *name)
{
	const struct CMUnitTest tests[] = {
		guest_test(what_is_put_comes_back),
		guest_test(empty_and_big_files_come_back),
		guest_test(a_transfer_cut_off_changes_nothing),
		guest_test(owners_and_modes_are_as_the_guest_sees_them),
		guest_test(directories_are_listed_and_removed_when_empty),
		guest_test(bad_paths_are_refused),
		guest_test(devices_and_fifos_are_never_opened),
		guest_test(a_reader_that_goes_ends_the_call),
		guest_test(a_transfer_that_hangs_ends_at_its_deadline_and_leaves_nothing),
		guest_test(a_full_file_system_is_told_and_keeps_nothing),
		guest_test(links_lead_nowhere_outside),
	};
	/* There is nothing outside a machine that a path could lead to. */
	const struct CMUnitTest of_trees[] = {
		guest_test(links_swapped_during_a_put_lead_nowhere_outside),
	};
	const struct CMUnitTest of_machines[] = {
		guest_test(files_of_a_machine_need_it_to_run),
	};
	int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);

	if (is_machine())
		failed += cmocka_run_group_tests_name(name, of_machines, NULL, NULL);
	else if (is_tree())
		failed += cmocka_run_group_tests_name(name, of_trees, NULL, NULL);
	return failed;
}
