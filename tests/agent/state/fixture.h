/* What the tests of the state share: a directory of their own, a loop, and short ways to write. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/state/db.h"
#include "base/err.h"

struct fixture {
	char dir[64];
	char path[PATH_MAX];
	sd_event *loop;
	struct db *db;
};

/* cmocka setup and teardown: *state becomes a struct fixture with an open, empty state. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_open(struct fixture *fixture); /* must succeed */
void fixture_close(struct fixture *fixture);

/* Submits a transaction and runs the loop until its callback: its result. */
int fixture_commit(struct fixture *fixture, struct db_txn *txn, bool durable, struct err *ret_err);

/* A transaction that sets one setting. */
struct db_txn *fixture_set(const char *key, const char *value);

/* Whether the setting has that value now. */
bool fixture_is(struct fixture *fixture, const char *key, const char *value);

/* An operation in state RUNNING with an id made of the number. */
struct operation fixture_operation(unsigned number);

/* A guest by that name, to be freed. */
struct guest *fixture_guest(const char *name);
