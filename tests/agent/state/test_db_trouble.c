/* state.db where the host fails it: a full disk, a read-only one, a disk whose fsync fails, and a
 * hundred thousand transactions, after which nothing has grown. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "fixture.h"
#include "vfs.h"

static struct db_txn *big_txn(uint64_t number)
{
	static char json[20000];
	struct db_txn *txn = db_txn_create();

	assert_non_null(txn);
	if (!json[0]) {
		memset(json, ' ', sizeof(json) - 1);
		memcpy(json, "{}", 2);
	}
	db_put_event(txn, number, 1000, json);
	return txn;
}

static void writes_that_fail_are_reported_and_later_ones_work(void **state)
{
	static const struct {
		int code;
		enum err_code error;
	} cases[] = {{SQLITE_FULL, ERR_NO_ROOM}, {SQLITE_IOERR_WRITE, ERR_INTERNAL},
		{SQLITE_READONLY, ERR_INTERNAL}};
	struct fixture *fixture = *state;

	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "active"), true, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int durable = 0; durable < 2; durable++) {
			struct err err;

			vfs_fail_writes(cases[i].code);
			assert_true(fixture_commit(fixture, fixture_set("mode", "drain"), durable,
					    &err) < 0);
			vfs_fail_writes(0);
			assert_int_equal(err.code, cases[i].error);
			assert_true(fixture_is(fixture, "mode", "active"));
			assert_int_equal(
				fixture_commit(fixture, fixture_set("n", "1"), durable, NULL), 0);
		}
	}
	fixture_close(fixture);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "active"));
}

static void after_a_failed_fsync_nothing_is_durable_before_all_is_synced_anew(void **state)
{
	struct fixture *fixture = *state;
	unsigned before;

	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "active"), false, NULL), 0);
	vfs_fail_syncs(SQLITE_IOERR_FSYNC);
	assert_true(fixture_commit(fixture, fixture_set("mode", "drain"), true, NULL) < 0);
	assert_true(fixture_commit(fixture, fixture_set("mode", "drain"), true, NULL) < 0);
	vfs_fail_syncs(0);
	before = vfs_other_syncs();
	assert_true(fixture_is(fixture, "mode", "active"));
	assert_int_equal(
		fixture_commit(fixture, fixture_set("mode", "maintenance"), true, NULL), 0);
	assert_true(vfs_other_syncs() > before);
	assert_true(fixture_is(fixture, "mode", "maintenance"));
}

/* --- A file system of its own ------------------------------------------------------------------
 */

/* Mounts a small file system over the fixture's directory, in a mount namespace of this process. */
static void mount_small(struct fixture *fixture)
{
	fixture_close(fixture);
	assert_int_equal(mount("corpus-test", fixture->dir, "tmpfs", 0, "size=1m"), 0);
	fixture_open(fixture);
}

static void unmount_small(struct fixture *fixture)
{
	fixture_close(fixture);
	assert_int_equal(umount2(fixture->dir, MNT_DETACH), 0);
}

/* Takes all room that is left. */
static void fill(const struct fixture *fixture, char name[static PATH_MAX])
{
	static const char zeros[4096];
	AUTOCLOSE int fd = -1;

	assert_int_equal(file_path(name, PATH_MAX, "%s/filler", fixture->dir), 0);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
}

static int count_event(void *data, uint64_t number, const char *json)
{
	(void)json;
	assert_int_equal(number, ++*(uint64_t *)data);
	return 0;
}

static void a_full_disk_is_reported_and_room_makes_it_work_again(void **state)
{
	struct fixture *fixture = *state;
	uint64_t written = 0, found = 0;
	char filler[PATH_MAX];
	struct err err;

	mount_small(fixture);
	fill(fixture, filler);
	while (fixture_commit(fixture, big_txn(written + 1), written % 2, &err) == 0)
		written++;
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_true(fixture_commit(fixture, big_txn(written + 1), true, &err) < 0);
	assert_int_equal(unlink(filler), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(fixture_commit(fixture, big_txn(++written), true, NULL), 0);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_int_equal(db_list_events(fixture->db, 0, 1000, count_event, &found, NULL), 0);
	assert_int_equal(found, written);
	unmount_small(fixture);
}

static void a_full_disk_keeps_a_new_state_from_being_made_but_harms_nothing(void **state)
{
	struct fixture *fixture = *state;
	char filler[PATH_MAX];
	struct err err;

	mount_small(fixture);
	fixture_close(fixture);
	assert_int_equal(unlink(fixture->path), 0);
	fill(fixture, filler);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_int_equal(unlink(filler), 0);
	fixture_open(fixture);
	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "drain"), true, NULL), 0);
	unmount_small(fixture);
}

