/* state.db and violence: kill -9 at any instant, files cut short or overwritten, a foreign file, a
 * newer schema, a second agent. What was called durable is there afterwards, or it is said that it
 * is not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "fixture.h"

#define DEADLINE_US (60 * 1000 * 1000ULL)

/* --- kill -9 ---------------------------------------------------------------------------------- */

/* What a child tells of its progress; shared with it. */
struct progress {
	atomic_uint any, durable; /* number of the last transaction called back */
};

struct writing {
	struct progress *progress;
	unsigned number;
	bool durable;
};

static void note_progress(void *data, int r, const struct err *err)
{
	struct writing *writing = data;

	(void)err;
	if (r < 0)
		_exit(2);
	atomic_store(&writing->progress->any, writing->number);
	if (writing->durable)
		atomic_store(&writing->progress->durable, writing->number);
	free(writing);
}

/* Transaction `number`: an event and a setting that go together. */
static struct db_txn *numbered_txn(unsigned number)
{
	char text[16];
	struct db_txn *txn;

	snprintf(text, sizeof(text), "%u", number);
	txn = fixture_set("last", text);
	db_put_event(txn, number, 1000, "{\"text\": \"something that happened to a guest\"}");
	return txn;
}

/* In the child: writes until it is killed, or `count` transactions and then waits for it. Some are
 * under way at any time; every third is durable. */
static void write_on(const char *path, struct progress *progress, unsigned from, unsigned count)
{
	sd_event *loop;
	struct db *db;

	if (sd_event_new(&loop) < 0 || db_open(loop, path, false, &db, NULL) < 0)
		_exit(1);
	for (unsigned number = from; number < from + count; number++) {
		struct writing *writing = malloc(sizeof(*writing));

		*writing = (struct writing){progress, number, number % 3 == 0};
		db_submit(db, numbered_txn(number), writing->durable, note_progress, writing);
		while (atomic_load(&progress->any) + 8 < number)
			sd_event_run(loop, UINT64_MAX);
	}
	db_flush(db, NULL);
	for (;;)
		pause();
}

static pid_t start_writer(
	const char *path, struct progress *progress, unsigned from, unsigned count)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		write_on(path, progress, from, count);
	return pid;
}

static void wait_for_progress(struct progress *progress, pid_t pid, unsigned number)
{
	int64_t end = clock_monotonic_ns() + DEADLINE_US * 1000;

	while (atomic_load(&progress->any) < number) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		assert_true(clock_monotonic_ns() < end);
	}
}

static void kill_writer(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static struct progress *progress_new(void)
{
	struct progress *progress = mmap(
		NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(progress != MAP_FAILED);
	return progress;
}

static int check_next(void *data, uint64_t number, const char *json)
{
	(void)json;
	assert_int_equal(number, ++*(uint64_t *)data);
	return 0;
}

/* All events from 1 on without a gap, and the setting of the last of them: its number. */
static unsigned check_content(struct fixture *fixture)
{
	uint64_t last = 0;
	char text[16];

	assert_int_equal(db_list_events(fixture->db, 0, 100000, check_next, &last, NULL), 0);
	snprintf(text, sizeof(text), "%u", (unsigned)last);
	assert_true(last == 0 || fixture_is(fixture, "last", text));
	return (unsigned)last;
}

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

/* --- Damaged files ---------------------------------------------------------------------------- */

/* The files of a state as a killed agent leaves them: some in the file, the rest in the log. */
struct files {
	char *text[3];
	size_t size[3];
	unsigned durable; /* the last durable transaction */
	unsigned last;
};

static const char *const SUFFIXES[] = {"", "-wal", "-mark"};
enum { FILE_DB, FILE_LOG, FILE_MARK, FILES_COUNT };

static void file_name(const struct fixture *fixture, unsigned i, char name[static PATH_MAX])
{
	assert_int_equal(file_path(name, PATH_MAX, "%s%s", fixture->path, SUFFIXES[i]), 0);
}

static void load_files(const struct fixture *fixture, struct files *files)
{
	char name[PATH_MAX];

	for (unsigned i = 0; i < FILES_COUNT; i++) {
		file_name(fixture, i, name);
		assert_int_equal(file_read(name, 64 << 20, &files->text[i], &files->size[i]), 0);
	}
}

/* Empties the directory and puts the files there, file `which` cut to `size` or with its byte at
 * `flip` changed. */
static void place_files(const struct fixture *fixture, const struct files *files, unsigned which,
	size_t size, size_t flip)
{
	char name[PATH_MAX];

	assert_int_equal(file_remove_tree(fixture->dir), 0);
	assert_int_equal(mkdir(fixture->dir, 0700), 0);
	for (unsigned i = 0; i < FILES_COUNT; i++) {
		AUTOCLOSE int fd = -1;
		char byte;

		file_name(fixture, i, name);
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(
			file_write_all(fd, files->text[i], i == which ? size : files->size[i]), 0);
		if (i != which || flip == SIZE_MAX)
			continue;
		byte = (char)(files->text[i][flip] ^ 0x55);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)flip), 1);
	}
}

