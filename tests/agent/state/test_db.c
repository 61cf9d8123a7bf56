/* state.db: what is written comes back, in order, atomically and in groups. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "vfs.h"

#define DEADLINE_US (60 * 1000 * 1000ULL)

static struct db_txn *txn_new(void)
{
	struct db_txn *txn = db_txn_create();

	assert_non_null(txn);
	return txn;
}

/* --- What is written comes back --------------------------------------------------------------- */

static int collect_guest(void *data, struct guest *guest)
{
	struct guest **found = data;

	for (; *found; found++)
		;
	*found = guest;
	return 0;
}

static void guests_come_back_as_they_were(void **state)
{
	struct fixture *fixture = *state;
	struct guest *found[3] = {0}, *guest = fixture_guest("app.example.org");
	struct db_txn *txn = txn_new();
	json_t *before = guest_to_record(guest), *after;

	db_put_guest(txn, guest);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_load_guests(fixture->db, collect_guest, found, NULL), 0);
	assert_non_null(found[0]);
	assert_null(found[1]);
	after = guest_to_record(found[0]);
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	guest_free(found[0]);
	guest_free(guest);
}

static void a_guest_is_replaced_and_deleted_by_id(void **state)
{
	struct fixture *fixture = *state;
	struct guest *found[3] = {0}, *guest = fixture_guest("app.example.org");
	struct db_txn *txn = txn_new();

	db_put_guest(txn, guest);
	guest->slots = 5;
	db_put_guest(txn, guest);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_load_guests(fixture->db, collect_guest, found, NULL), 0);
	assert_int_equal(found[0]->slots, 5);
	assert_null(found[1]);
	found[0] = guest_free(found[0]);
	txn = txn_new();
	db_delete_guest(txn, guest->id);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_load_guests(fixture->db, collect_guest, found, NULL), 0);
	assert_null(found[0]);
	guest_free(guest);
}

static void two_guests_of_one_name_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct guest *one = fixture_guest("app.example.org");
	struct guest *two = fixture_guest("app.example.org");
	struct db_txn *txn = txn_new();
	struct err err;

	db_put_guest(txn, one);
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	txn = txn_new();
	db_put_guest(txn, two);
	assert_true(fixture_commit(fixture, txn, false, &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	guest_free(one);
	guest_free(two);
}

static int collect_operation(void *data, const struct operation *operation)
{
	struct operation *found = data;

	for (; *found->id; found++)
		;
	*found = *operation;
	return 0;
}

static void assert_same(const struct operation *a, const struct operation *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->verb, b->verb);
	assert_string_equal(a->guest_id, b->guest_id);
	assert_string_equal(a->target, b->target);
	assert_int_equal(a->state, b->state);
	assert_string_equal(a->step, b->step);
	assert_int_equal(a->step_index, b->step_index);
	assert_int_equal(a->steps_count, b->steps_count);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->created_ms, b->created_ms);
	assert_int_equal(a->started_ms, b->started_ms);
	assert_int_equal(a->ended_ms, b->ended_ms);
	assert_int_equal(a->cancel_requested, b->cancel_requested);
	assert_int_equal(a->error.code, b->error.code);
	assert_int_equal(a->error.errnum, b->error.errnum);
	assert_string_equal(a->error.field, b->error.field);
	assert_string_equal(a->error.message, b->error.message);
}

static void every_field_of_an_operation_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct operation found, operation = fixture_operation(7);
	json_auto_t *args = NULL, *stored = json_pack("{s:s}", "snapshot", "before");
	struct db_txn *txn = txn_new();

	operation.state = OPERATION_FAILED;
	operation.uid = (uid_t)-2;
	operation.started_ms = 2000;
	operation.ended_ms = 3000;
	operation.cancel_requested = true;
	err_set(&operation.error, ERR_NO_ROOM, "storage.size", "the pool is \"full\" — völlig");
	db_put_operation(txn, &operation, stored, NULL, NULL);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_get_operation(fixture->db, operation.id, &found, &args, NULL), 0);
	assert_same(&operation, &found);
	assert_true(json_equal(stored, args));
}

