/* The engine's tables: operations by id and in the order of their acceptance, who waits for them,
 * and the lanes that give them their turn. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "agent/engine/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/random.h"

/* --- Operations ------------------------------------------------------------------------------ */

/* Sorts by time: 11 digits of milliseconds since the epoch, then 5 random ones. */
static void make_id(char id[static OPERATION_ID_LEN + 1])
{
	char tail[6];

	random_hex(tail, 5);
	snprintf(id, OPERATION_ID_LEN + 1, "%011llx%s",
		(unsigned long long)clock_realtime_ms() & 0xfffffffffffULL, tail);
}

struct op *op_create(struct engine *engine, const struct op_verb *verb, json_t *args)
{
	struct op *op = calloc(1, sizeof(*op));
	struct op_private *private = calloc(1, sizeof(*private));

	if (!op || !private) {
		free(op);
		free(private);
		json_decref(args);
		return NULL;
	}
	private->engine = engine;
	op->private = private;
	op->verb = verb;
	op->args = args;
	op->agent = engine->hooks.agent;
	make_id(op->info.id);
	snprintf(op->info.verb, sizeof(op->info.verb), "%s", verb->name);
	op->info.state = OPERATION_QUEUED;
	op->info.steps_count = (uint32_t)verb->steps_count;
	op->info.created_ms = clock_realtime_ms();
	return op;
}

void op_discard(struct op *op)
{
	if (op->data && op->verb->release)
		op->verb->release(op);
	sd_event_source_disable_unref(op->private->retry);
	json_decref(op->args);
	free(op->request_key);
	free(op->request_hash);
	free(op->private);
	free(op);
}

void op_notify(struct op *op, enum op_moment moment, const struct err *rejected)
{
	struct op_waiter *waiter, *tmp;

	DL_FOREACH_SAFE(op->private->waiters, waiter, tmp)
	{
		if (waiter->moment != moment && !rejected)
			continue;
		DL_DELETE(op->private->waiters, waiter);
		waiter->fn(waiter->data, op, rejected);
		free(waiter);
	}
}

struct op_waiter *op_wait(struct op *op, enum op_moment moment, op_wait_fn fn, void *data)
{
	struct op_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		return NULL;
	*waiter = (struct op_waiter){.moment = moment, .fn = fn, .data = data, .op = op};
	DL_APPEND(op->private->waiters, waiter);
	return waiter;
}

void op_wait_cancel(struct op_waiter *waiter)
{
	DL_DELETE(waiter->op->private->waiters, waiter);
	free(waiter);
}

bool op_is_accepted(const struct op *op)
{
	return op->private->accepted;
}

/* --- Lanes ----------------------------------------------------------------------------------- */

static int enter_lane(struct engine *engine, struct op *op, size_t i)
{
	struct lane_place *place = &op->private->places[i];
	struct lane *lane;

	HASH_FIND_STR(engine->lanes, op->lanes[i], lane);
	if (!lane) {
		lane = calloc(1, sizeof(*lane));
		if (!lane)
			return -ENOMEM;
		snprintf(lane->key, sizeof(lane->key), "%s", op->lanes[i]);
		HASH_ADD_STR(engine->lanes, key, lane);
	}
	place->op = op;
	DL_APPEND(lane->places, place);
	lane->count++;
	return 0;
}

static void leave_lane(struct engine *engine, struct op *op, size_t i)
{
	struct lane *lane;

	HASH_FIND_STR(engine->lanes, op->lanes[i], lane);
	if (!lane || !op->private->places[i].op)
		return;
	DL_DELETE(lane->places, &op->private->places[i]);
	op->private->places[i].op = NULL;
	if (--lane->count == 0) {
		HASH_DEL(engine->lanes, lane);
		free(lane);
	}
}

bool engine_heads_lanes(struct engine *engine, const struct op *op)
{
	for (size_t i = 0; i < OP_LANES_MAX; i++) {
		struct lane *lane;

		if (!op->lanes[i][0])
			continue;
		HASH_FIND_STR(engine->lanes, op->lanes[i], lane);
		if (!lane || lane->places->op != op)
			return false;
	}
	return true;
}

size_t engine_lane_pending(const struct engine *engine, const char *key)
{
	struct lane *lane;

	HASH_FIND_STR(engine->lanes, key, lane);
	return lane ? lane->count : 0;
}

/* --- The engine's tables --------------------------------------------------------------------- */

int engine_enlist(struct engine *engine, struct op *op)
{
	struct op_index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < OP_LANES_MAX; i++)
		if (op->lanes[i][0] && enter_lane(engine, op, i) < 0) {
			leave_lane(engine, op, 0);
			free(index);
			return -ENOMEM;
		}
	index->op = op;
	memcpy(index->id, op->info.id, sizeof(index->id));
	HASH_ADD_STR(engine->by_id, id, index);
	DL_APPEND(engine->order, index);
	engine->count++;
	engine->accepted++;
	return 0;
}

void engine_delist(struct op *op)
{
	struct engine *engine = op->private->engine;
	struct op_index *index;

	HASH_FIND_STR(engine->by_id, op->info.id, index);
	if (index) {
		HASH_DEL(engine->by_id, index);
		DL_DELETE(engine->order, index);
		free(index);
		engine->count--;
	}
	for (size_t i = 0; i < OP_LANES_MAX; i++)
		if (op->lanes[i][0])
			leave_lane(engine, op, i);
	if (op->private->begun && op->op_class)
		op->op_class->running--;
	op_discard(op);
}

struct op *engine_find(struct engine *engine, const char *id)
{
	struct op_index *index;

	HASH_FIND_STR(engine->by_id, id, index);
	return index ? index->op : NULL;
}

struct op *engine_find_request(struct engine *engine, const char *request_key)
{
	struct op_index *index;

	DL_FOREACH (engine->order, index)
		if (index->op->request_key && strcmp(index->op->request_key, request_key) == 0)
			return index->op;
	return NULL;
}

uint64_t engine_accepted(const struct engine *engine)
{
	return engine->accepted;
}

size_t engine_pending(const struct engine *engine)
{
	return engine->count;
}

void engine_each(struct engine *engine, void (*each)(void *data, const struct op *op), void *data)
{
	struct op_index *index;

	DL_FOREACH (engine->order, index)
		each(data, index->op);
}
