/* What the tests of the state share. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

#define DEADLINE_US (60 * 1000 * 1000ULL)

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	/* In memory where that is possible: the disk's fsync is not what is tested. */
	snprintf(fixture->dir, sizeof(fixture->dir), "%s/corpus-state-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(fixture->dir) || sd_event_new(&fixture->loop) < 0) {
		free(fixture);
		return -1;
	}
	snprintf(fixture->path, sizeof(fixture->path), "%s/state.db", fixture->dir);
	fixture_open(fixture);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	db_close(fixture->db);
	sd_event_unref(fixture->loop);
	file_remove_tree(fixture->dir);
	free(fixture);
	return 0;
}

void fixture_open(struct fixture *fixture)
{
	struct err err;

	if (db_open(fixture->loop, fixture->path, false, &fixture->db, &err) < 0)
		fail_msg("%s", err.message);
}

void fixture_close(struct fixture *fixture)
{
	fixture->db = db_close(fixture->db);
}

struct outcome {
	bool called;
	int result;
	struct err err;
};

static void keep_outcome(void *data, int r, const struct err *err)
{
	struct outcome *outcome = data;

	outcome->called = true;
	outcome->result = r;
	if (err)
		outcome->err = *err;
}

int fixture_commit(struct fixture *fixture, struct db_txn *txn, bool durable, struct err *ret_err)
{
	struct outcome outcome = {0};

	db_submit(fixture->db, txn, durable, keep_outcome, &outcome);
	while (!outcome.called)
		assert_true(sd_event_run(fixture->loop, DEADLINE_US) > 0);
	if (ret_err)
		*ret_err = outcome.err;
	return outcome.result;
}

struct db_txn *fixture_set(const char *key, const char *value)
{
	struct db_txn *txn = db_txn_create();

	assert_non_null(txn);
	db_put_setting(txn, key, value);
	return txn;
}

bool fixture_is(struct fixture *fixture, const char *key, const char *value)
{
	AUTOFREE char *stored = NULL;

	assert_int_equal(db_get_setting(fixture->db, key, &stored, NULL), 0);
	return stored && strcmp(stored, value) == 0;
}

struct operation fixture_operation(unsigned number)
{
	struct operation operation = {.verb = "guest.create",
		.guest_id = "0123456789ab",
		.target = "app.example.org",
		.state = OPERATION_RUNNING,
		.step = "volume",
		.step_index = 1,
		.steps_count = 7,
		.uid = 1000,
		.created_ms = 1000 + number};

	snprintf(operation.id, sizeof(operation.id), "%016x", number);
	return operation;
}

struct guest *fixture_guest(const char *name)
{
	AUTOFREE char *text = NULL;
	struct guest *guest = NULL;
	json_t *json = json_pack("{s:s, s:s}", "name", name, "image", "busybox");
	static unsigned number;

	assert_int_equal(guest_from_request(json, &guest, NULL), 0);
	json_decref(json);
	snprintf(guest->id, sizeof(guest->id), "%012x", ++number);
	return guest;
}