static void an_unknown_operation_is_not_found(void **state)
{
	struct fixture *fixture = *state;
	struct operation found;
	struct err err;

	assert_true(db_get_operation(fixture->db, "ffffffffffffffff", &found, NULL, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int check_unfinished(void *data, const struct operation *operation, json_t *args)
{
	struct operation *found = data;

	collect_operation(found, operation);
	if (strcmp(operation->id, "0000000000000001") == 0)
		assert_string_equal(json_string_value(json_object_get(args, "image")), "busybox");
	else
		assert_null(args);
	return 0;
}

static void a_step_moves_an_operation_and_keeps_its_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct operation found[4] = {0}, one = fixture_operation(1), two = fixture_operation(2);
	json_t *args = json_pack("{s:s}", "image", "busybox");
	struct db_txn *txn = txn_new();

	db_put_operation(txn, &one, args, "key", "hash");
	db_put_operation(txn, &two, NULL, NULL, NULL);
	db_put_step(txn, one.id, OPERATION_UNDOING, 4, "start");
	one.cancel_requested = true;
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	txn = txn_new();
	one.state = OPERATION_UNDOING;
	one.step_index = 4;
	db_put_operation(txn, &one, NULL, NULL, NULL);
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	assert_int_equal(db_load_unfinished(fixture->db, check_unfinished, found, NULL), 0);
	assert_same(&found[0], &one);
	assert_same(&found[1], &two);
	assert_string_equal(found[2].id, "");
	json_decref(args);
}

static void a_step_of_no_operation_fails(void **state)
{
	struct fixture *fixture = *state;
	struct db_txn *txn = txn_new();
	struct err err;

	db_put_step(txn, "ffffffffffffffff", OPERATION_RUNNING, 1, "volume");
	assert_true(fixture_commit(fixture, txn, false, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int collect_unfinished(void *data, const struct operation *operation, json_t *args)
{
	(void)args;
	return collect_operation(data, operation);
}

static void finished_operations_are_not_unfinished(void **state)
{
	struct fixture *fixture = *state;
	struct operation found[8] = {0};

	for (unsigned i = 0; i < OPERATION_STATE_MAX_; i++) {
		struct operation operation = fixture_operation(i);
		struct db_txn *txn = txn_new();

		operation.state = (enum operation_state)i;
		db_put_operation(txn, &operation, NULL, NULL, NULL);
		assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	}
	assert_int_equal(
		db_list_operations(fixture->db, NULL, NULL, 100, collect_operation, found, NULL),
		0);
	for (unsigned i = 0; i < OPERATION_STATE_MAX_; i++)
		assert_int_equal(found[i].state, OPERATION_STATE_MAX_ - 1 - i);
	memset(found, 0, sizeof(found));
	assert_int_equal(db_load_unfinished(fixture->db, collect_unfinished, found, NULL), 0);
	assert_int_equal(found[0].state, OPERATION_QUEUED);
	assert_int_equal(found[1].state, OPERATION_RUNNING);
	assert_int_equal(found[2].state, OPERATION_UNDOING);
	assert_string_equal(found[3].id, "");
}

static void operations_are_listed_newest_first_by_target_and_in_pages(void **state)
{
	struct fixture *fixture = *state;
	struct operation found[32] = {0};
	struct db_txn *txn = txn_new();
	struct err err;

	for (unsigned i = 0; i < 20; i++) {
		struct operation operation = fixture_operation(99 - i);

		snprintf(operation.target, sizeof(operation.target), i % 2 ? "odd" : "even");
		db_put_operation(txn, &operation, NULL, NULL, NULL);
	}
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	assert_int_equal(
		db_list_operations(fixture->db, NULL, "odd", 3, collect_operation, found, NULL), 0);
	assert_string_equal(found[0].id, fixture_operation(80).id);
	assert_string_equal(found[2].id, fixture_operation(84).id);
	assert_string_equal(found[3].id, "");
	assert_int_equal(db_list_operations(fixture->db, found[2].id, "odd", 100, collect_operation,
				 &found[3], NULL),
		0);
	assert_string_equal(found[3].id, fixture_operation(86).id);
	assert_string_equal(found[9].id, fixture_operation(98).id);
	assert_string_equal(found[10].id, "");
	assert_true(db_list_operations(fixture->db, "ffffffffffffffff", NULL, 3, collect_operation,
			    found, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_request_key_finds_its_operation_and_is_given_once(void **state)
{
	struct fixture *fixture = *state;
	struct operation one = fixture_operation(1), two = fixture_operation(2);
	char id[OPERATION_ID_LEN + 1], hash[65];
	struct db_txn *txn = txn_new();
	struct err err;

	db_put_operation(txn, &one, NULL, "key", "0011");
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_find_request(fixture->db, "key", id, hash, NULL), 0);
	assert_string_equal(id, one.id);
	assert_string_equal(hash, "0011");
	txn = txn_new();
	db_put_operation(txn, &two, NULL, "key", "2233");
	assert_true(fixture_commit(fixture, txn, true, &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	txn = txn_new();
	db_put_operation(txn, &one, NULL, NULL, NULL);
	assert_int_equal(fixture_commit(fixture, txn, true, NULL), 0);
	assert_int_equal(db_find_request(fixture->db, "key", id, hash, NULL), 0);
	assert_string_equal(hash, "0011");
	assert_true(db_find_request(fixture->db, "other", id, hash, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int collect_number(void *data, uint64_t number, const char *json)
{
	uint64_t *found = data;

	for (; *found; found++)
		;
	*found = number;
	assert_string_equal(json, "{}");
	return 0;
}

static void events_are_listed_from_a_number_on(void **state)
{
	struct fixture *fixture = *state;
	uint64_t found[8] = {0}, oldest = 1, newest = 1;
	struct db_txn *txn = txn_new();

	assert_int_equal(db_event_range(fixture->db, &oldest, &newest, NULL), 0);
	assert_int_equal(oldest, 0);
	assert_int_equal(newest, 0);
	for (unsigned i = 5; i < 15; i++)
		db_put_event(txn, i, 1000, "{}");
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	assert_int_equal(db_list_events(fixture->db, 7, 3, collect_number, found, NULL), 0);
	assert_int_equal(found[0], 8);
	assert_int_equal(found[2], 10);
	assert_int_equal(found[3], 0);
	assert_int_equal(db_event_range(fixture->db, &oldest, &newest, NULL), 0);
	assert_int_equal(oldest, 5);
	assert_int_equal(newest, 14);
}

static void settings_are_replaced_and_absent_ones_are_null(void **state)
{
	struct fixture *fixture = *state;
	char *value = (char *)"untouched";

	assert_int_equal(db_get_setting(fixture->db, "mode", &value, NULL), 0);
	assert_null(value);
	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "drain"), false, NULL), 0);
	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "active"), false, NULL), 0);
	assert_true(fixture_is(fixture, "mode", "active"));
}

static void all_is_there_after_reopening(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_commit(fixture, fixture_set("mode", "drain"), false, NULL), 0);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "drain"));
}

/* --- Transactions ----------------------------------------------------------------------------- */

static void a_transaction_that_fails_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct db_txn *txn = fixture_set("mode", "drain");

	db_put_event(txn, 1, 1000, "this is not JSON");
	assert_true(fixture_commit(fixture, txn, true, NULL) < 0);
	assert_false(fixture_is(fixture, "mode", "drain"));
}

struct sequence {
	unsigned called, failed;
	unsigned order[4000];
	sd_event *loop;
};

struct numbered {
	struct sequence *sequence;
	unsigned number;
};

static void note_call(void *data, int r, const struct err *err)
{
	struct numbered *numbered = data;
	struct sequence *sequence = numbered->sequence;

	assert_true(r < 0 ? err != NULL : err == NULL);
	sequence->order[sequence->called++] = numbered->number;
	sequence->failed += r < 0;
}

static void run_until(struct fixture *fixture, struct sequence *sequence, unsigned count)
{
	while (sequence->called < count)
		assert_true(sd_event_run(fixture->loop, DEADLINE_US) > 0);
}

static void callbacks_come_in_order_whatever_is_durable(void **state)
{
	enum { COUNT = 2000 };
	struct fixture *fixture = *state;
	struct sequence *sequence = calloc(1, sizeof(*sequence));
	struct numbered *numbered = calloc(COUNT, sizeof(*numbered));

	for (unsigned i = 0; i < COUNT; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%u", i);
		numbered[i] = (struct numbered){.sequence = sequence, .number = i};
		db_submit(fixture->db, fixture_set("last", value), i % 3 == 0, note_call,
			&numbered[i]);
	}
	run_until(fixture, sequence, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(sequence->order[i], i);
	assert_int_equal(sequence->failed, 0);
	assert_true(fixture_is(fixture, "last", "1999"));
	free(sequence);
	free(numbered);
}

static void one_bad_transaction_fails_alone_in_its_group(void **state)
{
	enum { COUNT = 300, BAD = 137 };
	struct fixture *fixture = *state;
	struct sequence *sequence = calloc(1, sizeof(*sequence));
	struct numbered *numbered = calloc(COUNT, sizeof(*numbered));

	for (unsigned i = 0; i < COUNT; i++) {
		struct db_txn *txn = txn_new();

		numbered[i] = (struct numbered){.sequence = sequence, .number = i};
		db_put_event(txn, i + 1, 1000, i == BAD ? "bad" : "{}");
		db_submit(fixture->db, txn, true, note_call, &numbered[i]);
	}
	run_until(fixture, sequence, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(sequence->order[i], i);
	assert_int_equal(sequence->failed, 1);
	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t found[2] = {0};

		assert_int_equal(db_list_events(fixture->db, i, 1, collect_number, found, NULL), 0);
		assert_int_equal(found[0], i == BAD ? i + 2 : i + 1);
	}
	free(sequence);
	free(numbered);
}

static void a_thousand_durable_transactions_share_few_fsyncs(void **state)
{
	enum { COUNT = 1000 };
	struct fixture *fixture = *state;
	struct sequence *sequence = calloc(1, sizeof(*sequence));
	struct numbered *numbered = calloc(COUNT, sizeof(*numbered));
	unsigned before = vfs_log_syncs();

	/* All come while the first is being written: as many as that would depend on who has the
	 * processor. */
	vfs_hold_syncs();
	for (unsigned i = 0; i < COUNT; i++) {
		numbered[i] = (struct numbered){.sequence = sequence, .number = i};
		db_submit(fixture->db, fixture_set("last", "1"), true, note_call, &numbered[i]);
	}
	vfs_release_syncs();
	run_until(fixture, sequence, COUNT);
	assert_int_equal(sequence->failed, 0);
	assert_in_range(vfs_log_syncs() - before, 1, 50);
	free(sequence);
	free(numbered);
}

static void only_durable_transactions_are_synced(void **state)
{
	struct fixture *fixture = *state;
	unsigned before;

	/* The first write to a new log syncs its header. */
	assert_int_equal(fixture_commit(fixture, fixture_set("a", "1"), false, NULL), 0);
	before = vfs_log_syncs();
	assert_int_equal(fixture_commit(fixture, fixture_set("a", "2"), false, NULL), 0);
	assert_int_equal(vfs_log_syncs(), before);
	assert_int_equal(fixture_commit(fixture, fixture_set("a", "3"), true, NULL), 0);
	assert_int_equal(vfs_log_syncs(), before + 1);
	assert_int_equal(fixture_commit(fixture, fixture_set("a", "4"), false, NULL), 0);
	assert_int_equal(vfs_log_syncs(), before + 1);
	assert_int_equal(fixture_commit(fixture, db_txn_create(), true, NULL), 0);
	assert_int_equal(vfs_log_syncs(), before + 2);
}

static void flush_waits_and_tells_of_a_failure(void **state)
{
	struct fixture *fixture = *state;
	struct sequence sequence = {0};
	struct numbered numbered = {.sequence = &sequence};
	struct db_txn *bad = txn_new();
	struct err err;

	db_submit(fixture->db, fixture_set("mode", "drain"), true, note_call, &numbered);
	assert_int_equal(db_flush(fixture->db, &err), 0);
	assert_int_equal(sequence.called, 1);
	db_put_event(bad, 1, 1000, "bad");
	db_submit(fixture->db, bad, false, note_call, &numbered);
	db_submit(fixture->db, fixture_set("mode", "active"), false, note_call, &numbered);
	assert_true(db_flush(fixture->db, &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_int_equal(sequence.called, 3);
	assert_true(fixture_is(fixture, "mode", "active"));
}

static void resubmit(void *data, int r, const struct err *err)
{
	struct fixture *fixture = data;

	(void)err;
	assert_int_equal(r, 0);
	db_submit(fixture->db, fixture_set("mode", "second"), true, NULL, NULL);
}

static void closing_commits_what_callbacks_submit(void **state)
{
	struct fixture *fixture = *state;

	db_submit(fixture->db, fixture_set("mode", "first"), false, resubmit, fixture);
	fixture_close(fixture);
	fixture_open(fixture);
	assert_true(fixture_is(fixture, "mode", "second"));
}

/* --- Pruning ---------------------------------------------------------------------------------- */

static void pruning_forgets_old_operations_and_events_only(void **state)
{
	enum { COUNT = 3000 };
	struct fixture *fixture = *state;
	struct operation found[8] = {0};
	uint64_t oldest, newest;
	struct db_txn *txn = txn_new();

	for (unsigned i = 0; i < COUNT; i++) {
		struct operation operation = fixture_operation(i);

		operation.state = i == 10 ? OPERATION_RUNNING : OPERATION_DONE;
		operation.ended_ms = i == 10 ? 0 : 10000 + i;
		db_put_operation(txn, &operation, NULL, NULL, NULL);
		db_put_event(txn, i + 1, 1000, "{}");
	}
	assert_int_equal(fixture_commit(fixture, txn, false, NULL), 0);
	db_prune(fixture->db, 10000 + COUNT - 2, 100);
	assert_int_equal(db_flush(fixture->db, NULL), 0);
	assert_int_equal(db_event_range(fixture->db, &oldest, &newest, NULL), 0);
	assert_int_equal(oldest, COUNT - 100 + 1);
	assert_int_equal(newest, COUNT);
	assert_int_equal(
		db_list_operations(fixture->db, NULL, NULL, 8, collect_operation, found, NULL), 0);
	assert_string_equal(found[0].id, fixture_operation(COUNT - 1).id);
	assert_string_equal(found[1].id, fixture_operation(COUNT - 2).id);
	assert_string_equal(found[2].id, fixture_operation(10).id);
	assert_string_equal(found[3].id, "");
}

static int install(void **state)
{
	(void)state;
	vfs_install();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(guests_come_back_as_they_were),
		TEST(a_guest_is_replaced_and_deleted_by_id),
		TEST(two_guests_of_one_name_are_refused),
		TEST(every_field_of_an_operation_comes_back),
		TEST(an_unknown_operation_is_not_found),
		TEST(a_step_moves_an_operation_and_keeps_its_arguments),
		TEST(a_step_of_no_operation_fails),
		TEST(finished_operations_are_not_unfinished),
		TEST(operations_are_listed_newest_first_by_target_and_in_pages),
		TEST(a_request_key_finds_its_operation_and_is_given_once),
		TEST(events_are_listed_from_a_number_on),
		TEST(settings_are_replaced_and_absent_ones_are_null),
		TEST(all_is_there_after_reopening),
		TEST(a_transaction_that_fails_changes_nothing),
		TEST(callbacks_come_in_order_whatever_is_durable),
		TEST(one_bad_transaction_fails_alone_in_its_group),
		TEST(a_thousand_durable_transactions_share_few_fsyncs),
		TEST(only_durable_transactions_are_synced),
		TEST(flush_waits_and_tells_of_a_failure),
		TEST(closing_commits_what_callbacks_submit),
		TEST(pruning_forgets_old_operations_and_events_only),
	};

	return cmocka_run_group_tests(tests, install, NULL);
}