static void free_files(struct files *files)
{
	for (unsigned i = 0; i < FILES_COUNT; i++)
		free(files->text[i]);
}

static void make_files(struct fixture *fixture, struct files *files)
{
	enum { IN_FILE = 120, IN_LOG = 60 };
	struct progress *progress = progress_new();
	pid_t pid;

	for (unsigned i = 1; i <= IN_FILE; i++)
		assert_int_equal(fixture_commit(fixture, numbered_txn(i), i % 3 == 0, NULL), 0);
	fixture_close(fixture); /* moves the log into the file */
	pid = start_writer(fixture->path, progress, IN_FILE + 1, IN_LOG);
	wait_for_progress(progress, pid, IN_FILE + IN_LOG);
	kill_writer(pid);
	load_files(fixture, files);
	files->durable = atomic_load(&progress->durable);
	files->last = atomic_load(&progress->any);
	assert_int_equal(files->durable, IN_FILE + IN_LOG);
	munmap(progress, sizeof(*progress));
}

static void assert_untouched(const struct fixture *fixture, unsigned which, size_t size)
{
	char name[PATH_MAX];
	struct stat st;

	file_name(fixture, which, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, size);
}

static int count_event(void *data, uint64_t number, const char *json)
{
	(void)number;
	(void)json;
	++*(unsigned *)data;
	return 0;
}

/* Salvage must always lead to a state that works. Returns the events kept. */
static unsigned salvage(struct fixture *fixture)
{
	unsigned kept = 0;
	struct err err;

	if (db_open(fixture->loop, fixture->path, true, &fixture->db, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(db_list_events(fixture->db, 0, 100000, count_event, &kept, NULL), 0);
	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "drain"), true, NULL), 0);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "drain"));
	fixture_close(fixture);
	return kept;
}

/* Opens what place_files made: complete, or refused and left alone. True when it was refused. */
static bool refused(struct fixture *fixture, const struct files *files, unsigned which, size_t size)
{
	struct err err;

	if (db_open(fixture->loop, fixture->path, false, &fixture->db, &err) == 0) {
		assert_true(check_content(fixture) >= files->durable);
		fixture_close(fixture);
		return false;
	}
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "--salvage"));
	assert_untouched(fixture, which, size);
	return true;
}

static void a_file_cut_short_is_complete_or_refused(void **state)
{
	struct fixture *fixture = *state;
	struct files files;

	make_files(fixture, &files);
	for (unsigned which = FILE_DB; which <= FILE_LOG; which++) {
		size_t step = files.size[which] / 40 | 1;
		unsigned refusals = 0;

		for (size_t size = 0; size < files.size[which]; size += step) {
			place_files(fixture, &files, which, size, SIZE_MAX);
			if (!refused(fixture, &files, which, size))
				continue;
			refusals++;
			salvage(fixture);
		}
		assert_true(refusals > 0);
	}
	free_files(&files);
}

static void a_flipped_byte_never_crashes_and_the_log_is_complete_or_refused(void **state)
{
	struct fixture *fixture = *state;
	struct files files;

	make_files(fixture, &files);
	for (unsigned which = FILE_DB; which <= FILE_LOG; which++) {
		size_t size = files.size[which];

		for (size_t at = 0; at < size; at += at < 100 ? 7 : size / 40 | 1) {
			struct err err;

			place_files(fixture, &files, which, size, at);
			if (which == FILE_LOG) {
				refused(fixture, &files, which, size);
				continue;
			}
			if (db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0)
				assert_true(
					err.code == ERR_UNAVAILABLE || err.code == ERR_UNSUPPORTED);
			fixture_close(fixture);
		}
	}
	free_files(&files);
}

static void salvage_keeps_what_lies_around_a_hole(void **state)
{
	struct fixture *fixture = *state;
	char name[PATH_MAX], hole[512];
	unsigned kept;
	struct stat st;
	int fd;

	for (unsigned i = 1; i <= 2000; i++)
		db_submit(fixture->db, numbered_txn(i), i == 2000, NULL, NULL);
	fixture_close(fixture);
	file_name(fixture, FILE_DB, name);
	fd = open(name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	memset(hole, 0xa5, sizeof(hole));
	assert_true(pwrite(fd, hole, sizeof(hole), st.st_size / 2 / 4096 * 4096) > 0);
	close(fd);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, NULL) < 0);
	kept = salvage(fixture);
	assert_in_range(kept, 1800, 1999);
}

