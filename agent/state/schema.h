/* The schema of state.db and its versions. Inside agent/state/ only. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

struct err;

/* PRAGMA user_version of an up-to-date file. */
int schema_version(void);

/* Brings the file from `version` (0: empty) to ours, in one transaction. */
int schema_migrate(sqlite3 *conn, int64_t version, struct err *err);

/* The tables in the order in which they are copied, and their columns; NULL beyond the last. */
struct schema_table {
	const char *name;
	const char *columns;
	const char *values; /* a placeholder for each */
};

const struct schema_table *schema_table(unsigned index);
