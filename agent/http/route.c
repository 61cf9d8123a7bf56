/* The router: the table is cut into segments once; a path is cut and decoded segment by segment and
 * compared with each entry. */
#include "agent/http/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/text.h"
#include "base/cleanup.h"
#include "base/err.h"

static const char *const METHODS[] = {
	[HTTP_GET] = "GET",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
	[HTTP_OTHER] = "OTHER",
};

const char *http_method_to_string(enum http_method method)
{
	return METHODS[method];
}

enum http_method route_method(const char *name)
{
	for (unsigned i = 0; i < HTTP_OTHER; i++)
		if (strcmp(name, METHODS[i]) == 0)
			return (enum http_method)i;
	return strcmp(name, "HEAD") == 0 ? HTTP_GET : HTTP_OTHER;
}

static int pattern_init(struct route_pattern *pattern, const struct http_route *route)
{
	unsigned params = 0, queries = 0;

	*pattern = (struct route_pattern){.route = route};
	for (const char *at = route->path; *at;) {
		const char *segment = at + 1;
		size_t size = strcspn(segment, "/");
		bool param = size == 2 && memcmp(segment, "{}", 2) == 0;

		if (*at != '/' || size == 0 || pattern->count == ROUTE_SEGMENTS_MAX)
			return -EINVAL;
		pattern->segments[pattern->count++] =
			(struct route_segment){param ? NULL : segment, size};
		params += param;
		at = segment + size;
	}
	while (route->query && route->query[queries])
		queries++;
	return params > HTTP_PARAMS_MAX || queries > ROUTE_QUERY_MAX ? -EINVAL : 0;
}

int router_init(struct router *router, const struct http_route *routes, size_t count)
{
	*router = (struct router){.count = count};
	router->patterns = calloc(count ? count : 1, sizeof(*router->patterns));
	if (!router->patterns)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int r = pattern_init(&router->patterns[i], &routes[i]);

		if (r < 0) {
			router_finish(router);
			return r;
		}
	}
	return 0;
}

void router_finish(struct router *router)
{
	free(router->patterns);
	*router = (struct router){0};
}

/* Cuts a path into decoded segments. Returns how many; -E2BIG when no route has so many. */
static int split(const char *path, char *scratch, struct route_segment segments[])
{
	unsigned count = 0;

	while (*path) {
		const char *end;
		int n;

		if (*path++ != '/')
			return -EBADMSG;
		end = path + strcspn(path, "/");
		n = text_percent_decode(path, end, false, scratch);
		if (n < 0)
			return n;
		if (count == ROUTE_SEGMENTS_MAX)
			return -E2BIG;
		segments[count++] = (struct route_segment){scratch, (size_t)n};
		scratch += n + 1;
		path = end;
	}
	return count > 0 ? (int)count : -EBADMSG;
}

static bool matches(
	const struct route_pattern *pattern, const struct route_segment *segments, unsigned count)
{
	if (pattern->count != count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		const struct route_segment *want = &pattern->segments[i], *have = &segments[i];

		if (want->text ? want->size != have->size ||
					 memcmp(want->text, have->text, have->size) != 0
			       : have->size == 0)
			return false;
	}
	return true;
}

static void take_params(struct route_match *match, const struct route_pattern *pattern,
	const struct route_segment *segments)
{
	unsigned params = 0;

	for (unsigned i = 0; i < pattern->count; i++)
		if (!pattern->segments[i].text)
			match->params[params++] = segments[i].text;
}

static void add_allowed(char allow[static ROUTE_ALLOW_MAX], enum http_method method)
{
	size_t used = strlen(allow);

	snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s%s%s", used ? ", " : "", METHODS[method],
		method == HTTP_GET ? ", HEAD" : "");
}

int route_find(const struct router *router, enum http_method method, const char *path,
	char *scratch, struct route_match *ret, struct err *err)
{
	struct route_segment segments[ROUTE_SEGMENTS_MAX];
	int count = split(path, scratch, segments);

	*ret = (struct route_match){0};
	if (count == -EBADMSG)
		return err_set(err, ERR_MALFORMED, NULL,
			"the path is not a valid one: it must begin with '/' and hold only "
			"UTF-8 without control characters");
	for (size_t i = 0; count > 0 && i < router->count; i++) {
		const struct route_pattern *pattern = &router->patterns[i];

		if (!matches(pattern, segments, (unsigned)count))
			continue;
		if (pattern->route->method == method) {
			ret->route = pattern->route;
			take_params(ret, pattern, segments);
			return 0;
		}
		add_allowed(ret->allow, pattern->route->method);
	}
	if (ret->allow[0])
		return err_set(err, ERR_METHOD, NULL, "this path knows only %s", ret->allow);
	return err_set(err, ERR_NOT_FOUND, NULL, "there is nothing at this path");
}

static int query_index(const struct http_route *route, const char *name)
{
	for (int i = 0; route->query && route->query[i]; i++)
		if (strcmp(route->query[i], name) == 0)
			return i;
	return -ENOENT;
}

static int take_query(
	struct route_match *match, const char *name, const char *value, struct err *err)
{
	int i = query_index(match->route, name);

	if (i < 0)
		return err_set(
			err, ERR_INVALID, name, "unknown query parameter; remove it or correct it");
	if (match->query[i])
		return err_set(err, ERR_INVALID, name, "this query parameter is given twice");
	match->query[i] = value;
	return 0;
}

int route_query(struct route_match *match, const char *query, char *scratch, struct err *err)
{
	while (*query) {
		const char *end = query + strcspn(query, "&");
		const char *equals = memchr(query, '=', (size_t)(end - query));
		const char *name_end = equals ? equals : end;
		char *name = scratch, *value;
		int n = text_percent_decode(query, name_end, true, name), r;

		if (n < 0)
			return err_set(err, ERR_MALFORMED, NULL, "the query is badly encoded");
		value = name + n + 1;
		r = text_percent_decode(equals ? equals + 1 : end, end, true, value);
		if (r < 0)
			return err_set(err, ERR_INVALID, name, "the value is badly encoded");
		scratch = value + r + 1;
		if (end > query) {
			r = take_query(match, name, value, err);
			if (r < 0)
				return r;
		}
		query = *end ? end + 1 : end;
	}
	return 0;
}
