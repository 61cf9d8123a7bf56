/* Any bytes as a JSON body, and as the path and query of a request. */
#include <string.h>

#include "agent/http/body.h"
#include "agent/http/problem.h"
#include "agent/http/route.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "fuzz.h"

static const char *const QUERY[] = {"fields", "limit", NULL};

static const struct http_route ROUTES[] = {
	{HTTP_GET, "/v1/guests", ROLE_VIEWER, BODY_NONE, QUERY, NULL},
	{HTTP_GET, "/v1/guests/{}", ROLE_VIEWER, BODY_NONE, QUERY, NULL},
	{HTTP_GET, "/v1/guests/{}/ports/{}/{}", ROLE_VIEWER, BODY_NONE, QUERY, NULL},
	{HTTP_PUT, "/v1/guests/{}", ROLE_VIEWER, BODY_NONE, NULL, NULL},
};

/* A refusal becomes a document that a client can read. */
static void check_refusal(const struct err *err, const char *path)
{
	AUTOFREE char *text = problem_render(err, 400, NULL, path);
	json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	REQUIRE(document && json_object_get(document, "detail"));
	json_decref(document);
}

static void try_body(const char *text, size_t size)
{
	struct err err = {0};
	json_t *json = NULL;

	if (body_parse(text, size, &json, &err) < 0) {
		REQUIRE(err.code == ERR_MALFORMED && !json);
		check_refusal(&err, NULL);
		return;
	}
	REQUIRE(json_is_object(json));
	json_decref(json);
}

static void check_text(const char *text)
{
	json_t *string = text ? json_string(text) : NULL;

	REQUIRE(!text || string);
	json_decref(string);
}

static void try_target(char *target)
{
	size_t room = ROUTE_SCRATCH(strlen(target));
	AUTOFREE char *first = malloc(room), *second = malloc(room);
	char *query = strchr(target, '?');
	struct route_match match;
	struct router router;
	struct err err = {0};
	int r;

	REQUIRE(first && second && router_init(&router, ROUTES, ARRAY_SIZE(ROUTES)) == 0);
	if (query)
		*query++ = '\0';
	r = route_find(&router, HTTP_GET, target, first, &match, &err);
	if (r == 0 && query)
		r = route_query(&match, query, second, &err);
	if (r < 0)
		check_refusal(&err, target);
	for (unsigned i = 0; i < HTTP_PARAMS_MAX; i++)
		check_text(match.params[i]);
	for (unsigned i = 0; r == 0 && i < ROUTE_QUERY_MAX; i++)
		check_text(match.query[i]);
	router_finish(&router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *target = strndup((const char *)data, size);

	REQUIRE(target);
	try_body((const char *)data, size);
	try_target(target);
	return 0;
}
