/* state.db and violence: kill -9 at any instant, a file that is gone, older or foreign, a newer
 * schema, a second agent. What was called durable is there afterwards, or it is said that it is
 * not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/random.h"
#include "db_writer.h"
#include "fixture.h"

static void nothing_called_back_is_lost_by_kill_at_any_instant(void **state)
{
	enum { ROUNDS = 25 };
	struct fixture *fixture = *state;
	struct progress *progress = progress_new();
	unsigned last = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned char random[2];
		unsigned until;
		pid_t pid;

		random_bytes(random, sizeof(random));
		until = last + 1 + random[0] % 60;
		fixture_close(fixture);
		pid = start_writer(fixture->path, progress, last + 1, 100000);
		wait_for_progress(progress, pid, until);
		for (unsigned i = 0; i < random[1] * 50u; i++)
			atomic_load(&progress->any); /* some instant between two transactions */
		kill_writer(pid);
		fixture_open(fixture);
		last = check_content(fixture);
		assert_true(last >= atomic_load(&progress->any));
		atomic_store(&progress->any, last);
	}
	munmap(progress, sizeof(*progress));
}

static void a_state_that_is_gone_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	assert_int_equal(fixture_commit(fixture, numbered_txn(1), true, NULL), 0);
	fixture_close(fixture);
	assert_int_equal(unlink(fixture->path), 0);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_true(access(fixture->path, F_OK) < 0);
	assert_int_equal(salvage(fixture), 0);
}

static void an_older_copy_put_back_is_refused_until_the_mark_is_removed(void **state)
{
	struct fixture *fixture = *state;
	char mark[PATH_MAX];
	char *older = NULL;
	size_t size;
	struct err err;

	assert_int_equal(fixture_commit(fixture, numbered_txn(1), true, NULL), 0);
	fixture_close(fixture);
	assert_int_equal(file_read(fixture->path, 64 << 20, &older, &size), 0);
	fixture_open(fixture);
	assert_int_equal(fixture_commit(fixture, numbered_txn(2), true, NULL), 0);
	fixture_close(fixture);
	{
		AUTOCLOSE int fd = open(fixture->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

		assert_int_equal(file_write_all(fd, older, size), 0);
	}
	free(older);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "missing"));
	assert_int_equal(file_path(mark, sizeof(mark), "%s-mark", fixture->path), 0);
	assert_non_null(strstr(err.message, mark));
	assert_int_equal(unlink(mark), 0);
	fixture_open(fixture);
	assert_int_equal(check_content(fixture), 1);
}

static void a_foreign_file_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	fixture_close(fixture);
	assert_int_equal(
		file_replace(fixture->path, "This is a letter to my aunt.\n", 0600, false), 0);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(salvage(fixture), 0);
}

/* Runs SQL on the closed file, as an operator would. */
static void run_sql(const struct fixture *fixture, const char *sql)
{
	sqlite3 *conn;

	assert_int_equal(sqlite3_open(fixture->path, &conn), SQLITE_OK);
	assert_int_equal(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static void a_missing_table_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	fixture_close(fixture);
	run_sql(fixture, "DROP TABLE guests");
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void a_newer_schema_is_refused_even_to_salvage(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	fixture_close(fixture);
	run_sql(fixture, "PRAGMA user_version = 1000");
	for (int i = 0; i < 2; i++) {
		assert_true(db_open(fixture->loop, fixture->path, i, &fixture->db, &err) < 0);
		assert_int_equal(err.code, ERR_UNSUPPORTED);
		assert_non_null(strstr(err.message, "1000"));
	}
	assert_int_equal(damaged_copies(fixture), 0);
}

static void a_second_agent_is_kept_out(void **state)
{
	struct fixture *fixture = *state;
	struct db *second;
	struct err err;

	assert_true(db_open(fixture->loop, fixture->path, true, &second, &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_int_equal(fixture_commit(fixture, numbered_txn(1), true, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_called_back_is_lost_by_kill_at_any_instant),
		TEST(a_state_that_is_gone_is_refused),
		TEST(an_older_copy_put_back_is_refused_until_the_mark_is_removed),
		TEST(a_foreign_file_is_refused),
		TEST(a_missing_table_is_refused),
		TEST(a_newer_schema_is_refused_even_to_salvage),
		TEST(a_second_agent_is_kept_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
