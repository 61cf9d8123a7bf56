/* Writers of a state that are killed, and what is found then. */
#include "db_writer.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fixture.h"

#define DEADLINE_US (60 * 1000 * 1000ULL)

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

struct db_txn *numbered_txn(unsigned number)
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

pid_t start_writer(const char *path, struct progress *progress, unsigned from, unsigned count)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		write_on(path, progress, from, count);
	return pid;
}

void wait_for_progress(struct progress *progress, pid_t pid, unsigned number)
{
	int64_t end = clock_monotonic_ns() + DEADLINE_US * 1000;

	while (atomic_load(&progress->any) < number) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		assert_true(clock_monotonic_ns() < end);
	}
}

void kill_writer(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct progress *progress_new(void)
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

unsigned check_content(struct fixture *fixture)
{
	uint64_t last = 0;
	char text[16];

	assert_int_equal(db_list_events(fixture->db, 0, 100000, check_next, &last, NULL), 0);
	snprintf(text, sizeof(text), "%u", (unsigned)last);
	assert_true(last == 0 || fixture_is(fixture, "last", text));
	return (unsigned)last;
}

static int count_event(void *data, uint64_t number, const char *json)
{
	(void)number;
	(void)json;
	++*(unsigned *)data;
	return 0;
}

unsigned salvage(struct fixture *fixture)
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

static bool is_damaged_copy(const char *name)
{
	return strncmp(name, "state.db.damaged-", strlen("state.db.damaged-")) == 0 &&
	       !strstr(name, "-wal");
}

unsigned damaged_copies(const struct fixture *fixture)
{
	CLEANUP(closedirp) DIR *dir = opendir(fixture->dir);
	unsigned count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += is_damaged_copy(entry->d_name);
	return count;
}
