/* The writer thread.
 *
 * It takes what has gathered in the queue as one group and commits it in one SQLite transaction. In
 * WAL mode a commit appends to the log; PRAGMA synchronous decides whether it also waits for the
 * disk. A group that holds a durable transaction is committed with FULL (one fsync of the log,
 * which covers all commits before it too), any other with NORMAL (no fsync). Transactions at the
 * head of the queue that need no fsync go first, in a group of their own: they do not wait for one.
 *
 * A group that fails is rolled back and its transactions are tried again one by one, so that only
 * those fail that must.
 *
 * The log is copied into the file (checkpointed) when nobody has asked for anything for a moment,
 * or when it has grown too long to wait for that. */
#include "agent/state/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "agent/state/mark.h"
#include "agent/state/sqlite.h"
#include "agent/state/txn.h"
#include "base/fault.h"
#include "base/log.h"

#define GROUP_MAX	  4096
#define CHECKPOINT_PAGES  1000 /* a log this long is checkpointed in the next pause */
#define CHECKPOINT_LATEST 4000 /* and this long at once */
#define PAUSE_NS	  (100 * 1000 * 1000)
#define STACK_SIZE	  (512 * 1024)

enum sync { SYNC_UNSET, SYNC_NORMAL, SYNC_FULL };

struct writer {
	struct mailbox *mailbox;
	int mark_fd;
	pthread_t thread;
	bool started;

	/* The thread's. */
	sqlite3 *conn;
	sqlite3_stmt *writes[WRITE_MAX_];
	sqlite3_stmt *begin, *commit, *rollback, *count;
	enum sync sync;
	int64_t durable;
	int log_pages, log_checked; /* length of the log; length at the last checkpoint */
	bool sync_failed;

	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	struct db_txn *first, **end;
	bool stopping;
};

/* --- The queue --------------------------------------------------------------------------------
 */

void writer_submit(struct writer *writer, struct db_txn *txn)
{
	txn->next = NULL;
	pthread_mutex_lock(&writer->lock);
	*writer->end = txn;
	writer->end = &txn->next;
	pthread_mutex_unlock(&writer->lock);
	/* After the unlock: who wakes up must not run into the lock at once. */
	pthread_cond_signal(&writer->wakeup);
}

/* Cuts a group off the queue: those at its head that are not durable, or, from a durable one on,
 * all. */
static struct db_txn *cut(struct writer *writer)
{
	struct db_txn *group = writer->first, *last = group;
	bool durable = group->durable;

	for (unsigned n = 1; n < GROUP_MAX && last->next && (durable || !last->next->durable); n++)
		last = last->next;
	writer->first = last->next;
	last->next = NULL;
	if (!writer->first)
		writer->end = &writer->first;
	return group;
}

static bool checkpoint_wanted(const struct writer *writer)
{
	return writer->log_pages >= writer->log_checked + CHECKPOINT_PAGES;
}

/* Waits for work. True with a group, or with NULL when a pause is long enough for a checkpoint;
 * false at the end. */
static bool next_group(struct writer *writer, struct db_txn **ret)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PAUSE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&writer->lock);
	while (!writer->first && !writer->stopping && r == 0)
		r = checkpoint_wanted(writer) ? pthread_cond_clockwait(&writer->wakeup,
							&writer->lock, CLOCK_MONOTONIC, &until)
					      : pthread_cond_wait(&writer->wakeup, &writer->lock);
	*ret = writer->first ? cut(writer) : NULL;
	r = *ret || !writer->stopping;
	pthread_mutex_unlock(&writer->lock);
	return r;
}

/* --- Committing -------------------------------------------------------------------------------
 */

static int step(struct writer *writer, sqlite3_stmt *stmt, struct err *err)
{
	int r = sqlite3_step(stmt) == SQLITE_DONE
			? 0
			: sqlite_fail(writer->conn, err, "cannot write the state");

	sqlite3_reset(stmt);
	return r;
}

