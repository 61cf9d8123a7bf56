/* A world for tests of the engine: a real state.db and a real loop, and verbs whose steps do what
 * the test tells them. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent/engine/engine.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"

#define DEADLINE_US (60 * 1000000)

struct world {
	char dir[64];
	sd_event *loop;
	struct db *db;
	struct engine *engine;
	char trace[1024]; /* what was done, in order: "op:step" and "op:-step" for undo */
	const char *fail_step;
	enum err_code fail_code;
	unsigned fail_times;
	const char *hold_step; /* is not ended: the operation stands in it */
	struct op *held;
	unsigned ended, running, most_running;
	bool resumed_begun;    /* the args of the last taken up have what `begin` noted */
	unsigned commits_fail; /* so many of those to come */
	unsigned rows;	       /* how often the tables were asked for theirs */
	struct operation last; /* that ended */
};

#define STEPS_COUNT 3

/* "test.both" and "test.forward": steps one, two and three; all but two can be undone. Told by
 * their args: "refuse", "lost", "full_at_end"; "note": step two notes "noted". With "short" the
 * first has only the step three, and NOTE_LAST ends with two. */
extern const struct step STEPS[STEPS_COUNT];
extern const struct op_verb BOTH_WAYS, SHORT_WAY, NOTE_LAST, FORWARD;
extern struct op_class g_class;

/* What these verbs are made of. */
void step_apply(struct op *op);
void step_undo(struct op *op);
int world_begin(struct op *op, struct db_txn *txn, struct err *err);
int world_restore(struct op *op, struct err *err);
void world_end(struct op *op, struct db_txn *txn);

struct world *world_of(const struct op *op);

/* cmocka's; *state is the world. */
int world_setup(void **state);
int world_teardown(void **state);

struct op *submit_args(struct world *w, const struct op_verb *verb, const char *lane, json_t *args);
struct op *submit(struct world *w, const struct op_verb *verb, const char *lane);
void run_until_ended(struct world *w, unsigned count);
void run_until_held(struct world *w);
/* One of lane "a" that undoes its steps, cancelled in the first of them, which is held. */
void cancel_in_step_one(struct world *w);

/* The step fails so often. */
void fail_at(struct world *w, const char *step, enum err_code code, unsigned times);

/* As after the death of the process: what was under way is in the journal only. */
void restart(struct world *w);
/* The same, and nothing stands any more. */
void restart_and_end(struct world *w, unsigned count);

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
