/* What the files of the HTTP server share: server, connection and request.
 *
 * A connection has at most one request at a time (HTTP/1.1 pipelining is served in order) and keeps
 * its object for the next one. Only a request whose client left before its handler answered is
 * detached, held by the server until then. */
#pragma once

#include <microhttpd.h>
#include <sys/types.h>

#include "agent/http/http.h"
#include "agent/http/listen.h"
#include "agent/http/route.h"
#include "base/strbuf.h"

#define CONNECTION_MEMORY (16 * 1024) /* bounds request line and headers together */
#define DRAIN_MAX	  (16 * 1024 * 1024)

struct http_server {
	sd_event *loop;
	struct http_config config;
	struct router router;
	struct MHD_Daemon *daemon;
	int listen_fd;
	struct listen_socket socket;
	sd_event_source *io;	/* libmicrohttpd's epoll */
	sd_event_source *again; /* it has more to do at once */
	sd_event_source *timer; /* its next timeout */
	uint64_t timer_at;	/* 0: not armed */
	sd_event_source *sweep; /* closes connections whose request does not arrive */
	sd_event_source *ping;
	struct http_connection *connections;
	unsigned connections_count;
	struct http_request *held; /* clients have left, answers are still to come */
	struct http_events *streams;
	bool stopping;
};

struct peer {
	uid_t uid;
	pid_t pid;
	gid_t *gids; /* the primary one first */
	size_t gids_count;
};

struct http_connection {
	struct http_server *server;
	struct MHD_Connection *mhd;
	int fd;
	sd_event_source *hangup;
	bool hung_up;
	struct peer peer;
	struct http_request *request; /* may be a spare one */
	int64_t idle_since_ns;
	struct http_connection *prev, *next;
};

struct answer {
	unsigned status; /* 0: not answered yet */
	char type[64];
	char *body;
	size_t size;
	int64_t length; /* that HEAD tells of a body that it leaves out; 0: that of the body */
	struct strbuf headers; /* name NUL value NUL … */
};

struct upload {
	int fd;	      /* writing end of the pipe, or -1 */
	int whole_fd; /* of the one that tells that all has come, or -1 */
	bool connected, complete;
	sd_event_source *writable;
};

struct upgrade {
	http_upgraded_fn taken; /* NULL: none is under way */
	void *data;
};

enum request_phase {
	REQUEST_SPARE,	 /* waits for the next one */
	REQUEST_STARTED, /* its first line is here */
	REQUEST_BODY,	 /* its headers are here and were looked at */
	REQUEST_WHOLE,	 /* all is here */
};

struct http_request {
	struct http_server *server;	    /* NULL: it has ended */
	struct http_connection *connection; /* NULL: the client has left */
	enum request_phase phase;
	bool handled;	/* the handler was called */
	bool suspended; /* at libmicrohttpd */
	bool gone;	/* the client left while it was suspended */
	int64_t started_ns;

	enum http_method method;
	bool head;   /* HTTP_GET by the name of HEAD */
	bool modern; /* HTTP/1.1 */
	enum role role;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char note[HTTP_NOTE_MAX + 1];
	struct strbuf target; /* the path as sent, NUL, the query as sent */
	size_t path_size;
	char *scratch; /* decoded parameters */
	size_t scratch_room;
	struct route_match match;

	struct strbuf body;
	json_t *json;
	uint64_t drained; /* bytes of body thrown away */
	struct upload upload;

	struct answer answer;
	struct http_events *events;
	struct http_pipe *pipe;
	struct upgrade upgrade;
	void *data;
	void (*release)(void *data);
	struct http_request *prev, *next; /* in server->held */
};

/* --- server.c: work that recurs as long as there is something to work on */

void server_plan_sweep(struct http_server *server);
void server_plan_ping(struct http_server *server);

/* --- connection.c: from accept to close */

void connection_notify(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code);
struct http_connection *connection_of(struct MHD_Connection *mhd);
/* Closes connections that are too slow with a request. */
void connections_sweep(struct http_server *server);

/* --- request.c: the object and its life */

/* The connection's request, ready for a new target. NULL without memory. */
struct http_request *request_start(struct http_connection *connection, const char *target);
/* libmicrohttpd has done with it: answered and sent, or cut. */
void request_finish(struct http_request *request);
void request_free(struct http_request *request);
/* Releases what the handler hung on it. */
void request_release(struct http_request *request);
/* Lets it rest until request_resume, or until its client has left. */
void request_suspend(struct http_request *request);
void request_resume(struct http_request *request);
/* Its client has left while it rested. */
void request_gone(struct http_request *request);

/* --- serve.c: libmicrohttpd's callbacks */

void *serve_target(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result serve(void *data, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *upload, size_t *size, void **context);
void serve_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code);

/* --- answer.c */

enum MHD_Result answer_queue(struct http_request *request);
/* Writes the answer past libmicrohttpd, which takes none while a body arrives. The connection has
 * to be closed after it. */
void answer_send_raw(struct http_request *request);
void answer_reset(struct answer *answer);
/* A bare refusal on a connection that has no request. */
void answer_refuse(int fd, const struct err *err);

/* --- upload.c */

/* Takes bytes of a body; *size becomes what is left, with the request suspended. */
void upload_take(struct http_request *request, const char *data, size_t *size);
void upload_end(struct http_request *request);
void upload_finish(struct upload *upload);

/* --- events.c */

struct MHD_Response *events_response(struct http_events *stream);
void events_finish(struct http_events *stream);
void events_ping(struct http_server *server);

/* --- pipe.c */

struct MHD_Response *pipe_response(struct http_pipe *pipe);
void pipe_finish(struct http_pipe *pipe);

/* --- upgrade.c */

struct MHD_Response *upgrade_response(struct http_request *request);
/* Hands the connection to whom it was promised; fd -1: there is none any more. */
void upgrade_finish(struct http_request *request, int fd, const char *extra, size_t size);
