/* Handlers for the tests: each shows one thing that the server does for a handler. They share their
 * state on the loop's thread only; tests look at it by asking for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/err.h"
#include "fixture.h"

struct waiter {
	struct handlers *handlers;
	struct http_request *request;
	struct waiter *prev, *next;
};

struct listener {
	struct handlers *handlers;
	struct http_events *stream;
	struct listener *prev, *next;
};

struct upload {
	struct handlers *handlers;
	struct http_request *request;
	int fd, whole_fd;
	sd_event_source *source;
	size_t taken, stop_after; /* 0: never */
	struct upload *prev, *next;
};

struct feed {
	struct handlers *handlers;
	struct http_pipe *pipe;
	int fd;
	sd_event_source *source;
	size_t left, written;
	bool hold; /* says nothing at its end */
	struct feed *prev, *next;
};

struct handlers {
	sd_event *loop;
	struct feed *feeds;
	struct waiter *waiters;
	struct listener *listeners;
	struct upload *uploads;
	struct http_request *kept[8]; /* without a release */
	unsigned kept_count;
	int upgraded[8];
	unsigned upgraded_count;
	long released, gone, cut, refused;
};

static void respond_number(struct http_request *request, long number)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld", number);

	http_respond_text(request, 200, "text/plain", text, (size_t)n);
}

static void hello(struct http_request *request, void *agent)
{
	(void)agent;
	http_respond_text(request, 200, "text/plain", "hello\n", 6);
}

static void echo(struct http_request *request, void *agent)
{
	const char *fields = http_query(request, "fields");

	(void)agent;
	http_add_header(request, "ETag", "\"7\"");
	http_respond_json(request, 200,
		json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s, s:i}", "first", http_param(request, 0),
			"second", http_param(request, 1), "fields", fields, "path",
			http_path(request), "header", http_header(request, "X-Test"), "role",
			role_to_string(http_peer_role(request)), "pid", http_peer_pid(request)));
}

static void body(struct http_request *request, void *agent)
{
	(void)agent;
	http_respond_json(request, 200,
		http_body(request) ? json_deep_copy(http_body(request)) : json_object());
}

static void hash(struct http_request *request, void *agent)
{
	char text[65];

	(void)agent;
	http_request_hash(request, text);
	http_respond_text(request, 200, "text/plain", text, 64);
}

static void empty(struct http_request *request, void *agent)
{
	(void)agent;
	http_respond_empty(request, 204);
}

static void fail(struct http_request *request, void *agent)
{
	struct err err;

	(void)agent;
	err_set(&err, err_code_from_string(http_param(request, 0)), "storage.size",
		"cut here: \xc3");
	http_respond_error(request, &err, "op-1");
}

/* --- Waiting */

static void release_waiter(void *data)
{
	struct waiter *waiter = data;

	waiter->handlers->released++;
	DL_DELETE(waiter->handlers->waiters, waiter);
	free(waiter);
}

static void later(struct http_request *request, void *agent)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	waiter->handlers = agent;
	waiter->request = request;
	DL_APPEND(waiter->handlers->waiters, waiter);
	http_set_data(request, waiter, release_waiter);
}

static void answer_waiters(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	struct waiter *waiter, *next;
	long count = 0;

	DL_FOREACH_SAFE(handlers->waiters, waiter, next)
	{
		http_respond_text(waiter->request, 200, "text/plain", "at last\n", 8);
		count++;
	}
	respond_number(request, count);
}

static void keep(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;

	handlers->kept[handlers->kept_count++] = request;
}

static void answer_kept(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	unsigned count = handlers->kept_count;

	handlers->kept_count = 0;
	for (unsigned i = 0; i < count; i++)
		http_respond_text(handlers->kept[i], 200, "text/plain",
			http_path(handlers->kept[i]), strlen(http_path(handlers->kept[i])));
	respond_number(request, count);
}

/* --- Event streams */

static void listener_gone(void *data)
{
	struct listener *listener = data;

	listener->handlers->gone++;
	DL_DELETE(listener->handlers->listeners, listener);
	free(listener);
}

static void events(struct http_request *request, void *agent)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	listener->handlers = agent;
	listener->stream = http_respond_events(request, listener_gone, listener);
	if (listener->stream)
		DL_APPEND(listener->handlers->listeners, listener);
	else
		free(listener);
}

