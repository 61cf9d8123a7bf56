/* Reading: the second connection, on the loop's thread. A statement is reset as soon as its rows
 * are read, so that no reader ever holds up a checkpoint for long. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state/internal.h"
#include "agent/state/sqlite.h"
#include "base/err.h"

#define CACHE_KIB 256

#define OPERATION                                                                                  \
	"id, verb, guest_id, target, state, step, step_index, steps_count, uid, created_ms,"       \
	" started_ms, ended_ms, cancel_requested, error_code, error_errno, error_field,"           \
	" error_message"
#define OPERATION_COLUMNS 17

static const char *const READS[READ_MAX_] = {
	[READ_GUESTS] = "SELECT id, record FROM guests",
	[READ_UNFINISHED] = "SELECT " OPERATION ", args FROM operations"
			    " WHERE state IN ('queued', 'running', 'undoing') ORDER BY number",
	[READ_OPERATION] = "SELECT " OPERATION ", args FROM operations WHERE id = ?",
	[READ_NUMBER] = "SELECT number FROM operations WHERE id = ?",
	[READ_REQUEST] = "SELECT id, request_hash FROM operations WHERE request_key = ?",
	[READ_LATEST] = "SELECT " OPERATION " FROM operations WHERE number < ?1"
			" ORDER BY number DESC LIMIT ?2",
	[READ_LATEST_OF] = "SELECT " OPERATION " FROM operations WHERE number < ?1 AND target = ?3"
			   " ORDER BY number DESC LIMIT ?2",
	[READ_EVENTS] = "SELECT number, json FROM events WHERE number > ? ORDER BY number LIMIT ?",
	[READ_EVENT_RANGE] = "SELECT coalesce((SELECT min(number) FROM events), 0),"
			     " coalesce((SELECT max(number) FROM events), 0)",
	[READ_SETTING] = "SELECT value FROM settings WHERE key = ?",
};

int read_init(struct db *db, const char *path, struct err *err)
{
	int r = sqlite_connect(path, SQLITE_OPEN_READONLY, CACHE_KIB, &db->reader, err);

	for (unsigned i = 0; r == 0 && i < READ_MAX_; i++)
		r = sqlite_prepare(db->reader, READS[i], &db->reads[i], err);
	return r;
}

void read_finish(struct db *db)
{
	for (unsigned i = 0; i < READ_MAX_; i++)
		sqlite3_finalize(db->reads[i]);
	sqlite_disconnect(db->reader);
}

/* --- Rows -------------------------------------------------------------------------------------
 */

static void end_readp(sqlite3_stmt **stmt)
{
	sqlite3_reset(*stmt);
	sqlite3_clear_bindings(*stmt);
}

/* A prepared read for the length of a scope. */
#define READ(db, kind) CLEANUP(end_readp) sqlite3_stmt *stmt = (db)->reads[kind]

/* 1 with a row, 0 at the end. */
static int next(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW: return 1;
	case SQLITE_DONE: return 0;
	default: return sqlite_fail(db->reader, err, "cannot read the state");
	}
}

static const char *text(sqlite3_stmt *stmt, int column)
{
	const char *value = (const char *)sqlite3_column_text(stmt, column);

	return value ? value : "";
}

static void bind_text(sqlite3_stmt *stmt, int index, const char *value)
{
	sqlite3_bind_text(stmt, index, value, -1, SQLITE_STATIC);
}

#define COPY(buf, stmt, column) snprintf(buf, sizeof(buf), "%s", text(stmt, column))

static void read_operation(sqlite3_stmt *stmt, struct operation *ret)
{
	*ret = (struct operation){0};
	COPY(ret->id, stmt, 0);
	COPY(ret->verb, stmt, 1);
	COPY(ret->guest_id, stmt, 2);
	COPY(ret->target, stmt, 3);
	/* The table's CHECK lets no other word in. */
	operation_state_from_string(text(stmt, 4), &ret->state);
	COPY(ret->step, stmt, 5);
	ret->step_index = (uint32_t)sqlite3_column_int64(stmt, 6);
	ret->steps_count = (uint32_t)sqlite3_column_int64(stmt, 7);
	ret->uid = (uid_t)sqlite3_column_int64(stmt, 8);
	ret->created_ms = sqlite3_column_int64(stmt, 9);
	ret->started_ms = sqlite3_column_int64(stmt, 10);
	ret->ended_ms = sqlite3_column_int64(stmt, 11);
	ret->cancel_requested = sqlite3_column_int(stmt, 12) != 0;
	ret->error.code = err_code_from_string(text(stmt, 13));
	ret->error.errnum = sqlite3_column_int(stmt, 14);
	COPY(ret->error.field, stmt, 15);
	COPY(ret->error.message, stmt, 16);
}

/* --- Guests -----------------------------------------------------------------------------------
 */

