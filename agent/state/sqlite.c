/* SQLite connections and errors. */
#include "agent/state/sqlite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

/* How long a transaction waits for somebody who holds the file, an operator's sqlite3 for example.
 */
#define BUSY_MS 5000

int sqlite_connect(const char *path, int flags, unsigned cache_kib, sqlite3 **ret, struct err *err)
{
	CLEANUP(sqlite_disconnectp) sqlite3 *conn = NULL;
	char pragma[64];
	int r;

	flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	if (sqlite3_open_v2(path, &conn, flags, NULL) != SQLITE_OK)
		return sqlite_fail(conn, err, "cannot open %s", path);
	sqlite3_busy_timeout(conn, BUSY_MS);
	sqlite3_db_config(conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(pragma, sizeof(pragma), "PRAGMA cache_size = -%u", cache_kib);
	r = sqlite_run(conn, pragma, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(conn);
	return 0;
}

void sqlite_adopt(sqlite3 *conn)
{
	sqlite3_db_config(conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

sqlite3 *sqlite_disconnect(sqlite3 *conn)
{
	sqlite3_close_v2(conn);
	return NULL;
}

static bool is_damage(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || code == SQLITE_NOTADB ||
	       code == SQLITE_IOERR_SHORT_READ;
}

static enum err_code code_of(int code)
{
	if (is_damage(code))
		return ERR_UNAVAILABLE;
	switch (code & 0xff) {
	case SQLITE_FULL: return ERR_NO_ROOM;
	case SQLITE_CONSTRAINT: return ERR_CONFLICT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERR_UNAVAILABLE;
	default: return ERR_INTERNAL;
	}
}

int sqlite_fail(sqlite3 *conn, struct err *err, const char *fmt, ...)
{
	int code = sqlite3_extended_errcode(conn), primary = code & 0xff, r;
	int system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN
			     ? sqlite3_system_errno(conn)
			     : 0;
	char what[ERR_MESSAGE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (primary == SQLITE_NOMEM)
		return err_errno(err, ENOMEM, "%s", what);
	if (system != 0 && !is_damage(code))
		return err_errno(err, system, "%s: %s", what, sqlite3_errstr(code));
	r = err_set(err, code_of(code), NULL, "%s: %s", what, sqlite3_errmsg(conn));
	return is_damage(code) ? SQLITE_DAMAGED : r;
}

int sqlite_run(sqlite3 *conn, const char *sql, struct err *err)
{
	if (sqlite3_exec(conn, sql, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_fail(conn, err, "cannot run \"%.60s\"", sql);
	return 0;
}

int sqlite_prepare(sqlite3 *conn, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	if (sqlite3_prepare_v3(conn, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
		return sqlite_fail(conn, err, "cannot prepare \"%.60s\"", sql);
	return 0;
}

int sqlite_integer(sqlite3 *conn, const char *sql, int64_t *ret, struct err *err)
{
	CLEANUP(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;
	int r = sqlite_prepare(conn, sql, &stmt, err);

	if (r < 0)
		return r;
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW: *ret = sqlite3_column_int64(stmt, 0); return 0;
	case SQLITE_DONE: return -ENODATA;
	default: return sqlite_fail(conn, err, "cannot run \"%.60s\"", sql);
	}
}
