/* Events: numbered facts about what changed, kept in state.db and streamed to whoever listens.
 *
 * An event is published inside the transaction that records what it tells of, and reaches listeners
 * only after that is committed: nobody hears of a change that a crash then takes back. Numbers only
 * grow. A listener that gives the last number it saw gets all that came after it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct db;
struct db_txn;
struct err;
struct events;
struct http_request;

/* `fresh_boot`: the machine was started since the last event was numbered, and the last ones may
 * not have reached the disk; their numbers are left out. */
int events_create(struct db *db, bool fresh_boot, struct events **ret, struct err *err);
struct events *events_destroy(struct events *events);

/* Adds an event to the transaction. `type` is "guest.state", "operation.step", …; `fields` are its
 * other fields, an object that is taken over. */
void events_publish(struct events *events, struct db_txn *txn, const char *type, json_t *fields);

/* Number of the newest event published, committed or not. */
uint64_t events_newest(const struct events *events);

/* All events up to that number are committed: listeners get them. */
void events_committed(struct events *events, uint64_t number);

/* Events that were not committed (the transaction failed) are dropped. */
void events_dropped(struct events *events, uint64_t after, uint64_t number);

/* Answers a request with a stream that begins after event `after`. When some that came after it are
 * not kept any more, an event of type "gap" comes first: read everything anew. Without `follow` the
 * stream ends after what was kept. */
void events_stream(
	struct events *events, struct http_request *request, uint64_t after, bool follow);
