/* What the files of the engine share: the tables (table.c) that the walk (engine.c) works on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>
#include <uthash.h>

#include "agent/engine/engine.h"
#include "base/err.h"

struct op_waiter {
	enum op_moment moment;
	op_wait_fn fn;
	void *data;
	struct op *op;
	struct op_waiter *next, *prev;
};

/* Place of an operation in one lane. */
struct lane_place {
	struct op *op;
	struct lane_place *next, *prev;
};

struct lane {
	char key[OP_LANE_KEY_MAX + 1];
	struct lane_place *places;
	size_t count;
	UT_hash_handle hh;
};

struct op_private {
	struct engine *engine;
	bool accepted;
	bool begun;	 /* holds its lanes' heads and its class */
	bool row_behind; /* more than its step is not in the journal yet */
	unsigned attempts;
	unsigned parts; /* of the current step that have not ended */
	struct err part_err;
	int part_r;
	sd_event_source *retry;
	struct lane_place places[OP_LANES_MAX];
	struct op_waiter *waiters;
};

struct engine {
	sd_event *loop;
	struct engine_hooks hooks;
	const struct op_verb *const *verbs;
	bool started;
	bool scheduling;
	struct op_index {
		struct op *op;
		char id[OPERATION_ID_LEN + 1];
		struct op_index *next, *prev;
		UT_hash_handle hh;
	} * by_id, *order;
	size_t count;
	uint64_t accepted;
	struct lane *lanes;
};

/* Takes a place in the lanes and in the tables. -ENOMEM, and nothing is taken. */
int engine_enlist(struct engine *engine, struct op *op);

/* Takes an operation out of all tables and frees it; others may run now. */
void engine_delist(struct op *op);

/* Whether nothing accepted before it in its lanes is still there. */
bool engine_heads_lanes(struct engine *engine, const struct op *op);

/* Tells those who wait for that moment, or, when it was rejected, all. */
void op_notify(struct op *op, enum op_moment moment, const struct err *rejected);
