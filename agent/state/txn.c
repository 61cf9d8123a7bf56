/* Transactions: a change is the kind of a prepared statement and the values it is bound to, in one
 * allocation. */
#include "agent/state/txn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state/sqlite.h"
#include "base/cleanup.h"

#define TEXT(macro)  TEXT_(macro)
#define TEXT_(macro) #macro

static const struct {
	const char *sql;
	const char *must_change; /* what is missing when no row was */
} WRITES[WRITE_MAX_] = {
	[WRITE_GUEST] = {"INSERT INTO guests (id, name, record) VALUES (?, ?, ?)"
			 " ON CONFLICT (id) DO UPDATE"
			 " SET name = excluded.name, record = excluded.record",
		NULL},
	[WRITE_GUEST_DELETE] = {"DELETE FROM guests WHERE id = ?", NULL},
	[WRITE_OPERATION] = {"INSERT INTO operations (id, verb, guest_id, target, state, step,"
			     " step_index, steps_count, uid, created_ms, started_ms, ended_ms,"
			     " cancel_requested, error_code, error_errno, error_field,"
			     " error_message, args, request_key, request_hash)"
			     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
			     " ON CONFLICT (id) DO UPDATE SET verb = excluded.verb,"
			     " guest_id = excluded.guest_id, target = excluded.target,"
			     " state = excluded.state, step = excluded.step,"
			     " step_index = excluded.step_index,"
			     " steps_count = excluded.steps_count, uid = excluded.uid,"
			     " created_ms = excluded.created_ms,"
			     " started_ms = excluded.started_ms, ended_ms = excluded.ended_ms,"
			     " cancel_requested = excluded.cancel_requested,"
			     " error_code = excluded.error_code,"
			     " error_errno = excluded.error_errno,"
			     " error_field = excluded.error_field,"
			     " error_message = excluded.error_message,"
			     " args = coalesce(excluded.args, args),"
			     " request_key = coalesce(request_key, excluded.request_key),"
			     " request_hash = coalesce(request_hash, excluded.request_hash)",
		NULL},
	[WRITE_STEP] = {"UPDATE operations SET state = ?, step_index = ?, step = ? WHERE id = ?",
		"there is no such operation to journal a step of"},
	[WRITE_EVENT] = {"INSERT INTO events (number, time_ms, json) VALUES (?, ?, ?)", NULL},
	[WRITE_SETTING] = {"INSERT INTO settings (key, value) VALUES (?, ?)"
			   " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		NULL},
	[WRITE_PRUNE_OPERATIONS] = {"DELETE FROM operations WHERE number IN"
				    " (SELECT number FROM operations"
				    "  WHERE ended_ms > 0 AND ended_ms < ?"
				    "  LIMIT " TEXT(PRUNE_ROWS) ")",
		NULL},
	[WRITE_PRUNE_EVENTS] = {"DELETE FROM events WHERE number IN"
				" (SELECT number FROM events"
				"  WHERE number <= (SELECT max(number) FROM events) - ?"
				"  ORDER BY number LIMIT " TEXT(PRUNE_ROWS) ")",
		NULL},
};

struct change {
	struct change *next;
	enum write_kind kind;
	const char *types;
	union {
		int64_t integer;
		const char *text;
	} values[]; /* the texts follow */
};

struct db_txn *db_txn_create(void)
{
	struct db_txn *txn = calloc(1, sizeof(*txn));

	if (txn)
		txn->end = &txn->first;
	return txn;
}

struct db_txn *txn_free(struct db_txn *txn)
{
	struct change *next;

	if (!txn)
		return NULL;
	for (struct change *change = txn->first; change; change = next) {
		next = change->next;
		free(change);
	}
	free(txn);
	return NULL;
}

void db_txn_abandon(struct db_txn *txn)
{
	txn_free(txn);
}

/* Bytes that the texts among the values take. */
static size_t texts_size(const char *types, va_list ap)
{
	size_t size = 0;

	for (; *types; types++) {
		if (*types == 'i') {
			(void)va_arg(ap, int64_t);
		} else {
			const char *text = va_arg(ap, const char *);

			size += text ? strlen(text) + 1 : 0;
		}
	}
	return size;
}

static void copy_values(struct change *change, va_list ap)
{
	size_t count = strlen(change->types);
	char *room = (char *)&change->values[count];

	for (size_t i = 0; i < count; i++) {
		const char *text;

		if (change->types[i] == 'i') {
			change->values[i].integer = va_arg(ap, int64_t);
			continue;
		}
		text = va_arg(ap, const char *);
		change->values[i].text = text ? room : NULL;
		if (text)
			room = stpcpy(room, text) + 1;
	}
}

void txn_add(struct db_txn *txn, enum write_kind kind, const char *types, ...)
{
	struct change *change;
	size_t size = sizeof(*change) + strlen(types) * sizeof(change->values[0]);
	va_list ap;

	va_start(ap, types);
	size += texts_size(types, ap);
	va_end(ap);
	change = malloc(size);
	if (!change) {
		txn->no_memory = true;
		return;
	}
	*change = (struct change){.kind = kind, .types = types};
	va_start(ap, types);
	copy_values(change, ap);
	va_end(ap);
	*txn->end = change;
	txn->end = &change->next;
}

int txn_prepare(sqlite3 *conn, sqlite3_stmt *statements[WRITE_MAX_], struct err *err)
{
	for (unsigned i = 0; i < WRITE_MAX_; i++) {
		int r = sqlite_prepare(conn, WRITES[i].sql, &statements[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static void bind(sqlite3_stmt *stmt, const struct change *change)
{
	for (int i = 0; change->types[i]; i++)
		if (change->types[i] == 'i')
			sqlite3_bind_int64(stmt, i + 1, change->values[i].integer);
		else
			sqlite3_bind_text(stmt, i + 1, change->values[i].text, -1, SQLITE_STATIC);
}

static int apply(const struct change *change, sqlite3 *conn, sqlite3_stmt *stmt, struct err *err)
{
	int r = 0;

	bind(stmt, change);
	if (sqlite3_step(stmt) != SQLITE_DONE)
		r = sqlite_fail(conn, err, "cannot write the state");
	else if (WRITES[change->kind].must_change && sqlite3_changes(conn) == 0)
		r = err_set(err, ERR_NOT_FOUND, NULL, "cannot write the state: %s",
			WRITES[change->kind].must_change);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

int txn_apply(struct db_txn *txn, sqlite3 *conn, sqlite3_stmt *const statements[WRITE_MAX_],
	struct err *err)
{
	int before = sqlite3_total_changes(conn);

	if (txn->no_memory)
		return err_errno(err, ENOMEM, "cannot write the state");
	for (struct change *change = txn->first; change; change = change->next) {
		int r = apply(change, conn, statements[change->kind], err);

		if (r < 0)
			return r;
	}
	txn->changed = sqlite3_total_changes(conn) - before;
	return 0;
}
