/* The opened state, as the files of agent/state/ share it. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/state/db.h"

struct err;
struct mailbox;
struct writer;

enum read_kind {
	READ_GUESTS,
	READ_UNFINISHED,
	READ_OPERATION,
	READ_NUMBER,
	READ_REQUEST,
	READ_LATEST,
	READ_LATEST_OF,
	READ_EVENTS,
	READ_EVENT_RANGE,
	READ_SETTING,
	READ_MAX_,
};

struct db {
	struct mailbox *mailbox;
	struct writer *writer;
	int mark_fd;
	size_t pending; /* submitted, not yet reported */
	bool closing;

	/* The first failure while db_flush waits. */
	int flush_result;
	struct err *flush_err;

	sqlite3 *reader;
	sqlite3_stmt *reads[READ_MAX_];
};

/* Opens the reading connection and prepares its statements; read_finish undoes both. */
int read_init(struct db *db, const char *path, struct err *err);
void read_finish(struct db *db);
