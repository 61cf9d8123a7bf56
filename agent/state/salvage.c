/* Salvage. The new file is built as PATH.new; renaming it to PATH.salvaged says that it is
 * complete. From there on the replacement only goes forward: the damaged file and its log are moved
 * aside, and PATH.salvaged takes the place. Each move may be repeated after a crash. */
#include "agent/state/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/state/schema.h"
#include "agent/state/sqlite.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"

#define CACHE_KIB 256

/* --- Replacing --------------------------------------------------------------------------------
 */

static int sync_directory(const char *path)
{
	AUTOCLOSE int fd = -1;
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Renames PATH + from to PATH + to; nothing to rename is success. */
static int move(const char *path, const char *from, const char *to)
{
	char old[PATH_MAX], new[PATH_MAX];

	if (file_path(old, sizeof(old), "%s%s", path, from) < 0 ||
		file_path(new, sizeof(new), "%s%s", path, to) < 0)
		return -ENAMETOOLONG;
	if (rename(old, new) < 0 && errno != ENOENT)
		return -errno;
	return sync_directory(path);
}

static int discard(const char *path, const char *suffix)
{
	char name[PATH_MAX];
	int r = file_path(name, sizeof(name), "%s%s", path, suffix);

	return r < 0 ? r : unlink(name) < 0 && errno != ENOENT ? -errno : 0;
}

static void aside_suffix(char *buf, size_t size, const char *end)
{
	int64_t now = clock_realtime_ms();
	time_t seconds = now / 1000;
	struct tm tm;
	char stamp[32];

	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	snprintf(buf, size, ".damaged-%s.%03d%s", stamp, (int)(now % 1000), end);
}

/* The log goes first: it must never meet the new file. */
static int replace(const char *path)
{
	char log[64], file[64];
	int r;

	aside_suffix(log, sizeof(log), "-wal");
	aside_suffix(file, sizeof(file), "");
	r = move(path, "-wal", log);
	if (r == 0)
		r = discard(path, "-shm");
	(void)fault_point("state.salvage.log_moved");
	if (r == 0)
		r = move(path, "", file);
	(void)fault_point("state.salvage.file_moved");
	return r < 0 ? r : move(path, ".salvaged", "");
}

int salvage_finish(const char *path, struct err *err)
{
	char salvaged[PATH_MAX];
	int r = file_path(salvaged, sizeof(salvaged), "%s.salvaged", path);

	if (r == 0 && access(salvaged, F_OK) < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot look for %s", salvaged);
	if (r == 0)
		r = replace(path);
	return r < 0 ? err_errno(err, r, "cannot replace the damaged %s", path) : 0;
}

/* --- Copying ----------------------------------------------------------------------------------
 */

static bool copy_row(sqlite3_stmt *from, sqlite3_stmt *to)
{
	bool done;

	for (int i = 0; i < sqlite3_column_count(from); i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	done = sqlite3_step(to) == SQLITE_DONE;
	sqlite3_reset(to);
	return done;
}

/* Copies rows in one direction up to the first that cannot be read. */
static void copy_rows(
	sqlite3 *from, sqlite3_stmt *to, const struct schema_table *table, const char *order)
{
	CLEANUP(sqlite3_finalizep) sqlite3_stmt *rows = NULL;
	char sql[512];

	snprintf(sql, sizeof(sql), "SELECT %s FROM %s NOT INDEXED ORDER BY rowid %s",
		table->columns, table->name, order);
	if (sqlite_prepare(from, sql, &rows, NULL) < 0)
		return;
	while (sqlite3_step(rows) == SQLITE_ROW)
		copy_row(rows, to);
}

/* From both ends: what lies between two damaged places is lost. */
static int copy_table(sqlite3 *from, sqlite3 *to, const struct schema_table *table, struct err *err)
{
	CLEANUP(sqlite3_finalizep) sqlite3_stmt *insert = NULL;
	char sql[512];
	int r, before = sqlite3_total_changes(to);

	snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO %s (%s) VALUES (%s)", table->name,
		table->columns, table->values);
	r = sqlite_prepare(to, sql, &insert, err);
	if (r < 0)
		return r;
	if (from) {
		copy_rows(from, insert, table, "ASC");
		copy_rows(from, insert, table, "DESC");
	}
	log_warning("state.salvaged", "table=%s rows=%d", table->name,
		sqlite3_total_changes(to) - before);
	return 0;
}

static int fill(sqlite3 *from, sqlite3 *to, int64_t mark, struct err *err)
{
	const struct schema_table *table;
	char sql[64];
	int r = schema_migrate(to, 0, err);

	if (r == 0)
		r = sqlite_run(to, "BEGIN", err);
	for (unsigned i = 0; r == 0 && (table = schema_table(i)); i++)
		r = copy_table(from, to, table, err);
	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "UPDATE meta SET durable = %lld", (long long)mark);
	r = sqlite_run(to, sql, err);
	return r < 0 ? r : sqlite_run(to, "COMMIT", err);
}

static int make_empty(const char *path, struct err *err)
{
	int fd;

	if (discard(path, "") < 0 || discard(path, "-journal") < 0)
		return err_errno(err, errno, "cannot remove %s", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot make %s", path);
	fd_close(fd);
	return 0;
}

static int build(const char *path, const char *new_path, int64_t mark, struct err *err)
{
	CLEANUP(sqlite_disconnectp) sqlite3 *from = NULL;
	CLEANUP(sqlite_disconnectp) sqlite3 *to = NULL;
	int r = make_empty(new_path, err);

	if (r == 0)
		r = sqlite_connect(new_path, SQLITE_OPEN_READWRITE, CACHE_KIB, &to, err);
	if (r < 0)
		return r;
	/* A file that cannot even be opened yields nothing, and that is said in the log. */
	if (sqlite_connect(path, SQLITE_OPEN_READWRITE, CACHE_KIB, &from, NULL) < 0)
		from = NULL;
	return fill(from, to, mark, err);
}

int salvage_run(const char *path, int64_t mark, struct err *err)
{
	char new_path[PATH_MAX];
	int r = file_path(new_path, sizeof(new_path), "%s.new", path);

	if (r < 0)
		return err_errno(err, r, "cannot salvage %s", path);
	r = build(path, new_path, mark, err);
	if (r < 0)
		return r;
	(void)fault_point("state.salvage.built");
	r = move(path, ".new", ".salvaged");
	if (r < 0)
		return err_errno(err, r, "cannot replace the damaged %s", path);
	return salvage_finish(path, err);
}
