/* The Docker Engine API over dockerd's unix socket (docs.docker.com/engine/api): requests in JSON,
 * streams and hijacked connections; used inside drivers/docker only. An engine is made by each call
 * in its own process, never by the host, so that a dockerd that hangs costs one call.
 *
 * All that dockerd says is bounded and looked at strictly. Errors: what it answers with 404 is
 * ERR_NOT_FOUND, 409 ERR_CONFLICT or, about what a container is doing, ERR_ILLEGAL_STATE, 400
 * ERR_INVALID, 401 and 403 ERR_DENIED, all else ERR_DRIVER, each with its words; ERR_UNAVAILABLE
 * when nobody listens, or goes away before it answers; ERR_TIMEOUT when it does not answer in time;
 * ERR_DRIVER for answers that are cut short, too large or not JSON. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct engine;

#define ENGINE_SOCKET	  "/run/docker.sock"
#define ENGINE_ANSWER_MAX (16 * 1024 * 1024)
#define ENGINE_QUERY_MAX  12

/* Versions of the API, 1.x, that the driver knows what to say in. */
#define ENGINE_VERSION_LEAST 40
#define ENGINE_VERSION_MOST  51

/* The path of the socket that a configured endpoint means: a path, unix://PATH, or NULL for
 * ENGINE_SOCKET. ERR_INVALID for anything else. *ret points into `endpoint`. */
int engine_endpoint(const char *endpoint, const char **ret, struct err *err);

/* Once, before anything forks. */
int engine_global_init(struct err *err);

/* Connects to a socket and agrees upon a version. All that is asked by it, this included, has to be
 * done within `timeout_ms`; 0: each request looks after itself. ERR_UNAVAILABLE when dockerd is not
 * there or says nothing for ENGINE_PING_MS; ERR_UNSUPPORTED when it is too old. */
#define ENGINE_PING_MS 4000
int engine_open(const char *socket, uint64_t timeout_ms, struct engine **ret, struct err *err);
/* Accepts NULL, returns NULL. */
struct engine *engine_close(struct engine *engine);

DEFINE_CLEANUP(struct engine *, engine_close)
#define AUTOENGINE CLEANUP(engine_closep)

/* All that is asked from now on has to be done within `timeout_ms` instead. */
void engine_allow(struct engine *engine, uint64_t timeout_ms);

/* The x of the version agreed upon, 1.x. */
unsigned engine_version(const struct engine *engine);

/* Gets a piece of an answer. What it fails with ends the request, and is what that fails with. */
typedef int (*engine_sink_fn)(void *data, const char *bytes, size_t size, struct err *err);
/* Gives the next piece of a request's body: how many bytes, 0 at its end, or a negative errno. */
typedef ssize_t (*engine_source_fn)(void *data, char *buf, size_t size, struct err *err);
/* `also_fd` has become readable, or is closed at its other end. As a sink, its failure ends it. */
typedef int (*engine_also_fn)(void *data, struct err *err);

struct engine_parameter {
	const char *key;
	const char *value; /* NULL: it is left out */
};

struct engine_request {
	const char *method; /* NULL: GET */
	const char *path;   /* "/containers/{}/start", without the version; {} is replaced by: */
	const char *name;   /* any text; it is percent-encoded. NULL, "": ERR_NOT_FOUND */
	struct engine_parameter query[ENGINE_QUERY_MAX]; /* up to the first without a key */
	json_t *body;					 /* borrowed; NULL: none */
	const char *what;    /* "start the container": errors begin with "cannot " and this */
	const char *header;  /* one more, "X-Registry-Auth: …"; NULL: none */
	uint64_t timeout_ms; /* of this request, within the engine's; 0: only that */
	uint64_t stall_ms;   /* ERR_TIMEOUT when nothing came or went for so long; 0: never */
	/* Instead of `body`. */
	engine_source_fn source;
	const char *source_type; /* "application/x-tar" */
	int source_fd; /* it is called only when there is something on that; 0: whenever there is
			  room for more, and dockerd's end is not seen while it waits */
	/* Gets the answer (of a success only) as it comes, instead of *ret. */
	engine_sink_fn sink;
	/* Called, while it waits, whenever there is something on that descriptor. */
	engine_also_fn also;
	int also_fd;
	void *data; /* for these functions */
	/* Filled when they are not NULL, also on failure. */
	int *ret_status;	 /* 0: there was no answer */
	bool *ret_gone;		 /* dockerd went away, before its answer or in the middle of it */
	const char *want_header; /* of the answer, */
	char **ret_header;	 /* goes here, allocated; NULL where it has none */
};

/* Asks, and waits for the answer. 2xx and 304 ("already so") are success. `ret` gets the answer, a
 * new reference, NULL when there is none (204, 304); with `ret` NULL nobody wants to know. */
int engine_call(
	struct engine *engine, const struct engine_request *request, json_t **ret, struct err *err);

/* Asks for a connection that dockerd then hands over to a container's streams: the request gets
 * "Upgrade: tcp". *ret_fd is the connection, which belongs to the caller from then on; what came
 * behind the answer's head already is in *ret_rest, allocated, ret_rest_size bytes. Of the request
 * method, path, name, query, body, what and timeout count. */
int engine_hijack(struct engine *engine, const struct engine_request *request, int *ret_fd,
	char **ret_rest, size_t *ret_rest_size, struct err *err);