static void publish(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	size_t size = strtoul(http_query(request, "size"), NULL, 10);
	struct listener *listener, *next;
	char *text = malloc(size + 32);
	long taken = 0;

	memcpy(text, "data: ", 6);
	memset(text + 6, 'x', size);
	memcpy(text + 6 + size, "end\n\n", 5);
	DL_FOREACH_SAFE(handlers->listeners, listener, next)
	taken += http_events_send(listener->stream, text, size + 11);
	free(text);
	respond_number(request, taken);
}

static void close_streams(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	struct listener *listener, *next;

	DL_FOREACH_SAFE(handlers->listeners, listener, next)
	{
		http_events_close(listener->stream);
		DL_DELETE(handlers->listeners, listener);
		free(listener);
	}
	respond_number(request, 0);
}

/* --- Uploads */

static void upload_free(struct upload *upload)
{
	DL_DELETE(upload->handlers->uploads, upload);
	sd_event_source_disable_unref(upload->source);
	if (upload->fd >= 0)
		close(upload->fd);
	if (upload->whole_fd >= 0)
		close(upload->whole_fd);
	free(upload);
}

static void upload_end(struct upload *upload)
{
	struct http_request *request = upload->request;
	char word;

	if (upload->stop_after && upload->taken >= upload->stop_after) {
		struct err err;

		upload->handlers->refused++;
		err_set(&err, ERR_NO_ROOM, NULL, "enough");
		http_respond_error(request, &err, NULL);
	} else if (read(upload->whole_fd, &word, 1) == 1) {
		respond_number(request, (long)upload->taken);
	} else {
		upload->handlers->cut++;
		http_respond_empty(request, 500);
	}
	upload_free(upload);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	struct upload *upload = data;
	static char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)source, (void)revents;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != (char)('a' + (upload->taken + (size_t)i) % 23))
			abort();
	upload->taken += n > 0 ? (size_t)n : 0;
	if (n == 0 || (upload->stop_after && upload->taken >= upload->stop_after))
		upload_end(upload);
	return 0;
}

static void upload_start(struct upload *upload)
{
	struct err err;

	upload->whole_fd = http_stream_whole(upload->request, &err);
	upload->fd = http_stream_to_pipe(upload->request, &err);
	fcntl(upload->fd, F_SETFL, O_NONBLOCK);
	sd_event_add_io(
		upload->handlers->loop, &upload->source, upload->fd, EPOLLIN, on_readable, upload);
}

/* ?mode=hold: the pipe is there, but nobody reads; late: no pipe yet; refuse: answers at once. */
static void take_upload(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	const char *mode = http_query(request, "mode");
	const char *stop = http_query(request, "stop");
	struct upload *upload;

	if (mode && strcmp(mode, "refuse") == 0) {
		struct err err;

		err_set(&err, ERR_CONFLICT, NULL, "not now");
		http_respond_error(request, &err, NULL);
		return;
	}
	upload = calloc(1, sizeof(*upload));
	upload->handlers = handlers;
	upload->request = request;
	upload->fd = upload->whole_fd = -1;
	upload->stop_after = stop ? strtoul(stop, NULL, 10) : 0;
	DL_APPEND(handlers->uploads, upload);
	if (!mode || strcmp(mode, "late") != 0)
		upload_start(upload);
	if (mode && strcmp(mode, "hold") == 0)
		sd_event_source_set_enabled(upload->source, SD_EVENT_OFF);
}

static void read_uploads(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	struct upload *upload;
	long count = 0;

	DL_FOREACH (handlers->uploads, upload) {
		if (upload->source)
			sd_event_source_set_enabled(upload->source, SD_EVENT_ON);
		else
			upload_start(upload);
		count++;
	}
	respond_number(request, count);
}

/* --- Answers from a pipe */

static void feed_free(struct feed *feed)
{
	DL_DELETE(feed->handlers->feeds, feed);
	sd_event_source_disable_unref(feed->source);
	if (feed->fd >= 0)
		close(feed->fd);
	free(feed);
}

static void feed_gone(void *data)
{
	struct feed *feed = data;

	feed->handlers->gone++;
	feed_free(feed);
}

