/* The opened state: opening and closing, and the way of a transaction to the writer and back. */
#include "agent/state/db.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/core/mailbox.h"
#include "agent/state/check.h"
#include "agent/state/internal.h"
#include "agent/state/mark.h"
#include "agent/state/salvage.h"
#include "agent/state/sqlite.h"
#include "agent/state/txn.h"
#include "agent/state/writer.h"
#include "base/err.h"
#include "base/log.h"

static int advise(struct err *err, const struct err *damage, const char *path)
{
	return err_set(err, ERR_UNAVAILABLE, NULL,
		"%.200s; it was left as it is: start with --salvage to keep what can be read of "
		"it, or put a backup in its place and remove %.80s-mark",
		damage->message, path);
}

/* Opens the file for writing, after a salvage where that is needed and allowed. */
static int open_file(const char *path, bool salvage, int64_t mark, sqlite3 **ret,
	int64_t *ret_durable, struct err *err)
{
	struct err damage = {0};
	int r = salvage_finish(path, err);

	if (r < 0)
		return r;
	r = check_open(path, mark, ret, ret_durable, &damage);
	if (r == SQLITE_DAMAGED && salvage) {
		log_warning("state.damaged", "reason=%s", LOG_Q(damage.message));
		r = salvage_run(path, mark, err);
		return r < 0 ? r : check_open(path, mark, ret, ret_durable, err);
	}
	if (r == SQLITE_DAMAGED)
		return advise(err, &damage, path);
	if (r < 0 && err)
		*err = damage;
	return r;
}

static int open_all(sd_event *loop, const char *path, bool salvage, struct db *db, struct err *err)
{
	sqlite3 *conn = NULL;
	int64_t mark, durable;
	int r = mark_open(path, &db->mark_fd, &mark, err);

	if (r == 0)
		r = mailbox_create(loop, &db->mailbox, err);
	if (r == 0)
		r = open_file(path, salvage, mark, &conn, &durable, err);
	if (r == 0)
		r = writer_create(conn, db->mark_fd, durable, db->mailbox, &db->writer, err);
	return r < 0 ? r : read_init(db, path, err);
}

int db_open(sd_event *loop, const char *path, bool salvage, struct db **ret, struct err *err)
{
	struct db *db = calloc(1, sizeof(*db));
	int r;

	if (!db)
		return err_errno(err, ENOMEM, "cannot open %s", path);
	db->mark_fd = -1;
	r = open_all(loop, path, salvage, db, err);
	if (r < 0) {
		db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

struct db *db_close(struct db *db)
{
	if (!db)
		return NULL;
	db->closing = true;
	db_flush(db, NULL);
	read_finish(db);
	writer_destroy(db->writer);
	mailbox_destroy(db->mailbox);
	fd_close(db->mark_fd);
	free(db);
	return NULL;
}

static void report(struct db_txn *txn)
{
	struct db *db = txn->db;

	db->pending--;
	if (txn->result < 0 && db->flush_result == 0) {
		db->flush_result = txn->result;
		if (db->flush_err)
			*db->flush_err = txn->error;
	}
	if (txn->done)
		txn->done(txn->data, txn->result, txn->result < 0 ? &txn->error : NULL);
	else if (txn->result < 0)
		log_error("state.write.failed", "reason=%s", LOG_Q(txn->error.message));
}

static void deliver(struct mail *mail)
{
	struct db_txn *txn = (struct db_txn *)mail;

	report(txn);
	txn_free(txn);
}

static void send(struct db *db, struct db_txn *txn)
{
	txn->db = db;
	db->pending++;
	writer_submit(db->writer, txn);
}

void db_submit(struct db *db, struct db_txn *txn, bool durable, db_done_fn done, void *data)
{
	txn->mail.deliver = deliver;
	txn->durable = durable;
	txn->done = done;
	txn->data = data;
	send(db, txn);
}

int db_flush(struct db *db, struct err *err)
{
	db->flush_result = 0;
	db->flush_err = err;
	while (db->pending > 0)
		mailbox_wait(db->mailbox);
	db->flush_err = NULL;
	return db->flush_result;
}

/* --- Pruning: in pieces, the next one when the last is done, until one finds little to do -------
 */

struct prune {
	int64_t before_ms;
	uint64_t keep_events;
};

static void pruned(struct mail *mail)
{
	struct db_txn *txn = (struct db_txn *)mail;
	struct prune *prune = txn->data;
	bool more = txn->result == 0 && txn->changed >= PRUNE_ROWS && !txn->db->closing;

	report(txn);
	if (more)
		db_prune(txn->db, prune->before_ms, prune->keep_events);
	free(prune);
	txn_free(txn);
}

void db_prune(struct db *db, int64_t before_ms, uint64_t keep_events)
{
	struct db_txn *txn = db_txn_create();
	struct prune *prune = malloc(sizeof(*prune));

	if (!txn || !prune) {
		txn_free(txn);
		free(prune);
		return;
	}
	*prune = (struct prune){.before_ms = before_ms, .keep_events = keep_events};
	txn->mail.deliver = pruned;
	txn->data = prune;
	txn_add(txn, WRITE_PRUNE_OPERATIONS, "i", before_ms);
	txn_add(txn, WRITE_PRUNE_EVENTS, "i", (int64_t)keep_events);
	send(db, txn);
}