static int set_sync(struct writer *writer, bool durable, struct err *err)
{
	enum sync sync = durable ? SYNC_FULL : SYNC_NORMAL;
	int r;

	if (writer->sync == sync)
		return 0;
	r = sqlite_run(writer->conn,
		durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
	if (r == 0)
		writer->sync = sync;
	return r;
}

/* After an fsync that failed the kernel may have dropped what it could not write, and the next
 * fsync succeeds all the same. So before anything is called durable again, all of the log is copied
 * into the file and that is synced. */
static int recover_sync(struct writer *writer, struct err *err)
{
	if (!writer->sync_failed)
		return 0;
	if (sqlite3_wal_checkpoint_v2(writer->conn, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL) !=
		SQLITE_OK)
		return sqlite_fail(writer->conn, err, "cannot write the state");
	writer->sync_failed = false;
	return 0;
}

static int apply_group(struct writer *writer, struct db_txn *group, bool durable, struct err *err)
{
	int r = 0;

	for (struct db_txn *txn = group; r == 0 && txn; txn = txn->next)
		r = txn_apply(txn, writer->conn, writer->writes, err);
	if (r == 0 && durable) {
		sqlite3_bind_int64(writer->count, 1, writer->durable + 1);
		r = step(writer, writer->count, err);
	}
	return r < 0 ? r : step(writer, writer->commit, err);
}

/* One SQLite transaction for all of the group. */
static int commit(struct writer *writer, struct db_txn *group, bool durable, struct err *err)
{
	int r = recover_sync(writer, err);

	if (r == 0)
		r = set_sync(writer, durable, err);
	if (r == 0)
		r = step(writer, writer->begin, err);
	if (r < 0)
		return r;
	(void)fault_point("state.commit.before");
	r = apply_group(writer, group, durable, err);
	if (r < 0) {
		if (sqlite3_extended_errcode(writer->conn) == SQLITE_IOERR_FSYNC)
			writer->sync_failed = true;
		if (!sqlite3_get_autocommit(writer->conn))
			step(writer, writer->rollback, NULL);
		return r;
	}
	(void)fault_point("state.commit.after");
	if (durable)
		mark_write(writer->mark_fd, ++writer->durable);
	return 0;
}

static void commit_alone(struct writer *writer, struct db_txn *txn)
{
	struct db_txn *next = txn->next;

	txn->next = NULL;
	txn->result = commit(writer, txn, txn->durable, &txn->error);
	txn->next = next;
}

static void commit_group(struct writer *writer, struct db_txn *group)
{
	struct db_txn *next;

	if (!group->next)
		commit_alone(writer, group);
	else if (commit(writer, group, group->durable, NULL) < 0)
		for (struct db_txn *txn = group; txn; txn = txn->next)
			commit_alone(writer, txn);
	for (struct db_txn *txn = group; txn; txn = next) {
		next = txn->next;
		mailbox_post(writer->mailbox, &txn->mail);
	}
}

static int on_commit(void *data, sqlite3 *conn, const char *name, int pages)
{
	struct writer *writer = data;

	(void)conn;
	(void)name;
	/* A shorter log than before was begun anew, after a checkpoint. */
	if (pages < writer->log_pages)
		writer->log_checked = 0;
	writer->log_pages = pages;
	return SQLITE_OK;
}

/* A checkpoint that a reader held up, or that failed, is tried again after as many pages more. */
static void checkpoint(struct writer *writer)
{
	writer->log_checked = writer->log_pages;
	if (sqlite3_wal_checkpoint_v2(writer->conn, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) !=
		SQLITE_OK)
		log_warning("state.checkpoint.failed", "reason=%s",
			LOG_Q(sqlite3_errmsg(writer->conn)));
}

static void *run(void *data)
{
	struct writer *writer = data;
	struct db_txn *group;

	while (next_group(writer, &group)) {
		if (group)
			commit_group(writer, group);
		if (!group || (checkpoint_wanted(writer) && writer->log_pages >= CHECKPOINT_LATEST))
			checkpoint(writer);
	}
	return NULL;
}

/* --- Beginning and end ------------------------------------------------------------------------
 */

static int prepare(struct writer *writer, struct err *err)
{
	const struct {
		const char *sql;
		sqlite3_stmt **stmt;
	} statements[] = {
		{"BEGIN IMMEDIATE", &writer->begin},
		{"COMMIT", &writer->commit},
		{"ROLLBACK", &writer->rollback},
		{"UPDATE meta SET durable = ?", &writer->count},
	};
	int r = txn_prepare(writer->conn, writer->writes, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(statements); i++)
		r = sqlite_prepare(writer->conn, statements[i].sql, statements[i].stmt, err);
	sqlite3_wal_hook(writer->conn, on_commit, writer);
	return r;
}

static int start(struct writer *writer, struct err *err)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&writer->thread, &attr, run, writer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return err_errno(err, r, "cannot start the thread that writes the state");
	writer->started = true;
	pthread_setname_np(writer->thread, "state");
	return 0;
}

int writer_create(sqlite3 *conn, int mark_fd, int64_t durable, struct mailbox *mailbox,
	struct writer **ret, struct err *err)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer) {
		sqlite_disconnect(conn);
		return err_errno(err, ENOMEM, "cannot open the state");
	}
	*writer = (struct writer){
		.mailbox = mailbox, .mark_fd = mark_fd, .conn = conn, .durable = durable};
	writer->end = &writer->first;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->wakeup, NULL);
	r = prepare(writer, err);
	if (r == 0)
		r = start(writer, err);
	if (r < 0) {
		writer_destroy(writer);
		return r;
	}
	*ret = writer;
	return 0;
}

struct writer *writer_destroy(struct writer *writer)
{
	if (!writer)
		return NULL;
	pthread_mutex_lock(&writer->lock);
	writer->stopping = true;
	pthread_cond_signal(&writer->wakeup);
	pthread_mutex_unlock(&writer->lock);
	if (writer->started)
		pthread_join(writer->thread, NULL);
	for (unsigned i = 0; i < WRITE_MAX_; i++)
		sqlite3_finalize(writer->writes[i]);
	sqlite3_finalize(writer->begin);
	sqlite3_finalize(writer->commit);
	sqlite3_finalize(writer->rollback);
	sqlite3_finalize(writer->count);
	sqlite_disconnect(writer->conn);
	pthread_cond_destroy(&writer->wakeup);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
	return NULL;
}
