/* What callers put into transactions. */
#include <errno.h>
#include <stdlib.h>

#include "agent/state/internal.h"
#include "agent/state/txn.h"
#include "base/cleanup.h"

/* Takes the reference. NULL without memory, as is NULL itself. */
static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

void db_put_guest(struct db_txn *txn, const struct guest *guest)
{
	AUTOFREE char *record = dump(guest_to_record(guest));

	if (record)
		txn_add(txn, WRITE_GUEST, "ttt", guest->id, guest->name, record);
	else
		txn->no_memory = true;
}

void db_delete_guest(struct db_txn *txn, const char *id)
{
	txn_add(txn, WRITE_GUEST_DELETE, "t", id);
}

void db_put_operation(struct db_txn *txn, const struct operation *operation, const json_t *args,
	const char *request_key, const char *request_hash)
{
	AUTOFREE char *args_text = args ? json_dumps(args, JSON_COMPACT) : NULL;

	if (args && !args_text)
		txn->no_memory = true;
	txn_add(txn, WRITE_OPERATION,
		"tttttt"
		"iiiiiii"
		"titt"
		"ttt",
		operation->id, operation->verb, operation->guest_id, operation->target,
		operation_state_to_string(operation->state), operation->step,
		(int64_t)operation->step_index, (int64_t)operation->steps_count,
		(int64_t)operation->uid, operation->created_ms, operation->started_ms,
		operation->ended_ms, (int64_t)operation->cancel_requested,
		err_code_to_string(operation->error.code), (int64_t)operation->error.errnum,
		operation->error.field, operation->error.message, args_text, request_key,
		request_hash);
}

void db_put_step(struct db_txn *txn, const char *operation_id, enum operation_state state,
	uint32_t index, const char *step)
{
	txn_add(txn, WRITE_STEP, "titt", operation_state_to_string(state), (int64_t)index, step,
		operation_id);
}

void db_put_event(struct db_txn *txn, uint64_t number, int64_t time_ms, const char *json)
{
	txn_add(txn, WRITE_EVENT, "iit", (int64_t)number, time_ms, json);
}

void db_put_setting(struct db_txn *txn, const char *key, const char *value)
{
	txn_add(txn, WRITE_SETTING, "tt", key, value);
}