static int read_guest(sqlite3_stmt *stmt, struct guest **ret, struct err *err)
{
	json_t *record = json_loads(text(stmt, 1), 0, NULL);
	int r = record ? guest_from_record(record, ret, err)
		       : err_set(err, ERR_INTERNAL, NULL, "its record is not JSON");

	json_decref(record);
	if (r < 0)
		err_prefix(err, "cannot read guest %s from the state", text(stmt, 0));
	return r;
}

int db_load_guests(
	struct db *db, int (*each)(void *data, struct guest *guest), void *data, struct err *err)
{
	READ(db, READ_GUESTS);
	struct guest *guest;
	int r;

	while ((r = next(db, stmt, err)) > 0) {
		r = read_guest(stmt, &guest, err);
		if (r == 0)
			r = each(data, guest);
		if (r < 0)
			return r;
	}
	return r;
}

/* --- Operations -------------------------------------------------------------------------------
 */

int db_load_unfinished(struct db *db,
	int (*each)(void *data, const struct operation *operation, json_t *args), void *data,
	struct err *err)
{
	READ(db, READ_UNFINISHED);
	struct operation operation;
	int r;

	while ((r = next(db, stmt, err)) > 0) {
		json_t *args = json_loads(text(stmt, OPERATION_COLUMNS), 0, NULL);

		read_operation(stmt, &operation);
		r = each(data, &operation, args);
		json_decref(args);
		if (r < 0)
			return r;
	}
	return r;
}

/* The one row of an operation. */
static int next_of(struct db *db, sqlite3_stmt *stmt, const char *id, struct err *err)
{
	int r;

	bind_text(stmt, 1, id);
	r = next(db, stmt, err);
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no operation %s", id);
	return r < 0 ? r : 0;
}

int db_get_operation(
	struct db *db, const char *id, struct operation *ret, json_t **ret_args, struct err *err)
{
	READ(db, READ_OPERATION);
	int r = next_of(db, stmt, id, err);

	if (r < 0)
		return r;
	read_operation(stmt, ret);
	if (ret_args)
		*ret_args = json_loads(text(stmt, OPERATION_COLUMNS), 0, NULL);
	return 0;
}

int db_find_request(struct db *db, const char *request_key, char ret_id[OPERATION_ID_LEN + 1],
	char ret_hash[65], struct err *err)
{
	READ(db, READ_REQUEST);
	int r;

	bind_text(stmt, 1, request_key);
	r = next(db, stmt, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "no operation has that request key");
	snprintf(ret_id, OPERATION_ID_LEN + 1, "%s", text(stmt, 0));
	snprintf(ret_hash, 65, "%s", text(stmt, 1));
	return 0;
}

/* Place of an operation in the order of acceptance; behind all of them for NULL. */
static int operation_number(struct db *db, const char *id, int64_t *ret, struct err *err)
{
	READ(db, READ_NUMBER);
	int r;

	*ret = INT64_MAX;
	if (!id)
		return 0;
	r = next_of(db, stmt, id, err);
	if (r < 0)
		return r;
	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}

int db_list_operations(struct db *db, const char *before, const char *target, unsigned limit,
	int (*each)(void *data, const struct operation *operation), void *data, struct err *err)
{
	READ(db, target ? READ_LATEST_OF : READ_LATEST);
	struct operation operation;
	int64_t number;
	int r = operation_number(db, before, &number, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(stmt, 1, number);
	sqlite3_bind_int64(stmt, 2, limit);
	if (target)
		bind_text(stmt, 3, target);
	while ((r = next(db, stmt, err)) > 0) {
		read_operation(stmt, &operation);
		r = each(data, &operation);
		if (r < 0)
			return r;
	}
	return r;
}

/* --- Events and settings ----------------------------------------------------------------------
 */

int db_list_events(struct db *db, uint64_t after, unsigned limit,
	int (*each)(void *data, uint64_t number, const char *json), void *data, struct err *err)
{
	READ(db, READ_EVENTS);
	int r;

	sqlite3_bind_int64(stmt, 1, (int64_t)after);
	sqlite3_bind_int64(stmt, 2, limit);
	while ((r = next(db, stmt, err)) > 0) {
		r = each(data, (uint64_t)sqlite3_column_int64(stmt, 0), text(stmt, 1));
		if (r < 0)
			return r;
	}
	return r;
}

int db_event_range(struct db *db, uint64_t *ret_oldest, uint64_t *ret_newest, struct err *err)
{
	READ(db, READ_EVENT_RANGE);
	int r = next(db, stmt, err);

	if (r < 0)
		return r;
	*ret_oldest = (uint64_t)sqlite3_column_int64(stmt, 0);
	*ret_newest = (uint64_t)sqlite3_column_int64(stmt, 1);
	return 0;
}

int db_get_setting(struct db *db, const char *key, char **ret, struct err *err)
{
	READ(db, READ_SETTING);
	char *value = NULL;
	int r;

	bind_text(stmt, 1, key);
	r = next(db, stmt, err);
	if (r < 0)
		return r;
	if (r > 0) {
		value = strdup(text(stmt, 0));
		if (!value)
			return err_errno(err, ENOMEM, "cannot read the state");
	}
	*ret = value;
	return 0;
}
