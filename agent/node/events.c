/* Events: numbering, and the streams of those who listen. */
#include "agent/node/events.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/http/http.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"

/* More numbers than can be waiting for the disk when the power goes. */
#define BOOT_GAP UINT64_C(100000)

/* How many old events are read from state.db at once for a listener that resumes. */
#define REPLAY_PAGE 500

struct pending {
	uint64_t number;
	char *record; /* "id: …\nevent: …\ndata: …\n\n" */
	struct pending *next;
};

struct stream {
	struct events *events;
	struct http_events *http;
	uint64_t last; /* number of the newest event it got */
	bool behind;   /* gets pages from state.db, and what is new there too */
	bool follow;
	struct stream *next, *prev;
};

struct events {
	struct db *db;
	uint64_t newest;
	struct pending *pending;
	struct stream *streams;
};

int events_create(struct db *db, bool fresh_boot, struct events **ret, struct err *err)
{
	struct events *events;
	uint64_t oldest, newest;
	int r;

	r = db_event_range(db, &oldest, &newest, err);
	if (r < 0)
		return r;
	events = calloc(1, sizeof(*events));
	if (!events)
		return err_errno(err, ENOMEM, "cannot make the table of events");
	events->db = db;
	events->newest = newest + (fresh_boot && newest ? BOOT_GAP : 0);
	*ret = events;
	return 0;
}

static void pending_free(struct pending *pending)
{
	free(pending->record);
	free(pending);
}

static void stream_close(struct stream *stream)
{
	DL_DELETE(stream->events->streams, stream);
	http_events_close(stream->http);
	free(stream);
}

struct events *events_destroy(struct events *events)
{
	struct pending *pending, *tmp;
	struct stream *stream, *stream_tmp;

	if (!events)
		return NULL;
	LL_FOREACH_SAFE(events->pending, pending, tmp)
	pending_free(pending);
	DL_FOREACH_SAFE(events->streams, stream, stream_tmp)
	stream_close(stream);
	free(events);
	return NULL;
}

/* A server-sent event (WHATWG HTML, 9.2.6) of one line of JSON. */
static char *render(uint64_t number, const char *json)
{
	struct strbuf buf = {0};
	json_t *event = json_loads(json, 0, NULL);
	const char *type = json_string_value(json_object_get(event, "type"));

	strbuf_addf(&buf, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)number,
		type ? type : "message", json);
	json_decref(event);
	return strbuf_take(&buf);
}

void events_publish(struct events *events, struct db_txn *txn, const char *type, json_t *fields)
{
	struct pending *pending = calloc(1, sizeof(*pending));
	int64_t now = clock_realtime_ms();
	uint64_t number = ++events->newest;
	AUTOFREE char *text = NULL;
	json_t *json;

	json = json_pack("{s:I, s:s, s:s}", "number", (json_int_t)number, "time", FMT_TIME(now),
		"type", type);
	json_object_update_missing(json, fields);
	json_decref(fields);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!pending || !text || !(pending->record = render(number, text))) {
		free(pending);
		return; /* without memory: the number stays unused */
	}
	pending->number = number;
	LL_APPEND(events->pending, pending);
	db_put_event(txn, number, now, text);
}

uint64_t events_newest(const struct events *events)
{
	return events->newest;
}

/* To one stream, unless it read the event from state.db before. False: the listener is too slow,
 * the server has closed the stream and calls stream_gone later. */
static bool send_record(struct stream *stream, uint64_t number, const char *record)
{
	if (number <= stream->last)
		return true;
	stream->last = number;
	return http_events_send(stream->http, record, strlen(record));
}

static void deliver(struct events *events, const struct pending *pending)
{
	struct stream *stream, *tmp;

	DL_FOREACH_SAFE(events->streams, stream, tmp)
	if (!stream->behind)
		send_record(stream, pending->number, pending->record);
}

void events_committed(struct events *events, uint64_t number)
{
	while (events->pending && events->pending->number <= number) {
		struct pending *pending = events->pending;

		LL_DELETE(events->pending, pending);
		deliver(events, pending);
		pending_free(pending);
	}
}

void events_dropped(struct events *events, uint64_t after, uint64_t number)
{
	struct pending *pending, *tmp;

	LL_FOREACH_SAFE(events->pending, pending, tmp)
	{
		if (pending->number <= after || pending->number > number)
			continue;
		LL_DELETE(events->pending, pending);
		pending_free(pending);
	}
}

/* --- Streams --------------------------------------------------------------------------------- */

static void stream_gone(void *data)
{
	struct stream *stream = data;

	DL_DELETE(stream->events->streams, stream);
	free(stream);
}

struct replay {
	struct stream *stream;
	unsigned count;
};

static int replay_one(void *data, uint64_t number, const char *json)
{
	struct replay *replay = data;
	AUTOFREE char *record = render(number, json);

	if (!record || !send_record(replay->stream, number, record))
		return -EPIPE;
	replay->count++;
	return 0;
}

/* The next page of what state.db has above the last, when the one before is on its way: never more
 * than a stream may have waiting. What is committed after the last page reaches it by deliver. */
static void catch_up(void *data)
{
	struct stream *stream = data;
	struct replay replay = {.stream = stream};
	int r = db_list_events(
		stream->events->db, stream->last, REPLAY_PAGE, replay_one, &replay, NULL);

	if (r == -EPIPE)
		return; /* cut off */
	if (r == 0 && replay.count == REPLAY_PAGE)
		return;
	stream->behind = false;
	http_events_when_drained(stream->http, NULL);
	/* After a failed read the listener comes again with the last number it saw. */
	if (r < 0 || !stream->follow)
		stream_close(stream);
}

static void tell_gap(struct stream *stream, uint64_t from, uint64_t to)
{
	char record[200];
	int n = snprintf(record, sizeof(record),
		"event: gap\ndata: {\"number\":%llu,\"time\":\"%s\",\"type\":\"gap\",\"from\":%llu,"
		"\"to\":%llu}\n\n",
		(unsigned long long)to, FMT_TIME(clock_realtime_ms()), (unsigned long long)from,
		(unsigned long long)to);

	http_events_send(stream->http, record, (size_t)n);
}

/* What is missing between the number a listener gives and the events that are kept: forgotten ones,
 * or, when its number is not ours yet, all. */
static void check_gap(struct stream *stream, uint64_t oldest)
{
	uint64_t newest = stream->events->newest;

	if (stream->last > newest) {
		tell_gap(stream, 1, newest);
		stream->last = newest;
	} else if (oldest > stream->last + 1) {
		tell_gap(stream, stream->last + 1, oldest - 1);
	}
}

void events_stream(struct events *events, struct http_request *request, uint64_t after, bool follow)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	uint64_t oldest = 0, newest = 0;
	struct err err;

	if (!stream || db_event_range(events->db, &oldest, &newest, &err) < 0) {
		free(stream);
		err_set(&err, ERR_UNAVAILABLE, NULL, "the events cannot be read now, try again");
		http_respond_error(request, &err, NULL);
		return;
	}
	stream->events = events;
	stream->last = after;
	stream->behind = true;
	stream->follow = follow;
	DL_APPEND(events->streams, stream);
	stream->http = http_respond_events(request, stream_gone, stream);
	if (!stream->http) {
		stream_gone(stream);
		return;
	}
	check_gap(stream, oldest);
	http_events_when_drained(stream->http, catch_up);
	catch_up(stream);
}
