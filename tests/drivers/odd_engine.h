/* A server in the place of dockerd that does what dockerd should not: it answers each connection
 * with what the test has laid ready. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "drivers/docker/engine.h"

#define ENOUGH_MS 60000

#define PING(version) "HTTP/1.1 200 OK\r\napi-version: " version "\r\nConnection: close\r\n\r\nOK"

/* What the server says to the second request of a connection, after PING or what takes its place.
 */
struct script {
	const char *ping;   /* NULL: one of version 1.41 */
	const char *answer; /* NULL: nothing, and it waits */
	size_t size;	    /* of `answer`; 0: strlen */
	size_t repeat;	    /* `answer` is followed by so many bytes of blanks */
	bool closes;	    /* behind it */
	bool at_once;	    /* when it has begun to hear what is asked */
};

struct server {
	char path[64];
	int listener;
	pthread_t thread;
	struct script script;
	unsigned connections;
	char request[4096]; /* the last one */
};

/* On a socket of its own, in a thread. */
struct server *start_server(struct script script);
/* After the engine was closed. */
void stop_server(struct server *s);

/* A request that has nothing special. */
extern const struct engine_request ENGINE_LOOK;
/* Asks a client of it once; what came of it. */
int ask(struct script script, const struct engine_request *request, json_t **ret, struct err *err);

void say(int fd, const char *bytes, size_t size);
