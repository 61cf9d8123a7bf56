/* Event streams (server-sent events): a queue for each, from which libmicrohttpd takes what the
 * client's socket has room for. An empty one leaves its connection suspended. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/log.h"

#define QUEUE_MAX   (1024 * 1024)
#define BLOCK	    4096
#define EVENTS_TYPE "text/event-stream"

struct http_events {
	struct http_request *request;
	void (*gone)(void *data);
	void (*drained)(void *data);
	void *data;
	struct strbuf queue;
	size_t sent;   /* of the queue */
	bool closed;   /* by its owner; what is queued is still sent */
	bool overrun;  /* the client is too slow and is being cut off */
	bool was_used; /* since the last ping */
	struct http_events *prev, *next;
};

struct http_events *http_respond_events(
	struct http_request *request, void (*gone)(void *data), void *data)
{
	struct http_events *stream;

	/* The library would end the body that HEAD leaves out. */
	if (!request->connection || request->head) {
		http_respond_text(request, 200, EVENTS_TYPE, "", 0);
		return NULL;
	}
	stream = calloc(1, sizeof(*stream));
	if (!stream) {
		http_respond_empty(request, 503);
		return NULL;
	}
	stream->request = request;
	stream->gone = gone;
	stream->data = data;
	DL_APPEND(request->server->streams, stream);
	server_plan_ping(request->server);
	request->events = stream;
	http_add_header(request, "Cache-Control", "no-store");
	http_respond_text(request, 200, EVENTS_TYPE, "", 0);
	return stream;
}

void http_events_when_drained(struct http_events *stream, void (*drained)(void *data))
{
	stream->drained = drained;
}

static ssize_t next_piece(void *data, uint64_t position, char *buf, size_t max)
{
	struct http_events *stream = data;
	size_t left, n;

	(void)position;
	if (stream->request->gone || stream->overrun || stream->request->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (stream->queue.used == stream->sent && stream->drained)
		stream->drained(stream->data);
	left = stream->queue.used - stream->sent;
	n = left < max ? left : max;
	if (left == 0) {
		if (stream->closed)
			return MHD_CONTENT_READER_END_OF_STREAM;
		request_suspend(stream->request);
		return 0;
	}
	memcpy(buf, stream->queue.text + stream->sent, n);
	stream->sent += n;
	if (n == left) {
		strbuf_finish(&stream->queue);
		stream->sent = 0;
	}
	return (ssize_t)n;
}

struct MHD_Response *events_response(struct http_events *stream)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, next_piece, stream, NULL);
}

static void cut_off(struct http_events *stream)
{
	log_info("http.events_overrun", "uid=%u queued=%zu", http_peer_uid(stream->request),
		stream->queue.used - stream->sent);
	stream->overrun = true;
	shutdown(stream->request->connection->fd, SHUT_RDWR);
	request_resume(stream->request);
}

/* Moves what waits to the front once as much has been sent, so that the queue stays bounded. */
static void compact(struct http_events *stream)
{
	struct strbuf *queue = &stream->queue;

	if (stream->sent == 0 || stream->sent < queue->used / 2)
		return;
	memmove(queue->text, queue->text + stream->sent, queue->used - stream->sent);
	queue->used -= stream->sent;
	stream->sent = 0;
}

bool http_events_send(struct http_events *stream, const char *text, size_t size)
{
	if (stream->overrun)
		return false;
	if (size > QUEUE_MAX - (stream->queue.used - stream->sent)) {
		cut_off(stream);
		return false;
	}
	compact(stream);
	strbuf_add_bytes(&stream->queue, text, size);
	if (stream->queue.failed) {
		cut_off(stream);
		return false;
	}
	stream->was_used = true;
	request_resume(stream->request);
	return true;
}

void http_events_close(struct http_events *stream)
{
	stream->closed = true;
	stream->gone = NULL;
	stream->drained = NULL;
	request_resume(stream->request);
}

void events_finish(struct http_events *stream)
{
	DL_DELETE(stream->request->server->streams, stream);
	if (stream->gone)
		stream->gone(stream->data);
	strbuf_finish(&stream->queue);
	free(stream);
}

/* A line that clients skip: it keeps proxies from closing, and shows us who is gone. */
static void ping(struct http_events *stream)
{
	static const char PING[] = ": ping\n\n";

	if (!stream->was_used && !stream->closed)
		http_events_send(stream, PING, sizeof(PING) - 1);
	stream->was_used = false;
}

void events_ping(struct http_server *server)
{
	struct http_events *stream;

	DL_FOREACH (server->streams, stream)
		ping(stream);
}
