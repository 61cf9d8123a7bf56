/* The schema: a list of migrations, each from one version to the next. A migration that was
 * released is never changed; what is new is a new one at the end. */
#include "agent/state/schema.h"

#include <stdio.h>

#include "agent/state/sqlite.h"
#include "base/cleanup.h"

/* MIGRATIONS[n] leads from version n to n + 1.
 *
 * operations.number is the order of acceptance. meta.durable counts durable commits: the mark
 * beside the file (mark.h) says how far it must have come. */
static const char *const MIGRATIONS[] = {
	"CREATE TABLE guests ("
	"  id TEXT PRIMARY KEY NOT NULL CHECK (length(id) > 0),"
	"  name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),"
	"  record TEXT NOT NULL CHECK (json_valid(record))"
	") STRICT;"
	"CREATE TABLE operations ("
	"  number INTEGER PRIMARY KEY,"
	"  id TEXT NOT NULL UNIQUE CHECK (length(id) > 0),"
	"  verb TEXT NOT NULL,"
	"  guest_id TEXT NOT NULL,"
	"  target TEXT NOT NULL,"
	"  state TEXT NOT NULL CHECK (state IN"
	"    ('queued', 'running', 'undoing', 'done', 'failed', 'cancelled')),"
	"  step TEXT NOT NULL,"
	"  step_index INTEGER NOT NULL CHECK (step_index >= 0),"
	"  steps_count INTEGER NOT NULL CHECK (steps_count >= 0),"
	"  uid INTEGER NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  started_ms INTEGER NOT NULL,"
	"  ended_ms INTEGER NOT NULL,"
	"  cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),"
	"  error_code TEXT NOT NULL,"
	"  error_errno INTEGER NOT NULL,"
	"  error_field TEXT NOT NULL,"
	"  error_message TEXT NOT NULL,"
	"  args TEXT CHECK (args IS NULL OR json_valid(args)),"
	"  request_key TEXT UNIQUE,"
	"  request_hash TEXT"
	") STRICT;"
	"CREATE INDEX operations_unfinished ON operations (number)"
	"  WHERE state IN ('queued', 'running', 'undoing');"
	"CREATE INDEX operations_target ON operations (target, number);"
	"CREATE INDEX operations_ended ON operations (ended_ms) WHERE ended_ms > 0;"
	"CREATE TABLE events ("
	"  number INTEGER PRIMARY KEY CHECK (number > 0),"
	"  time_ms INTEGER NOT NULL,"
	"  json TEXT NOT NULL CHECK (json_valid(json))"
	") STRICT;"
	"CREATE TABLE settings ("
	"  key TEXT PRIMARY KEY NOT NULL,"
	"  value TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE meta ("
	"  one INTEGER PRIMARY KEY CHECK (one = 1),"
	"  durable INTEGER NOT NULL"
	") STRICT;"
	"INSERT INTO meta VALUES (1, 0);",
};

static const struct schema_table TABLES[] = {
	{"guests", "id, name, record", "?, ?, ?"},
	{"operations",
		"number, id, verb, guest_id, target, state, step, step_index, steps_count, uid,"
		" created_ms, started_ms, ended_ms, cancel_requested, error_code, error_errno,"
		" error_field, error_message, args, request_key, request_hash",
		"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"},
	{"settings", "key, value", "?, ?"},
	{"events", "number, time_ms, json", "?, ?, ?"},
};

int schema_version(void)
{
	return ARRAY_SIZE(MIGRATIONS);
}

static int migrate(sqlite3 *conn, int64_t version, struct err *err)
{
	char pragma[64];
	int r = 0;

	for (; r == 0 && version < schema_version(); version++)
		r = sqlite_run(conn, MIGRATIONS[version], err);
	if (r < 0)
		return r;
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", schema_version());
	r = sqlite_run(conn, pragma, err);
	return r < 0 ? r : sqlite_run(conn, "COMMIT", err);
}

int schema_migrate(sqlite3 *conn, int64_t version, struct err *err)
{
	int r;

	if (version == schema_version())
		return 0;
	r = sqlite_run(conn, "BEGIN IMMEDIATE", err);
	if (r < 0)
		return r;
	r = migrate(conn, version, err);
	if (r < 0)
		sqlite3_exec(conn, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

const struct schema_table *schema_table(unsigned index)
{
	return index < ARRAY_SIZE(TABLES) ? &TABLES[index] : NULL;
}