static int on_feedable(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	static char buf[65536];
	struct feed *feed = data;
	size_t size = feed->left < sizeof(buf) ? feed->left : sizeof(buf);
	ssize_t n;

	(void)source, (void)revents;
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)('a' + (feed->written + i) % 23);
	n = write(fd, buf, size);
	if (n > 0) {
		feed->written += (size_t)n;
		feed->left -= (size_t)n;
	}
	if (feed->left > 0)
		return 0;
	feed->source = sd_event_source_disable_unref(feed->source);
	close(feed->fd);
	feed->fd = -1;
	if (!feed->hold) {
		http_pipe_end(feed->pipe, true);
		feed_free(feed);
	}
	return 0;
}

/* ?size=N bytes; mode=known: with a Content-Length; hold: the verdict comes by /verdict. */
static void from_pipe(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	const char *mode = http_query(request, "mode"), *size = http_query(request, "size");
	bool known = mode && strcmp(mode, "known") == 0;
	struct feed *feed = calloc(1, sizeof(*feed));
	struct http_pipe_source from = {.size = -1, .gone = feed_gone, .data = feed};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	feed->handlers = handlers;
	feed->left = size ? strtoul(size, NULL, 10) : 0;
	feed->hold = mode && strcmp(mode, "hold") == 0;
	feed->fd = fds[1];
	from.fd = fds[0];
	if (known)
		from.size = (int64_t)feed->left;
	DL_APPEND(handlers->feeds, feed);
	feed->pipe = http_respond_pipe(request, 200, "application/octet-stream", &from);
	if (feed->pipe)
		sd_event_add_io(
			handlers->loop, &feed->source, feed->fd, EPOLLOUT, on_feedable, feed);
	else
		feed_free(feed);
}

static void give_verdict(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	bool whole = strcmp(http_param(request, 0), "whole") == 0;
	struct feed *feed, *next;
	long count = 0;

	DL_FOREACH_SAFE(handlers->feeds, feed, next)
	{
		http_pipe_end(feed->pipe, whole);
		feed_free(feed);
		count++;
	}
	respond_number(request, count);
}

/* --- Upgrades */

static void upgraded(void *data, int fd, const char *extra, size_t size)
{
	struct handlers *handlers = data;

	if (fd < 0) {
		handlers->gone++;
		return;
	}
	if (send(fd, "<", 1, MSG_NOSIGNAL) < 0 || send(fd, extra, size, MSG_NOSIGNAL) < 0 ||
		send(fd, ">", 1, MSG_NOSIGNAL) < 0)
		handlers->cut++;
	handlers->upgraded[handlers->upgraded_count++] = fd;
}

static void upgrade(struct http_request *request, void *agent)
{
	if (http_wants_upgrade(request, "test/1"))
		http_respond_upgrade(request, "test/1", upgraded, agent);
	else
		http_respond_text(request, 200, "text/plain", "plain\n", 6);
}

static void end_upgraded(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	unsigned count = handlers->upgraded_count;

	for (unsigned i = 0; i < count; i++)
		close(handlers->upgraded[i]);
	handlers->upgraded_count = 0;
	respond_number(request, count);
}

/* --- What happened */

static void count(struct http_request *request, void *agent)
{
	struct handlers *handlers = agent;
	struct waiter *waiter;
	struct listener *listener;
	struct upload *upload;
	struct feed *feed;
	int waiters, listeners, uploads, feeds;
	const char *what = http_param(request, 0);

	DL_COUNT(handlers->waiters, waiter, waiters);
	DL_COUNT(handlers->listeners, listener, listeners);
	DL_COUNT(handlers->uploads, upload, uploads);
	DL_COUNT(handlers->feeds, feed, feeds);
	respond_number(request, strcmp(what, "released") == 0	 ? handlers->released
				: strcmp(what, "gone") == 0	 ? handlers->gone
				: strcmp(what, "cut") == 0	 ? handlers->cut
				: strcmp(what, "refused") == 0	 ? handlers->refused
				: strcmp(what, "waiters") == 0	 ? waiters
				: strcmp(what, "kept") == 0	 ? (long)handlers->kept_count
				: strcmp(what, "listeners") == 0 ? listeners
				: strcmp(what, "uploads") == 0	 ? uploads
				: strcmp(what, "feeds") == 0	 ? feeds
				: strcmp(what, "upgraded") == 0	 ? (long)handlers->upgraded_count
								 : -1);
}