static void a_big_file_cut_short_is_refused(void **state)
{
	struct fixture *fixture = *state;
	AUTOFREE char *json = calloc(1, 1 << 20);
	struct db_txn *txn = fixture_set("mode", "drain");
	struct err err;
	struct stat st;

	memset(json, ' ', (1 << 20) - 1);
	memcpy(json, "{}", 2);
	for (unsigned i = 1; i <= 20; i++)
		db_put_event(txn, i, 1000, json);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "drain"));
	fixture_close(fixture);
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_true(st.st_size > 20 << 20);
	for (int i = 1; i < 10; i++) {
		assert_int_equal(
			truncate(fixture->path, st.st_size - i * (st.st_size / 10) - i), 0);
		assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
	}
}

static bool is_damaged_copy(const char *name)
{
	return strncmp(name, "state.db.damaged-", strlen("state.db.damaged-")) == 0 &&
	       !strstr(name, "-wal");
}

static unsigned damaged_copies(const struct fixture *fixture)
{
	CLEANUP(closedirp) DIR *dir = opendir(fixture->dir);
	unsigned count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += is_damaged_copy(entry->d_name);
	return count;
}

static void the_damaged_file_is_kept_beside_the_salvaged_one(void **state)
{
	struct fixture *fixture = *state;
	struct files files;

	make_files(fixture, &files);
	place_files(fixture, &files, FILE_LOG, files.size[FILE_LOG] / 2, SIZE_MAX);
	assert_true(refused(fixture, &files, FILE_LOG, files.size[FILE_LOG] / 2));
	assert_int_equal(damaged_copies(fixture), 0);
	assert_in_range(salvage(fixture), 120, 179);
	assert_int_equal(damaged_copies(fixture), 1);
	free_files(&files);
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
	struct files files;
	struct err err;

	assert_int_equal(fixture_commit(fixture, numbered_txn(1), true, NULL), 0);
	fixture_close(fixture);
	assert_int_equal(file_read(fixture->path, 64 << 20, &files.text[0], &files.size[0]), 0);
	fixture_open(fixture);
	assert_int_equal(fixture_commit(fixture, numbered_txn(2), true, NULL), 0);
	fixture_close(fixture);
	{
		AUTOCLOSE int fd = open(fixture->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

		assert_int_equal(file_write_all(fd, files.text[0], files.size[0]), 0);
	}
	free(files.text[0]);
	assert_true(db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "missing"));
	file_name(fixture, FILE_MARK, mark);
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

#ifdef CORPUS_FAULTS
/* What this program does when it is run with a path: salvage that state. */
static int salvage_main(const char *path)
{
	sd_event *loop;
	struct db *db;

	return sd_event_new(&loop) < 0 || db_open(loop, path, true, &db, NULL) < 0;
}

/* Runs that, killed at a fault point on the way. */
static void salvage_and_die(struct fixture *fixture, const char *point)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char rule[96];

		snprintf(rule, sizeof(rule), "%s=kill", point);
		setenv("CORPUS_FAULT", rule, 1);
		execl("/proc/self/exe", "salvage", fixture->path, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void salvage_survives_kill_at_each_of_its_steps(void **state)
{
	static const char *const points[] = {
		"state.salvage.built", "state.salvage.log_moved", "state.salvage.file_moved"};
	struct fixture *fixture = *state;
	unsigned kept;
	size_t cut;
	struct files files;

	make_files(fixture, &files);
	cut = files.size[FILE_LOG] - 1;
	place_files(fixture, &files, FILE_LOG, cut, SIZE_MAX);
	kept = salvage(fixture);
	assert_in_range(kept, 120, 179);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		place_files(fixture, &files, FILE_LOG, cut, SIZE_MAX);
		salvage_and_die(fixture, points[i]);
		assert_int_equal(salvage(fixture), kept);
	}
	free_files(&files);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_called_back_is_lost_by_kill_at_any_instant),
		TEST(a_file_cut_short_is_complete_or_refused),
		TEST(a_flipped_byte_never_crashes_and_the_log_is_complete_or_refused),
		TEST(salvage_keeps_what_lies_around_a_hole),
		TEST(a_big_file_cut_short_is_refused),
		TEST(the_damaged_file_is_kept_beside_the_salvaged_one),
		TEST(a_state_that_is_gone_is_refused),
		TEST(an_older_copy_put_back_is_refused_until_the_mark_is_removed),
		TEST(a_foreign_file_is_refused),
		TEST(a_missing_table_is_refused),
		TEST(a_newer_schema_is_refused_even_to_salvage),
		TEST(a_second_agent_is_kept_out),
#ifdef CORPUS_FAULTS
		TEST(salvage_survives_kill_at_each_of_its_steps),
#endif
	};

#ifdef CORPUS_FAULTS
	if (argc > 1)
		return salvage_main(argv[1]);
#else
	(void)argc;
	(void)argv;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
