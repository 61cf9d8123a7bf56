/* HTTP on top of libmicrohttpd's epoll descriptor, inside the agent's event loop: routing, bounds,
 * bodies, roles, problem documents, waiting requests and event streams. It knows nothing of guests:
 * agent/api/ holds the handlers.
 *
 * A handler runs on the loop's thread, never blocks, and answers its request exactly once, now or
 * later (http_respond_*). A request that is not answered at once stays suspended and costs
 * nothing.*/
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "model/role.h"

struct err;
struct http_request;
struct http_server;

/* HEAD counts as GET: its handler runs and the body of the answer is left out. HTTP_OTHER is what
 * no route can have; only `answered` ever sees it. */
enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OTHER };

#define HTTP_BODY_MAX	(1024 * 1024)
#define HTTP_JSON_DEPTH 32
#define HTTP_PARAMS_MAX 4

struct http_route {
	enum http_method method;
	const char *path; /* "/v1/guests/{}/ports/{}/{}": {} matches one segment, percent-decoded */
	enum role role;	  /* least role that may call it */
	/* What the body may be: none (a body is refused), a JSON object, the same but optional, or
	 * a stream that the handler takes chunk by chunk. */
	enum { BODY_NONE, BODY_JSON, BODY_JSON_OPTIONAL, BODY_STREAM } body;
	const char *const *query; /* names of query parameters it knows, ends with NULL; others are
				     refused by name. NULL: none. */
	void (*handle)(struct http_request *request, void *agent);
};

struct http_config {
	const char *socket_path;
	uint32_t socket_mode;
	int listen_fd; /* from socket activation, or -1. Taken over when creating succeeds. */
	const struct http_route *routes; /* must stay valid */
	size_t routes_count;
	void *agent; /* handed to handlers */
	/* The role of a peer, by its uid and all its gids; asked for each request. */
	enum role (*role_of)(void *agent, uid_t uid, const gid_t *gids, size_t gids_count);
	/* Called when a request was answered, for audit and metrics. May be NULL. */
	void (*answered)(void *agent, const struct http_request *request, unsigned status,
		int64_t duration_ns);

	/* Bounds; 0 gives the default. */
	unsigned connections_max;     /* 1024 */
	unsigned connections_per_uid; /* 256; root is always let in */
	unsigned idle_s;  /* 60: a connection without a byte for so long is closed, and one whose
			     request has not arrived wholly by then too (streams excepted) */
	unsigned stall_s; /* 600: a client that takes nothing of a pipe for so long is cut off */
	unsigned ping_s;  /* 15: comment sent on event streams that are silent */
};

/* Makes the socket, or takes listen_fd, and serves it on the loop. A socket left by a dead agent is
 * replaced; where another one listens: ERR_CONFLICT. Ignores SIGPIPE in this process. */
int http_server_create(sd_event *loop, const struct http_config *config, struct http_server **ret,
	struct err *err);

/* Ends all connections; requests still held by somebody may be answered after it, in vain. Accepts
 * NULL, returns NULL. */
struct http_server *http_server_destroy(struct http_server *server);

/* --- What was asked ----------------------------------------------------------------------------
 */

enum http_method http_method(const struct http_request *request);
const char *http_method_to_string(enum http_method method);
const char *http_path(const struct http_request *request);	 /* as sent, without query */
const char *http_route_path(const struct http_request *request); /* as in the table; NULL: none */
const char *http_param(const struct http_request *request, unsigned i);	       /* the i-th {} */
const char *http_query(const struct http_request *request, const char *name);  /* NULL: absent */
const char *http_header(const struct http_request *request, const char *name); /* NULL: absent */
const json_t *http_body(const struct http_request *request); /* borrowed; NULL: none */
uid_t http_peer_uid(const struct http_request *request);
gid_t http_peer_gid(const struct http_request *request); /* its first */
pid_t http_peer_pid(const struct http_request *request);

/* A word that stays with the request until its end, for `answered`; "": none. */
#define HTTP_NOTE_MAX 31
void http_set_note(struct http_request *request, const char *note);
const char *http_note(const struct http_request *request);
bool http_has_left(const struct http_request *request); /* the client; the answer goes nowhere */
bool http_is_head(
	const struct http_request *request); /* of the answer only the head will be sent */

/* Whether the client asks to go on with that protocol on this connection. */
bool http_wants_upgrade(const struct http_request *request, const char *protocol);
enum role http_peer_role(const struct http_request *request);

/* SHA-256, hexadecimal, of method, path with query, and body: what an Idempotency-Key is bound to.
 * For streams: without the body. */
