/* What every part of the state needs of SQLite: connections set up our way, and its errors as ours.
 * Inside agent/state/ only. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;

/* Returned, with ERR_UNAVAILABLE, for what only damage to the file can explain. */
#define SQLITE_DAMAGED (-EUCLEAN)

/* Opens without a mutex (a connection belongs to one thread at a time), with a cache of `cache_kib`
 * and with patience for others who look at the file. Does not checkpoint when it is closed, so that
 * looking at a damaged file does not change it: sqlite_adopt ends that. */
int sqlite_connect(const char *path, int flags, unsigned cache_kib, sqlite3 **ret, struct err *err);
void sqlite_adopt(sqlite3 *conn);

/* Closes; accepts NULL, returns NULL. All its statements must be finalized. */
sqlite3 *sqlite_disconnect(sqlite3 *conn);

/* Fills *err from the connection's last failure, "TEXT: reason", and returns its negative errno. */
int sqlite_fail(sqlite3 *conn, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs SQL that returns nothing of interest. */
int sqlite_run(sqlite3 *conn, const char *sql, struct err *err);

/* The first column of the first row. -ENODATA, without filling *err, when there is no row. */
int sqlite_integer(sqlite3 *conn, const char *sql, int64_t *ret, struct err *err);

/* Prepares a statement that is kept. */
int sqlite_prepare(sqlite3 *conn, const char *sql, sqlite3_stmt **ret, struct err *err);

DEFINE_CLEANUP(sqlite3 *, sqlite_disconnect)
DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