static void a_read_only_disk_is_refused_and_leaves_the_state_alone(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	mount_small(fixture);
	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "drain"), true, NULL), 0);
	fixture_close(fixture);
	assert_int_equal(mount(NULL, fixture->dir, NULL, MS_REMOUNT | MS_RDONLY, "size=1m"), 0);
	for (int salvage = 0; salvage < 2; salvage++) {
		assert_true(db_open(fixture->loop, fixture->path, salvage, &fixture->db, &err) < 0);
		assert_non_null(strstr(err.message, "Read-only"));
	}
	assert_int_equal(mount(NULL, fixture->dir, NULL, MS_REMOUNT, "size=1m"), 0);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "drain"));
	unmount_small(fixture);
}

/* --- In the long run -------------------------------------------------------------------------- */

static unsigned open_descriptors(void)
{
	CLEANUP(closedirp) DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count;
}

static size_t resident_kib(void)
{
	AUTOFREE char *text = NULL;
	unsigned long size, resident;

	assert_int_equal(file_read("/proc/self/statm", 4096, &text, NULL), 0);
	assert_int_equal(sscanf(text, "%lu %lu", &size, &resident), 2);
	return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static off_t file_size(const struct fixture *fixture, const char *suffix)
{
	char name[PATH_MAX];
	struct stat st;

	assert_int_equal(file_path(name, sizeof(name), "%s%s", fixture->path, suffix), 0);
	assert_int_equal(stat(name, &st), 0);
	return st.st_size;
}

/* What the agent does for an operation: its row, steps, an event, its end; and now and then it
 * forgets old ones. */
static void run_operations(struct fixture *fixture, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		struct operation operation = fixture_operation(i);
		struct db_txn *txn = db_txn_create();

		db_put_operation(txn, &operation, NULL, operation.id, "0123");
		db_put_event(txn, i + 1, i, "{\"type\": \"operation\", \"state\": \"running\"}");
		db_submit(fixture->db, txn, false, NULL, NULL);
		txn = db_txn_create();
		operation.state = OPERATION_DONE;
		operation.ended_ms = i + 1;
		db_put_step(txn, operation.id, OPERATION_RUNNING, 3, "start");
		db_put_operation(txn, &operation, NULL, NULL, NULL);
		db_submit(fixture->db, txn, i % 100 == 0, NULL, NULL);
		if (i % 100 == 0)
			assert_int_equal(db_flush(fixture->db, NULL), 0);
		if (i % 1000 == 0)
			db_prune(fixture->db, (int64_t)i - 2000, 2000);
	}
	assert_int_equal(db_flush(fixture->db, NULL), 0);
}

static void a_hundred_thousand_operations_leave_nothing_grown(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	enum { WARM = 4000, COUNT = 10000, SLACK_KIB = 1 << 20 }; /* freed memory is kept back */
#else
	enum {
		WARM = 10000,
		COUNT = 100000,
		SLACK_KIB = 1024
	}; /* what waits to be written varies */
#endif
	struct fixture *fixture = *state;
	unsigned descriptors;
	size_t resident;
	off_t size;

	run_operations(fixture, 0, WARM);
	descriptors = open_descriptors();
	resident = resident_kib();
	size = file_size(fixture, "");
	run_operations(fixture, WARM, COUNT - WARM);
	assert_int_equal(open_descriptors(), descriptors);
	assert_in_range(resident_kib(), 1, resident + SLACK_KIB);
	assert_in_range(file_size(fixture, ""), 4096, size + size / 4 + (1 << 20));
	assert_in_range(file_size(fixture, "-wal"), 0, 24 << 20);
}

/* Nothing that is mounted here is seen, or left, outside. */
static int isolate(void **state)
{
	(void)state;
	vfs_install();
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_that_fail_are_reported_and_later_ones_work),
		TEST(after_a_failed_fsync_nothing_is_durable_before_all_is_synced_anew),
		TEST(a_full_disk_is_reported_and_room_makes_it_work_again),
		TEST(a_full_disk_keeps_a_new_state_from_being_made_but_harms_nothing),
		TEST(a_read_only_disk_is_refused_and_leaves_the_state_alone),
		TEST(a_hundred_thousand_operations_leave_nothing_grown),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
