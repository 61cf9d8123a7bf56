/* What was begun is undone in time, and only what was begun. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/overdue.h"

#define PATIENCE_MS 60000
#define LATER_MS    5000
#define LONG_MS	    600000

static char dir[64], note[128], name[16]; /* the watchers' */

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/corpus-overdue-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(note, sizeof(note), "%s/note", dir);
	snprintf(name, sizeof(name), "over-%d", (int)getpid());
	return file_replace(note, "first", 0600, false);
}

static int tear_down(void **state)
{
	(void)state;
	return file_remove_tree(dir);
}

/* --- Watchers ----------------------------------------------------------------------------------
 */

/* One that has ended has no program any more, but a name until somebody has asked for its status.
 */
static bool is_watcher(const char *pid)
{
	AUTOFREE char *comm = NULL;
	char path[300], program[8];

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (file_read(path, 64, &comm, NULL) < 0 || !strstr(comm, name))
		return false;
	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return readlink(path, program, sizeof(program)) > 0;
}

static unsigned watchers(void)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned count = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc)))
		count += is_watcher(entry->d_name);
	closedir(proc);
	return count;
}

static void await_watchers(unsigned count)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (watchers() != count && clock_monotonic_ns() < end)
		poll(NULL, 0, 10);
	assert_int_equal(watchers(), count);
}

/* Takes away whatever is there, as who does not know of two would. */
static int undo(void *data, struct err *err)
{
	unsigned *left = data;

	if (left && *left > 0) {
		(*left)--;
		return err_set(err, ERR_UNAVAILABLE, NULL, "not now");
	}
	return unlink(note);
}

static bool is_noted(void)
{
	return access(note, F_OK) == 0;
}

static void await_undone(void)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (is_noted() && clock_monotonic_ns() < end)
		poll(NULL, 0, 10);
	assert_false(is_noted());
}

/* --- Tests -------------------------------------------------------------------------------------
 */

static void what_is_left_is_undone_until_that_succeeds(void **state)
{
	unsigned failures = 1;

	(void)state;
	assert_int_equal(0, overdue_watch(note, 1, name, undo, &failures, NULL));
	await_undone();
	await_watchers(0);
}

static void one_who_undoes_it_ends_the_watch(void **state)
{
	(void)state;
	assert_int_equal(0, overdue_watch(note, LONG_MS, name, undo, NULL, NULL));
	await_watchers(1);
	assert_int_equal(0, overdue_end(note, undo, NULL, NULL));
	assert_false(is_noted());
	await_watchers(0);
}

static void what_is_begun_anew_is_not_undone_by_the_watch_of_what_was(void **state)
{
	(void)state;
	assert_int_equal(0, overdue_watch(note, LATER_MS, name, undo, NULL, NULL));
	await_watchers(1);
	assert_int_equal(0, file_replace(note, "second", 0600, false));
	await_watchers(0);
	assert_true(is_noted());
}

static void what_fails_stays_noted_and_what_is_not_is_no_error(void **state)
{
	unsigned failures = 1;
	struct err err = {0};

	(void)state;
	assert_true(overdue_end(note, undo, &failures, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_true(is_noted());
	assert_int_equal(0, overdue_end(note, undo, &failures, NULL));
	assert_int_equal(0, overdue_end(note, undo, &failures, NULL));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_left_is_undone_until_that_succeeds),
		TEST(one_who_undoes_it_ends_the_watch),
		TEST(what_is_begun_anew_is_not_undone_by_the_watch_of_what_was),
		TEST(what_fails_stays_noted_and_what_is_not_is_no_error),
	};

	return cmocka_run_group_tests_name("overdue", tests, NULL, NULL);
}
