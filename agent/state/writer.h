/* The writer: the thread that owns the writing connection and commits transactions in groups.
 * Inside agent/state/ only. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

struct db_txn;
struct err;
struct mailbox;
struct writer;

/* Takes the connection over, also when it fails. `mark_fd` stays the caller's; `durable` is the
 * number of the last durable commit. Finished transactions are posted to `mailbox`, in the order
 * of their submission. */
int writer_create(sqlite3 *conn, int mark_fd, int64_t durable, struct mailbox *mailbox,
	struct writer **ret, struct err *err);

/* Commits what is queued, then ends. Accepts NULL, returns NULL. */
struct writer *writer_destroy(struct writer *writer);

void writer_submit(struct writer *writer, struct db_txn *txn);