void http_request_hash(const struct http_request *request, char ret[static 65]);

/* The request's life: it stays valid until it is answered, even when its client leaves before; the
 * answer then goes nowhere. After its answer it must not be touched any more. One whose handler
 * hung data on it with a `release` ends with its client: release is called at once, and it must not
 * be touched after that. (A BODY_STREAM always stays until it is answered: its reader learns of the
 * end from the pipe.) */

/* Hangs data on the request. `release` is called once: within the answer (for an event stream: at
 * its end), or when the request is cut. */
void http_set_data(struct http_request *request, void *data, void (*release)(void *data));
void *http_get_data(const struct http_request *request);

/* --- Answers: exactly one ----------------------------------------------------------------------
 */

/* Adds a header to the answer to come (ETag, Location, Retry-After, …). */
void http_add_header(struct http_request *request, const char *name, const char *value);

/* Takes the JSON value over. */
void http_respond_json(struct http_request *request, unsigned status, json_t *json);

/* Text that is rendered already; copied. */
void http_respond_text(struct http_request *request, unsigned status, const char *content_type,
	const char *text, size_t size);

void http_respond_empty(struct http_request *request, unsigned status);

/* application/problem+json from an error; `operation` is its id, or NULL. */
void http_respond_error(struct http_request *request, const struct err *err, const char *operation);

/* --- Streams -----------------------------------------------------------------------------------
 */

/* For BODY_STREAM: connects the body to the writing end of a pipe. Returns the reading end (the
 * caller closes it), from which a worker reads while the body arrives; end of file is the end of
 * the body. A body that is cut short is not an end of file to trust: http_stream_whole tells.
 * When the reader closes its end early, or the request is answered before, the rest of the body is
 * discarded. The handler runs before the body arrives; it may connect the pipe later, and the
 * client waits until then. */
int http_stream_to_pipe(struct http_request *request, struct err *err);

/* A descriptor (the caller closes it) that gives one byte when the whole body has gone into the
 * pipe, before that ends, and is closed without one when the body was cut short. */
int http_stream_whole(struct http_request *request, struct err *err);

/* Answers 200 text/event-stream and keeps the connection. `gone` is called once when the client has
 * left, and the stream must not be touched after that; after http_events_close it is never called.
 * Returns NULL, with the request answered, when nobody would read it (the client is away already,
 * or asked by HEAD) or memory is out. */
struct http_events;
struct http_events *http_respond_events(
	struct http_request *request, void (*gone)(void *data), void *data);

/* From now on `drained` (NULL: nothing) is called, with the `data` of above, whenever all that was
 * queued is on its way; it may send more, or close the stream. */
void http_events_when_drained(struct http_events *stream, void (*drained)(void *data));

/* Queues text (whole "id: …\ndata: …\n\n" records). False when the client reads too slowly and more
 * than 1 MiB waits: the stream is then closed and `gone` is called later. */
bool http_events_send(struct http_events *stream, const char *text, size_t size);
void http_events_close(struct http_events *stream);

/* --- Answers from a pipe -----------------------------------------------------------------------
 */

struct http_pipe_source {
	int fd;	      /* reading end; taken over. For HEAD it may be -1 */
	int64_t size; /* bytes to come, for a Content-Length; -1: not known */
	/* Called once when the answer is over before http_pipe_end: the client has left, or has all
	 * its bytes. The pipe's reading end is closed by then. */
	void (*gone)(void *data);
	void *data;
};

/* Answers with what the pipe gives, as fast as the client takes it. A client that takes nothing for
 * stall_s is cut off. Returns NULL, with the request answered and the pipe closed, when
 * nobody would read it; `gone` is not called then. */
struct http_pipe *http_respond_pipe(struct http_request *request, unsigned status,
	const char *content_type, const struct http_pipe_source *source);

/* What writes to the pipe has ended; when the pipe is empty, too, the answer ends. One that is not
 * whole is cut, so that its client knows. The pipe must not be touched after it. */
void http_pipe_end(struct http_pipe *pipe, bool whole);

/* --- Upgrades ----------------------------------------------------------------------------------
 */

/* Gets the connection, non-blocking and to be closed by it, with what the client has sent beyond
 * its request. fd is -1 when the client has left before. */
typedef void (*http_upgraded_fn)(void *data, int fd, const char *extra, size_t size);

/* Answers 101; `taken` is called exactly once. The connection then belongs to its new owner, counts
 * for no bound of this server, and outlives it. */
void http_respond_upgrade(
	struct http_request *request, const char *protocol, http_upgraded_fn taken, void *data);