static const char *const FIELDS[] = {"fields", "limit", NULL};
static const char *const SIZE[] = {"size", NULL};
static const char *const PIPE[] = {"mode", "size", NULL};
static const char *const UPLOAD[] = {"mode", "stop", NULL};

const struct http_route HANDLERS_ROUTES[] = {
	{HTTP_GET, "/hello", ROLE_VIEWER, BODY_NONE, NULL, hello},
	{HTTP_DELETE, "/hello", ROLE_OPERATOR, BODY_NONE, NULL, empty},
	{HTTP_GET, "/echo/{}/and/{}", ROLE_VIEWER, BODY_NONE, FIELDS, echo},
	{HTTP_POST, "/body", ROLE_OPERATOR, BODY_JSON, NULL, body},
	{HTTP_POST, "/optional", ROLE_OPERATOR, BODY_JSON_OPTIONAL, NULL, body},
	{HTTP_POST, "/hash", ROLE_VIEWER, BODY_JSON_OPTIONAL, FIELDS, hash},
	{HTTP_PUT, "/hash", ROLE_VIEWER, BODY_JSON_OPTIONAL, FIELDS, hash},
	{HTTP_GET, "/admin", ROLE_ADMIN, BODY_NONE, NULL, hello},
	{HTTP_GET, "/fail/{}", ROLE_VIEWER, BODY_NONE, NULL, fail},
	{HTTP_GET, "/later", ROLE_VIEWER, BODY_NONE, NULL, later},
	{HTTP_GET, "/answer", ROLE_VIEWER, BODY_NONE, NULL, answer_waiters},
	{HTTP_GET, "/keep", ROLE_VIEWER, BODY_NONE, NULL, keep},
	{HTTP_GET, "/answer-kept", ROLE_VIEWER, BODY_NONE, NULL, answer_kept},
	{HTTP_GET, "/events", ROLE_VIEWER, BODY_NONE, NULL, events},
	{HTTP_GET, "/publish", ROLE_VIEWER, BODY_NONE, SIZE, publish},
	{HTTP_GET, "/close", ROLE_VIEWER, BODY_NONE, NULL, close_streams},
	{HTTP_PUT, "/upload", ROLE_OPERATOR, BODY_STREAM, UPLOAD, take_upload},
	{HTTP_GET, "/read", ROLE_VIEWER, BODY_NONE, NULL, read_uploads},
	{HTTP_GET, "/pipe", ROLE_VIEWER, BODY_NONE, PIPE, from_pipe},
	{HTTP_GET, "/verdict/{}", ROLE_VIEWER, BODY_NONE, NULL, give_verdict},
	{HTTP_GET, "/upgrade", ROLE_VIEWER, BODY_NONE, NULL, upgrade},
	{HTTP_POST, "/upgrade", ROLE_VIEWER, BODY_JSON, NULL, upgrade},
	{HTTP_GET, "/end-upgraded", ROLE_VIEWER, BODY_NONE, NULL, end_upgraded},
	{HTTP_GET, "/count/{}", ROLE_VIEWER, BODY_NONE, NULL, count},
};
const size_t HANDLERS_ROUTES_COUNT = sizeof(HANDLERS_ROUTES) / sizeof(HANDLERS_ROUTES[0]);

struct handlers *handlers_create(sd_event *loop)
{
	struct handlers *handlers = calloc(1, sizeof(*handlers));

	handlers->loop = loop;
	return handlers;
}

/* After the server: what is still unanswered is answered in vain. */
struct handlers *handlers_destroy(struct handlers *handlers)
{
	struct upload *upload, *next;

	for (unsigned i = 0; i < handlers->kept_count; i++)
		http_respond_empty(handlers->kept[i], 204);
	DL_FOREACH_SAFE(handlers->uploads, upload, next)
	{
		http_respond_empty(upload->request, 204);
		upload_free(upload);
	}
	for (unsigned i = 0; i < handlers->upgraded_count; i++)
		close(handlers->upgraded[i]);
	free(handlers);
	return NULL;
}
