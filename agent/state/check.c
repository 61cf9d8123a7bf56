/* Opening the file for writing. What is opened is proven first: its version, its structure, and
 * that it holds every commit that was ever called durable. */
#include "agent/state/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/state/schema.h"
#include "agent/state/sqlite.h"
#include "base/err.h"

#define CACHE_KIB   512
#define CHECK_WHOLE (16 << 20) /* bytes; takes about 0.1 s */

/* Its size keeps the log's blocks for reuse: overwriting costs less than growing. */
static const char PRAGMAS[] = "PRAGMA wal_autocheckpoint = 0;"
			      "PRAGMA journal_size_limit = 8388608;"
			      "PRAGMA secure_delete = FAST;"
			      "PRAGMA temp_store = MEMORY;";

static int damaged(struct err *err, const char *path, const char *how)
{
	err_set(err, ERR_UNAVAILABLE, NULL, "%s is damaged: %s", path, how);
	return SQLITE_DAMAGED;
}

/* Only ours may read it: made with its mode before SQLite opens it. */
static int make(const char *path, int64_t mark, struct err *err)
{
	struct stat st;
	int fd;

	if (stat(path, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return err_errno(err, errno, "cannot open %s", path);
	if (mark > 0)
		return damaged(err, path, "it is gone");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot make %s", path);
	fd_close(fd);
	return 0;
}

static int check_version(sqlite3 *conn, const char *path, int64_t *ret, struct err *err)
{
	int r = sqlite_integer(conn, "PRAGMA user_version", ret, err);

	if (r < 0)
		return r;
	if (*ret < 0)
		return damaged(err, path, "its version is negative");
	if (*ret > schema_version())
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"%s was written by a newer agent (schema %lld, this one knows %d): run the "
			"newer agent, or restore a backup made before it",
			path, (long long)*ret, schema_version());
	return 0;
}

static int run_check(sqlite3 *conn, const char *path, const char *sql, struct err *err)
{
	CLEANUP(sqlite3_finalizep) sqlite3_stmt *stmt = NULL;
	const char *text;
	int r = sqlite_prepare(conn, sql, &stmt, err);

	if (r < 0)
		return r;
	if (sqlite3_step(stmt) != SQLITE_ROW)
		return sqlite_fail(conn, err, "cannot check %s", path);
	text = (const char *)sqlite3_column_text(stmt, 0);
	if (!text || strcmp(text, "ok") != 0)
		return damaged(err, path, text ? text : "its structure is broken");
	return 0;
}

/* All of it, or of a big file what a node cannot do without: a start must not wait for the
 * history of a busy week. */
static int check_structure(sqlite3 *conn, const char *path, int64_t version, struct err *err)
{
	static const char *const tables[] = {"PRAGMA integrity_check(guests)",
		"PRAGMA integrity_check(settings)", "PRAGMA integrity_check(meta)"};
	struct stat st;
	int r = 0;

	if (version == 0 || stat(path, &st) < 0 || st.st_size <= CHECK_WHOLE)
		return run_check(conn, path, "PRAGMA integrity_check(1)", err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tables); i++)
		r = run_check(conn, path, tables[i], err);
	return r;
}

/* How many durable commits it holds; none before there is a schema. */
static int read_durable(
	sqlite3 *conn, const char *path, int64_t version, int64_t *ret, struct err *err)
{
	*ret = 0;
	if (version == 0)
		return 0;
	if (sqlite_integer(conn, "SELECT durable FROM meta", ret, NULL) < 0)
		return damaged(err, path, "its count of commits is missing");
	return 0;
}

static int check(
	sqlite3 *conn, const char *path, int64_t mark, int64_t *ret_durable, struct err *err)
{
	int64_t version;
	int r = check_version(conn, path, &version, err);

	if (r == 0)
		r = check_structure(conn, path, version, err);
	if (r == 0)
		r = read_durable(conn, path, version, ret_durable, err);
	if (r == 0 && *ret_durable < mark)
		r = damaged(err, path, "the latest changes are missing from it");
	if (r == 0)
		r = schema_migrate(conn, version, err);
	return r;
}

/* A table that is gone altogether leaves a sound structure behind. */
static int check_tables(sqlite3 *conn, const char *path, struct err *err)
{
	const struct schema_table *table;

	for (unsigned i = 0; (table = schema_table(i)); i++)
		if (sqlite3_table_column_metadata(conn, "main", table->name, NULL, NULL, NULL, NULL,
			    NULL, NULL) != SQLITE_OK)
			return damaged(err, path, "a table is missing");
	return 0;
}

int check_open(const char *path, int64_t mark, sqlite3 **ret, int64_t *ret_durable, struct err *err)
{
	CLEANUP(sqlite_disconnectp) sqlite3 *conn = NULL;
	int r = make(path, mark, err);

	if (r == 0)
		r = sqlite_connect(path, SQLITE_OPEN_READWRITE, CACHE_KIB, &conn, err);
	if (r == 0)
		r = check(conn, path, mark, ret_durable, err);
	if (r == 0)
		r = check_tables(conn, path, err);
	if (r == 0)
		r = sqlite_run(conn, "PRAGMA journal_mode = WAL", err);
	if (r == 0)
		r = sqlite_run(conn, PRAGMAS, err);
	if (r < 0)
		return r;
	sqlite_adopt(conn);
	*ret = TAKE_PTR(conn);
	return 0;
}
