/* state.db: what should be, and the journal of what is being done about it.
 *
 * SQLite in WAL mode, schema versioned by PRAGMA user_version. One writer thread owns the writing
 * connection: the loop queues transactions, the thread takes all that have gathered into one commit
 * (a group), and reports back through the loop. A transaction is atomic and ordered after those
 * queued before it. `durable` ones are on disk (fsync) before their callback; the others are safe
 * against our own death at once and against the machine's with the next durable one.
 *
 * Reads use a second connection on the loop's thread; they see what is committed. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/guest.h"
#include "model/operation.h"

struct db;
struct db_txn;
struct err;

/* Opens, makes or migrates the file; its directory must exist. Beside it lie the log (PATH-wal) and
 * the mark (PATH-mark), which tells how many durable commits the file must hold.
 *
 * A file that is damaged, gone, or lacks what was called durable is left as it is, time after time,
 * and ERR_UNAVAILABLE is returned with advice: an agent that began with an empty state would take
 * running guests for leftovers. With `salvage` what can be read of it is kept, and the damaged file
 * is moved aside (PATH.damaged-TIME). A schema newer than ours is ERR_UNSUPPORTED, a file that
 * another process has open this way ERR_CONFLICT. */
int db_open(sd_event *loop, const char *path, bool salvage, struct db **ret, struct err *err);

/* Commits what is queued, calls all callbacks. Accepts NULL, returns NULL. */
struct db *db_close(struct db *db);

/* --- Writing: gather changes in a transaction, then submit it ----------------------------------
 */

struct db_txn *db_txn_create(void); /* NULL without memory; later failures show at submit */
void db_txn_abandon(struct db_txn *txn);

void db_put_guest(struct db_txn *txn, const struct guest *guest); /* insert or replace by id */
void db_delete_guest(struct db_txn *txn, const char *id);

/* The whole operation row: insert or replace by id. `args` is what its steps need (JSON object);
 * NULL leaves the stored one. `request_key` and `request_hash` (of method, path and body) may be
 * NULL; they are stored once. */
void db_put_operation(struct db_txn *txn, const struct operation *operation, const json_t *args,
	const char *request_key, const char *request_hash);

/* Journal: the operation is now at step `index` (state and step name go with it). */
void db_put_step(struct db_txn *txn, const char *operation_id, enum operation_state state,
	uint32_t index, const char *step);

/* Event `number` with its rendered JSON. */
void db_put_event(struct db_txn *txn, uint64_t number, int64_t time_ms, const char *json);

/* Small settings: node mode, boot id, … */
void db_put_setting(struct db_txn *txn, const char *key, const char *value);

/* `r` is 0 or a negative errno (disk full, …); *err tells. On the loop. */
typedef void (*db_done_fn)(void *data, int r, const struct err *err);

/* Takes the transaction over; `done` may be NULL, failures are then logged. Callbacks come in the
 * order of submission. A transaction that fails changes nothing and does not keep later ones from
 * being tried: ERR_NO_ROOM on a full disk, ERR_CONFLICT for a guest's name or a request key that is
 * taken, ERR_NOT_FOUND for a step of an operation that is not there. An empty durable transaction
 * is a barrier: all before it is on disk. */
void db_submit(struct db *db, struct db_txn *txn, bool durable, db_done_fn done, void *data);

/* Blocks until all that was queued is committed and its callbacks are called: start and stop.
 * Returns the first failure among them, which their callbacks got as well. */
int db_flush(struct db *db, struct err *err);

/* --- Reading -----------------------------------------------------------------------------------
 * A negative return of `each` ends the reading and is returned; *err is then its own to fill. While
 * it runs, the function that called it must not be called again. */

int db_load_guests(struct db *db, int (*each)(void *data, struct guest *guest /* taken over */),
	void *data, struct err *err);

/* Unfinished operations, oldest first; `args` is borrowed, NULL when none were stored. */
int db_load_unfinished(struct db *db,
	int (*each)(void *data, const struct operation *operation, json_t *args), void *data,
	struct err *err);

/* ERR_NOT_FOUND. `ret_args` (may be NULL) gets what its steps needed to know: a new reference, NULL
 * when nothing was stored. */
int db_get_operation(
	struct db *db, const char *id, struct operation *ret, json_t **ret_args, struct err *err);

/* The operation begun with that key: its id and the stored hash; ERR_NOT_FOUND. */
int db_find_request(struct db *db, const char *request_key, char ret_id[OPERATION_ID_LEN + 1],
	char ret_hash[65], struct err *err);

/* Newest first, at most `limit`, older than operation `before` when not NULL (ERR_NOT_FOUND when it
 * is not there), of one guest or image name when `target` is not NULL. */
int db_list_operations(struct db *db, const char *before, const char *target, unsigned limit,
	int (*each)(void *data, const struct operation *operation), void *data, struct err *err);

/* Events numbered above `after`, oldest first, at most `limit`. */
int db_list_events(struct db *db, uint64_t after, unsigned limit,
	int (*each)(void *data, uint64_t number, const char *json), void *data, struct err *err);

/* Number of the newest event and of the oldest kept; 0 when there is none. */
int db_event_range(struct db *db, uint64_t *ret_oldest, uint64_t *ret_newest, struct err *err);

/* NULL when unset; the caller frees it. */
int db_get_setting(struct db *db, const char *key, char **ret, struct err *err);

/* Forgets finished operations that ended before `before_ms` and events beyond the newest
 * `keep_events`. On the writer thread, in pieces that hold nobody up; no callback. */
void db_prune(struct db *db, int64_t before_ms, uint64_t keep_events);
