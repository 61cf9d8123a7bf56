/* The operation engine: runs every change as a row of small steps, journalled before each, undone
 * backwards when one fails, and taken up again after the agent died.
 *
 * The engine knows nothing of guests. A verb (struct op_verb) gives it the steps; lanes give it the
 * order: operations that share a lane (a guest's id, an image's name) run one after the other in
 * the order of their acceptance, all others side by side, up to the limit of their class (a
 * driver).
 *
 *     accepted (durable) → queued → step 0 → step 1 → … → done
 *                                      └ failed or cancelled → undo … → failed | cancelled
 *
 * Before a step is begun the journal says so; so after a crash the step that was under way, and
 * none beyond it, may have touched the host. Since every step can be repeated, it is begun again;
 * when the operation was being undone, undoing goes on. Everything here runs on the loop's thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/operation.h"

struct db_txn;
struct engine;
struct err;
struct op;

/* One step. `apply` and `undo` begin the work and arrange for op_step_done to be called exactly
 * once, at once or later. Both can be repeated. `undo` NULL: there is nothing to take back. */
struct step {
	const char *name;
	void (*apply)(struct op *op);
	void (*undo)(struct op *op);
};

struct op_verb {
	const char *name; /* "guest.create": stable, kept in the journal */
	/* Verbs of one name may have different steps, told apart by what `args` says: only the
	 * first of them stands in the table, and gives the one that an operation from the journal
	 * was made of. NULL: there is only this one. */
	const struct op_verb *(*variant)(const json_t *args);
	const struct step *steps;
	size_t steps_count;
	/* A failed step is not undone: the verb can only be finished, by the next of its kind. */
	bool forward_only;
	/* After a restart, before the operation is queued again: sets its lanes and class, and
	 * takes again in memory what its acceptance took. A failure ends it as failed, without
	 * undoing. */
	int (*restore)(struct op *op, struct err *err);
	/* The last check before step 0, when all that was accepted before has ended; may amend
	 * op->args and add rows to the transaction that journals the first step. Not called again
	 * when a begun operation is taken up. NULL: none. */
	int (*begin)(struct op *op, struct db_txn *txn, struct err *err);
	/* The operation has ended (op->info.state and .error tell how): changes the tables in
	 * memory, and adds their rows to the transaction that records the end. */
	void (*end)(struct op *op, struct db_txn *txn);
	/* Acceptance could not be written down: takes back what was reserved in memory. */
	void (*reject)(struct op *op);
	/* Its end was asked for while a step is under way, which may give up what it waits for; it
	 * ends by op_step_done all the same. NULL: the step is waited for. */
	void (*cancel)(struct op *op);
	/* Frees op->data. */
	void (*release)(struct op *op);
};

/* A limit on operations that run side by side. Owned by the caller, outlives the operations. */
struct op_class {
	unsigned limit;
	unsigned running;
};

#define OP_LANES_MAX	2
#define OP_LANE_KEY_MAX (IMAGE_NAME_MAX + 16)

struct op {
	struct operation info; /* as the API shows it; verb, target, uid are the creator's to set */
	const struct op_verb *verb;
	json_t *args;			  /* what the steps need to know, journalled; owned */
	void *data;			  /* the verb's own */
	void *agent;			  /* the engine's context */
	struct op_class *op_class;	  /* NULL: no limit */
	char *request_key, *request_hash; /* owned; NULL: the request had no key */
	char lanes[OP_LANES_MAX][OP_LANE_KEY_MAX + 1]; /* empty: unused */
	struct op_private *private;
};

struct engine_hooks {
	void *agent; /* becomes op->agent */
	/* Commits a transaction; `done` on the loop. */
	void (*commit)(void *agent, struct db_txn *txn, bool durable,
		void (*done)(void *data, int r, const struct err *err), void *data);
	/* The operation changed its state or step: publish an event in this transaction. */
	void (*changed)(void *agent, const struct op *op, struct db_txn *txn);
	/* The transaction of its end could not be written: adds to another what the tables in
	 * memory say, by now, about all that it changed. */
	void (*rows)(void *agent, const struct op *op, struct db_txn *txn);
};

int engine_create(sd_event *loop, const struct engine_hooks *hooks,
	const struct op_verb *const *verbs /* ends with NULL */, struct engine **ret,
	struct err *err);

/* Operations that have not ended stay in the journal. Accepts NULL, returns NULL. */
struct engine *engine_destroy(struct engine *engine);

/* A new operation of a verb of the table, not yet submitted; `args` is taken over. NULL without
 * memory. */
struct op *op_create(struct engine *engine, const struct op_verb *verb, json_t *args);

/* Drops an operation that was not submitted. */
void op_discard(struct op *op);

/* Accepts it: takes its place in its lanes now, writes it durably together with what else is in
 * `txn` (taken over), then runs it. */
void engine_submit(struct engine *engine, struct op *op, struct db_txn *txn);

/* Takes up an operation from the journal; call in the order of acceptance, then engine_start. */
int engine_resume(
	struct engine *engine, const struct operation *info, json_t *args, struct err *err);

/* Begins to run operations. */
void engine_start(struct engine *engine);

/* Stops beginning new operations and steps; for a clean end. */
void engine_stop(struct engine *engine);

/* How many were accepted, or taken up, since the start: tells whether there was one in between. */
uint64_t engine_accepted(const struct engine *engine);

/* How many have not ended, and how many hold or await the lane of that key. */
size_t engine_pending(const struct engine *engine);
size_t engine_lane_pending(const struct engine *engine, const char *key);

/* An operation that has not ended, or NULL: by its id, or by the key of its request. */
struct op *engine_find(struct engine *engine, const char *id);
struct op *engine_find_request(struct engine *engine, const char *request_key);

/* Calls `each` for those that have not ended, oldest first. */
void engine_each(struct engine *engine, void (*each)(void *data, const struct op *op), void *data);

/* Asks for its end: a queued one ends at once, a running one after its step, by undoing.
 * ERR_CONFLICT for a verb that can only go forward. */
int engine_cancel(struct op *op, struct err *err);

/* --- For steps ------------------------------------------------------------------------------- */

/* The current step does one more thing side by side: it ends when op_step_done was called once more
 * than so far, with the first error of all. */
void op_step_also(struct op *op);

/* A step has amended op->args: they are journalled with what comes next. */
void op_args_changed(struct op *op);

/* Ends the current step (or undo step): r is 0 or negative, with *err then. ERR_UNAVAILABLE is
 * tried again a few times, with pauses, before it counts. */
void op_step_done(struct op *op, int r, const struct err *err);

/* Whether its acceptance is on disk. */
bool op_is_accepted(const struct op *op);

/* --- Waiting --------------------------------------------------------------------------------- */

enum op_moment { OP_ACCEPTED, OP_ENDED };

/* Called once, when the moment is reached; `rejected` is set when acceptance could not be written.
 */
typedef void (*op_wait_fn)(void *data, const struct op *op, const struct err *rejected);

struct op_waiter;
struct op_waiter *op_wait(struct op *op, enum op_moment moment, op_wait_fn fn, void *data);
void op_wait_cancel(struct op_waiter *waiter);
