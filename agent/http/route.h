/* From a method and a target ("/v1/guests/web?fields=name") to a route, its parameters and its
 * query. Knows nothing of connections. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/http/http.h"

#define ROUTE_SEGMENTS_MAX 12
#define ROUTE_QUERY_MAX	   16
#define ROUTE_ALLOW_MAX	   64

struct route_segment {
	const char *text; /* NULL: {} */
	size_t size;
};

struct route_pattern {
	const struct http_route *route;
	struct route_segment segments[ROUTE_SEGMENTS_MAX];
	unsigned count;
};

struct router {
	struct route_pattern *patterns;
	size_t count;
};

/* Prepares a table, which must stay valid. -EINVAL for one that cannot be served. */
int router_init(struct router *router, const struct http_route *routes, size_t count);
void router_finish(struct router *router);

/* What a target was found to mean. All text lies in the scratch buffer. */
struct route_match {
	const struct http_route *route;
	const char *params[HTTP_PARAMS_MAX];
	const char *query[ROUTE_QUERY_MAX]; /* in the order of route->query; NULL: absent */
	char allow[ROUTE_ALLOW_MAX];	    /* "GET, HEAD, POST" when only the method was wrong */
};

enum http_method route_method(const char *name);

/* Finds the route of a path (without query). `scratch` must have ROUTE_SCRATCH(strlen(path)) bytes;
 * what *ret points to lies in it. ERR_MALFORMED, ERR_NOT_FOUND, ERR_METHOD. */
int route_find(const struct router *router, enum http_method method, const char *path,
	char *scratch, struct route_match *ret, struct err *err);

/* Reads the query into *match, whose route is known; needs a scratch buffer of its own. An unknown,
 * repeated or malformed parameter is refused: ERR_INVALID with its name as the field. */
int route_query(struct route_match *match, const char *query, char *scratch, struct err *err);

/* Bytes that decoding a text of this length may need: every segment gets a NUL. */
#define ROUTE_SCRATCH(length) (2 * (length) + 2)
