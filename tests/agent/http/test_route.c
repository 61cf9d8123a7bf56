/* The router by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/route.h"
#include "base/cleanup.h"
#include "base/err.h"

static const char *const QUERY[] = {"wait", "dry_run", NULL};

static const struct http_route ROUTES[] = {
	{HTTP_GET, "/v1/guests", ROLE_VIEWER, BODY_NONE, QUERY, NULL},
	{HTTP_POST, "/v1/guests", ROLE_VIEWER, BODY_NONE, QUERY, NULL},
	{HTTP_GET, "/v1/guests/{}", ROLE_VIEWER, BODY_NONE, NULL, NULL},
	{HTTP_PUT, "/v1/guests/{}/ports/{}/{}", ROLE_VIEWER, BODY_NONE, NULL, NULL},
	{HTTP_POST, "/v1/guests/{}/actions/start", ROLE_VIEWER, BODY_NONE, NULL, NULL},
};

struct found {
	struct router router;
	struct route_match match;
	struct err err;
	char scratch[512];
};

static int setup(void **state)
{
	struct found *found = calloc(1, sizeof(*found));

	assert_return_code(router_init(&found->router, ROUTES, ARRAY_SIZE(ROUTES)), 0);
	*state = found;
	return 0;
}

static int teardown(void **state)
{
	struct found *found = *state;

	router_finish(&found->router);
	free(found);
	return 0;
}

static int find(struct found *found, enum http_method method, const char *path)
{
	return route_find(&found->router, method, path, found->scratch, &found->match, &found->err);
}

static void finds_literal_paths_and_parameters(void **state)
{
	struct found *found = *state;

	assert_return_code(find(found, HTTP_POST, "/v1/guests"), 0);
	assert_ptr_equal(found->match.route, &ROUTES[1]);
	assert_return_code(find(found, HTTP_PUT, "/v1/guests/web.example/ports/tcp/80"), 0);
	assert_ptr_equal(found->match.route, &ROUTES[3]);
	assert_string_equal(found->match.params[0], "web.example");
	assert_string_equal(found->match.params[1], "tcp");
	assert_string_equal(found->match.params[2], "80");
}

static void an_encoded_slash_stays_within_its_segment(void **state)
{
	struct found *found = *state;

	assert_return_code(find(found, HTTP_GET, "/v1/guests/a%2Fb%2f.."), 0);
	assert_string_equal(found->match.params[0], "a/b/..");
	assert_return_code(find(found, HTTP_GET, "/v1/gu%65sts"), 0);
}

static void paths_that_do_not_fit_are_not_found(void **state)
{
	static const char *const PATHS[] = {"/", "/v1", "/v1/guests/", "/v1/guests//",
		"/v1//guests", "/v1/guests/a/b", "/v1/guests/a/actions/stop",
		"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"};
	struct found *found = *state;

	for (size_t i = 0; i < ARRAY_SIZE(PATHS); i++) {
		assert_true(find(found, HTTP_GET, PATHS[i]) < 0);
		assert_int_equal(found->err.code, ERR_NOT_FOUND);
	}
}

static void paths_that_mean_nothing_are_malformed(void **state)
{
	static const char *const PATHS[] = {"", "v1", "*", "http://a/v1", "/%", "/%4", "/%zz",
		"/a%00b", "/a\nb", "/%1b", "/%ff", "/%c0%af", "/%ed%a0%80", "/a\x7f", "/a b",
		"/\xc3\xa9"};
	struct found *found = *state;

	for (size_t i = 0; i < ARRAY_SIZE(PATHS); i++) {
		assert_true(find(found, HTTP_GET, PATHS[i]) < 0);
		assert_int_equal(found->err.code, ERR_MALFORMED);
	}
}

static void a_wrong_method_lists_the_right_ones(void **state)
{
	struct found *found = *state;

	assert_true(find(found, HTTP_DELETE, "/v1/guests") < 0);
	assert_int_equal(found->err.code, ERR_METHOD);
	assert_string_equal(found->match.allow, "GET, HEAD, POST");
}

static void head_is_get_and_unknown_methods_are_other(void **state)
{
	(void)state;
	assert_int_equal(route_method("HEAD"), HTTP_GET);
	assert_int_equal(route_method("PATCH"), HTTP_PATCH);
	assert_int_equal(route_method("get"), HTTP_OTHER);
	assert_int_equal(route_method("OTHER"), HTTP_OTHER);
	assert_int_equal(route_method(""), HTTP_OTHER);
}

static int query(struct found *found, const char *text)
{
	char scratch[128];

	assert_return_code(find(found, HTTP_GET, "/v1/guests"), 0);
	return route_query(&found->match, text, scratch, &found->err);
}

static void queries_are_decoded(void **state)
{
	char scratch[128];
	struct found *found = *state;

	assert_return_code(find(found, HTTP_GET, "/v1/guests"), 0);
	assert_return_code(
		route_query(&found->match, "&dry_run&wait=1%30+x%3D&", scratch, &found->err), 0);
	assert_string_equal(found->match.query[0], "10 x=");
	assert_string_equal(found->match.query[1], "");
}

static void queries_that_are_wrong_name_the_parameter(void **state)
{
	static const struct {
		const char *text, *field;
		enum err_code code;
	} CASES[] = {
		{"wiat=1", "wiat", ERR_INVALID},
		{"wait=1&wait=1", "wait", ERR_INVALID},
		{"wait=%zz", "wait", ERR_INVALID},
		{"wait=%00", "wait", ERR_INVALID},
		{"%zz=1", "", ERR_MALFORMED},
		{"=1", "", ERR_INVALID},
	};
	struct found *found = *state;

	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		assert_true(query(found, CASES[i].text) < 0);
		assert_int_equal(found->err.code, CASES[i].code);
		assert_string_equal(found->err.field, CASES[i].field);
	}
}

static void tables_that_cannot_be_served_are_refused(void **state)
{
	static const char *const PATHS[] = {
		"v1", "/v1/", "/a/b/c/d/e/f/g/h/i/j/k/l/m", "/{}/{}/{}/{}/{}"};
	struct router router;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(PATHS); i++) {
		struct http_route route = {.path = PATHS[i]};

		assert_true(router_init(&router, &route, 1) < 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_literal_paths_and_parameters),
		TEST(an_encoded_slash_stays_within_its_segment),
		TEST(paths_that_do_not_fit_are_not_found),
		TEST(paths_that_mean_nothing_are_malformed),
		TEST(a_wrong_method_lists_the_right_ones),
		TEST(head_is_get_and_unknown_methods_are_other),
		TEST(queries_are_decoded),
		TEST(queries_that_are_wrong_name_the_parameter),
		TEST(tables_that_cannot_be_served_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
