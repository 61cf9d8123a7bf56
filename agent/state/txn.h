/* Transactions: changes gathered on the loop with copies of their values, applied by the writer
 * thread. Inside agent/state/ only. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "agent/core/mailbox.h"
#include "agent/state/db.h"
#include "base/err.h"

enum write_kind {
	WRITE_GUEST,
	WRITE_GUEST_DELETE,
	WRITE_OPERATION,
	WRITE_STEP,
	WRITE_EVENT,
	WRITE_SETTING,
	WRITE_PRUNE_OPERATIONS,
	WRITE_PRUNE_EVENTS,
	WRITE_MAX_,
};

/* Rows that one pruning transaction forgets at most of each kind, so that it holds nobody up. */
#define PRUNE_ROWS 500

struct change;

struct db_txn {
	struct mail mail; /* first: a mail is its transaction */
	struct db_txn *next;
	struct change *first, **end;
	bool no_memory; /* a change is missing: must fail */
	bool durable;
	int changed; /* rows, once it is committed */

	struct db *db;
	db_done_fn done;
	void *data;
	int result;
	struct err error;
};

/* Adds a change whose values follow as `types` says: 'i' int64_t, 't' const char * (may be NULL).
 */
void txn_add(struct db_txn *txn, enum write_kind kind, const char *types, ...);

/* Prepares the statements of all kinds. */
int txn_prepare(sqlite3 *conn, sqlite3_stmt *statements[WRITE_MAX_], struct err *err);

/* Runs its changes inside the transaction that is open. */
int txn_apply(struct db_txn *txn, sqlite3 *conn, sqlite3_stmt *const statements[WRITE_MAX_],
	struct err *err);

struct db_txn *txn_free(struct db_txn *txn);
