/* A server with the routes of handlers.c, on a loop in a thread of its own. */
#pragma once

#include <stdbool.h>

#include "agent/http/http.h"
#include "client.h"

struct fixture {
	char directory[64];
	char socket[96];
	unsigned fds; /* open before */
	int passed;   /* the listening socket, when the server did not make it, else -1 */
	int left[8];  /* clients to be closed when the server has ended; -1: none */
	struct fixture_thread *thread;
};

/* cmocka set-up and tear-down. The tear-down fails when a descriptor was left open. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* The same with short timeouts and few connections. */
int fixture_setup_tight(void **state);
/* The same with a listening socket that the server gets passed, a blocking one. */
int fixture_setup_passed(void **state);

#define TIGHT_CONNECTIONS 24
#define TIGHT_PER_UID	  8

/* The role that everybody gets from now on. */
void fixture_set_role(enum role role);

/* One request on a connection of its own. */
void fixture_exchange(struct fixture *fixture, const char *request, struct reply *ret);
/* GET of a path whose answer is a number. */
long fixture_number(struct fixture *fixture, const char *path);
/* Asks again and again until the number is `wanted`. */
void fixture_await(struct fixture *fixture, const char *path, long wanted);
/* Sends a request and checks the status and, unless NULL, that the body holds `part`. */
void fixture_expect(
	struct fixture *fixture, const char *request, unsigned status, const char *part);

extern const struct http_route HANDLERS_ROUTES[];
extern const size_t HANDLERS_ROUTES_COUNT;

struct handlers;
struct handlers *handlers_create(sd_event *loop);
struct handlers *handlers_destroy(struct handlers *handlers);
