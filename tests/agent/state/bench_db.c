/* How long a transaction takes, from db_submit to its callback on the loop: prints the median and
 * the 99th percentile for single ones with and without an fsync, and the time for a thousand
 * durable ones at once. The state is made in the directory given, or in the working directory. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#include "agent/state/db.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

enum { SINGLE = 2000, CROWD = 1000 };

static unsigned g_called;

static void count(void *data, int r, const struct err *err)
{
	(void)data;
	if (r < 0) {
		fprintf(stderr, "%s\n", err->message);
		exit(1);
	}
	g_called++;
}

static void run_until(sd_event *loop, unsigned called)
{
	while (g_called < called)
		sd_event_run(loop, UINT64_MAX);
}

/* What a step of an operation writes. */
static struct db_txn *journal(unsigned i)
{
	struct db_txn *txn = db_txn_create();
	char id[OPERATION_ID_LEN + 1];

	if (!txn)
		abort();
	snprintf(id, sizeof(id), "%016x", i % 16);
	db_put_step(txn, id, OPERATION_RUNNING, i % 8, "volume");
	return txn;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void single(sd_event *loop, struct db *db, bool durable, unsigned times)
{
	static int64_t taken[SINGLE];

	for (unsigned i = 0; i < times; i++) {
		int64_t start = clock_monotonic_ns();

		g_called = 0;
		db_submit(db, journal(i), durable, count, NULL);
		run_until(loop, 1);
		taken[i] = clock_monotonic_ns() - start;
	}
	qsort(taken, times, sizeof(taken[0]), by_time);
	printf("%-12s one after the other: p50 %6.0f us, p99 %6.0f us\n",
		durable ? "durable" : "not durable", taken[times / 2] / 1e3,
		taken[times * 99 / 100] / 1e3);
}

static void crowd(sd_event *loop, struct db *db, bool durable)
{
	int64_t start = clock_monotonic_ns();

	g_called = 0;
	for (unsigned i = 0; i < CROWD; i++)
		db_submit(db, journal(i), durable, count, NULL);
	run_until(loop, CROWD);
	printf("%-12s %u at once: %.1f ms\n", durable ? "durable" : "not durable", CROWD,
		(clock_monotonic_ns() - start) / 1e6);
}

static void put_operations(struct db *db)
{
	struct db_txn *txn = db_txn_create();

	if (!txn)
		abort();
	for (unsigned i = 0; i < 16; i++) {
		struct operation operation = {.verb = "guest.start", .state = OPERATION_RUNNING};

		snprintf(operation.id, sizeof(operation.id), "%016x", i);
		db_put_operation(txn, &operation, NULL, NULL, NULL);
	}
	db_submit(db, txn, true, NULL, NULL);
	db_flush(db, NULL);
}

int main(int argc, char **argv)
{
	char dir[256], path[300];
	struct rusage usage;
	sd_event *loop;
	struct db *db;
	struct err err;

	snprintf(dir, sizeof(dir), "%s/bench-XXXXXX", argc > 1 ? argv[1] : ".");
	if (!mkdtemp(dir) || sd_event_new(&loop) < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	if (db_open(loop, path, false, &db, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	put_operations(db);
	single(loop, db, false, SINGLE);
	single(loop, db, true, 300);
	crowd(loop, db, false);
	crowd(loop, db, true);
	getrusage(RUSAGE_SELF, &usage);
	printf("peak memory %ld KiB\n", usage.ru_maxrss);
	db_close(db);
	sd_event_unref(loop);
	return file_remove_tree(dir) < 0;
}
