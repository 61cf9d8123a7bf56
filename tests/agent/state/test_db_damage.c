/* state.db when its files are cut short or overwritten: what was called durable is there
 * afterwards, or it is said that it is not; and what salvage keeps of it. */
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

#include "base/cleanup.h"
#include "base/file.h"
#include "db_writer.h"
#include "fixture.h"

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
		TEST(a_file_cut_short_is_complete_or_refused),
		TEST(a_flipped_byte_never_crashes_and_the_log_is_complete_or_refused),
		TEST(salvage_keeps_what_lies_around_a_hole),
		TEST(a_big_file_cut_short_is_refused),
		TEST(the_damaged_file_is_kept_beside_the_salvaged_one),
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
