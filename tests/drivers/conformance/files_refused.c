/* What drivers refuse of files of guests: paths that are none, what is no file, transfers that are
 * cut off, and all that would lead out of the guest's root. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "file_words.h"
#include "groups.h"

#define RACES 40

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
	define_guest(GUEST_B, ROOTFS_PLAIN);
	call_fails(request, ERR_ILLEGAL_STATE);
	destroy_guest(GUEST_B);
	call_fails(request, ERR_NOT_FOUND);
}

int files_refused_run(const char *name)
{
	const bool has_small = environment()->small_directory != NULL;
	const struct CMUnitTest tests[] = {
		guest_test(bad_paths_are_refused),
		guest_test(devices_and_fifos_are_never_opened),
		guest_test(a_reader_that_goes_ends_the_call),
		guest_test_if(subject_is_process(subject()),
			a_transfer_that_hangs_ends_at_its_deadline_and_leaves_nothing),
		guest_test_if(has_small, a_full_file_system_is_told_and_keeps_nothing),
		guest_test(links_lead_nowhere_outside),
		/* There is nothing outside a machine that a path could lead to. */
		guest_test_if(is_tree(), links_swapped_during_a_put_lead_nowhere_outside),
		guest_test_if(is_machine(), files_of_a_machine_need_it_to_run),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
