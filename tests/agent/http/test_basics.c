/* What any client meets: routes, roles, bodies, problem documents, connections that stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "fixture.h"

#define HOST	  "Host: a\r\n"
#define JSON	  HOST "Content-Type: application/json\r\n"
#define END	  "\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST END

static void a_get_is_answered(void **state)
{
	struct reply reply;
	char value[64];

	fixture_exchange(*state, GET("/hello"), &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, "hello\n");
	assert_string_equal(
		reply_header(&reply, "Content-Type", value, sizeof(value)), "text/plain");
	assert_false(reply.closed);
	reply_finish(&reply);
}

static void head_has_the_headers_of_get_and_no_body(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;
	char value[64];

	client_send(fd, "HEAD /hello HTTP/1.1\r\n" HOST END GET("/hello"));
	client_read(fd, true, &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply_header(&reply, "Content-Length", value, sizeof(value)), "6");
	reply_finish(&reply);
	client_read(fd, false, &reply);
	assert_string_equal(reply.body, "hello\n");
	reply_finish(&reply);
	close(fd);
}

static void parameters_query_and_headers_reach_the_handler(void **state)
{
	struct reply reply;
	json_t *json;
	char value[64];

	fixture_exchange(*state,
		"GET /echo/a%20b/and/%2e%2e%2Fc?fields=x%26y+z&limit= HTTP/1.1\r\n" HOST
		"X-Test: t\r\n" END,
		&reply);
	assert_int_equal(reply.status, 200);
	json = json_loads(reply.body, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "first")), "a b");
	assert_string_equal(json_string_value(json_object_get(json, "second")), "../c");
	assert_string_equal(json_string_value(json_object_get(json, "fields")), "x&y z");
	assert_string_equal(json_string_value(json_object_get(json, "header")), "t");
	assert_string_equal(json_string_value(json_object_get(json, "role")), "admin");
	assert_string_equal(
		json_string_value(json_object_get(json, "path")), "/echo/a%20b/and/%2e%2e%2Fc");
	assert_int_equal(json_integer_value(json_object_get(json, "pid")), getpid());
	assert_string_equal(reply_header(&reply, "ETag", value, sizeof(value)), "\"7\"");
	json_decref(json);
	reply_finish(&reply);
}

static void unknown_paths_are_404_and_wrong_methods_405_with_allow(void **state)
{
	struct reply reply;
	char value[64];

	fixture_expect(*state, GET("/nothing"), 404, "\"instance\":\"/nothing\"");
	fixture_expect(*state, GET("/hello/"), 404, NULL);
	fixture_expect(*state, GET("//hello"), 404, NULL);
	fixture_exchange(*state, "PATCH /hello HTTP/1.1\r\n" HOST END, &reply);
	assert_int_equal(reply.status, 405);
	assert_string_equal(
		reply_header(&reply, "Allow", value, sizeof(value)), "GET, HEAD, DELETE");
	reply_finish(&reply);
	fixture_expect(*state, "BREW /hello HTTP/1.1\r\n" HOST END, 405, NULL);
}

static void unknown_and_repeated_query_parameters_are_refused_by_name(void **state)
{
	fixture_expect(*state, GET("/echo/a/and/b?feilds=x"), 422, "\"field\":\"feilds\"");
	fixture_expect(*state, GET("/echo/a/and/b?limit=1&limit=2"), 422, "\"field\":\"limit\"");
	fixture_expect(*state, GET("/hello?x"), 422, "\"field\":\"x\"");
}

static void a_role_too_low_is_403_and_names_the_needed_one(void **state)
{
	fixture_set_role(ROLE_OPERATOR);
	fixture_expect(*state, GET("/admin"), 403, "role admin");
	fixture_expect(*state, GET("/hello"), 200, NULL);
	fixture_set_role(ROLE_NONE);
	fixture_expect(*state, GET("/hello"), 403, "role viewer");
}

static void a_change_of_role_counts_from_the_next_request_on(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, GET("/admin"));
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	reply_finish(&reply);
	fixture_set_role(ROLE_VIEWER);
	client_send(fd, GET("/admin"));
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 403);
	reply_finish(&reply);
	close(fd);
}

static void a_json_body_reaches_the_handler(void **state)
{
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 7\r\n" END "{\"a\":1}", 200,
		"{\"a\":1}");
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" HOST "Content-Type: Application/JSON; "
		"charset=UTF-8\r\nTransfer-Encoding: chunked\r\n" END
		"3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n",
		200, "{\"a\":1}");
	fixture_expect(*state, "POST /optional HTTP/1.1\r\n" HOST END, 200, "{}");
}

static void bodies_of_a_wrong_kind_are_refused(void **state)
{
	fixture_expect(*state, "POST /body HTTP/1.1\r\n" HOST END, 400, "JSON object");
	fixture_expect(*state, "POST /body HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}", 415,
		"application/json");
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" HOST
		"Content-Type: text/plain\r\nContent-Length: 2\r\n" END "{}",
		415, NULL);
	fixture_expect(*state, "POST /body HTTP/1.1\r\n" JSON "Content-Length: 2\r\n" END "[]", 400,
		"JSON object");
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 9\r\n" END "{\"a\":\n x}", 400,
		"line 2");
	fixture_expect(*state, "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 2\r\n" END "{}", 400,
		"takes no body");
	fixture_expect(*state,
		"GET /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
		"2\r\n{}\r\n0\r\n\r\n",
		400, "takes no body");
}

static void a_refused_body_does_not_cost_the_connection(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, "POST /nothing HTTP/1.1\r\n" JSON "Content-Length: 7\r\n" END
			"{\"a\":1}" GET("/hello"));
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 404);
	assert_false(reply.closed);
	reply_finish(&reply);
	client_read(fd, false, &reply);
	assert_string_equal(reply.body, "hello\n");
	reply_finish(&reply);
	close(fd);
}

/* A body of `size` bytes, announced or in one chunk. */
static void post_large(struct fixture *fixture, size_t size, bool chunked, struct reply *ret)
{
	char head[256], *body = malloc(size);
	int fd = client_connect(fixture->socket);

	memset(body, ' ', size);
	memcpy(body, "{}", 2);
	snprintf(head, sizeof(head), "POST /body HTTP/1.1\r\n" JSON "%s%zu\r\n\r\n",
		chunked ? "Transfer-Encoding: chunked\r\nX-Size: " : "Content-Length: ", size);
	client_send(fd, head);
	if (chunked) {
		snprintf(head, sizeof(head), "%zx\r\n", size);
		client_send(fd, head);
	}
	(void)client_try_send(fd, body, size);
	if (chunked)
		(void)client_try_send(fd, "\r\n0\r\n\r\n", 7);
	client_read(fd, false, ret);
	free(body);
	close(fd);
}

static void a_body_may_have_one_mebibyte_and_not_more(void **state)
{
	static const struct {
		size_t size;
		unsigned status;
	} CASES[] = {
		{HTTP_BODY_MAX, 200},
		{HTTP_BODY_MAX + 1, 413},
		{4 * HTTP_BODY_MAX, 413},
		{40 * HTTP_BODY_MAX, 413},
	};

	for (size_t i = 0; i < 2 * sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct reply reply;

		post_large(*state, CASES[i / 2].size, i % 2, &reply);
		assert_int_equal(reply.status, CASES[i / 2].status);
		reply_finish(&reply);
	}
}

static void expect_100_continue_is_answered_before_the_body(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd,
		"POST /body HTTP/1.1\r\n" JSON "Expect: 100-continue\r\nContent-Length: 2\r\n" END);
	assert_true(client_read_until(fd, "HTTP/1.1 100 Continue\r\n\r\n"));
	client_send(fd, "{}");
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	reply_finish(&reply);
	close(fd);

	fd = client_connect(fixture->socket);
	client_send(fd, "POST /nothing HTTP/1.1\r\n" JSON
			"Expect: 100-continue\r\nContent-Length: 2\r\n" END);
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 404);
	assert_true(reply.closed);
	reply_finish(&reply);
	close(fd);
}

static void an_empty_answer_has_no_body(void **state)
{
	struct reply reply;

	fixture_exchange(*state, "DELETE /hello HTTP/1.1\r\n" HOST END, &reply);
	assert_int_equal(reply.status, 204);
	reply_finish(&reply);
}

static void an_error_becomes_a_problem_document(void **state)
{
	struct reply reply;
	char value[64];
	json_t *json;

	fixture_exchange(*state, GET("/fail/no_room"), &reply);
	assert_int_equal(reply.status, 507);
	assert_string_equal(reply_header(&reply, "Content-Type", value, sizeof(value)),
		"application/problem+json");
	json = json_loads(reply.body, 0, NULL);
	assert_string_equal(
		json_string_value(json_object_get(json, "type")), "urn:corpus:problem:no_room");
	assert_string_equal(json_string_value(json_object_get(json, "title")), "No room left");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 507);
	assert_string_equal(json_string_value(json_object_get(json, "code")), "no_room");
	assert_string_equal(json_string_value(json_object_get(json, "detail")), "cut here: ?");
	assert_string_equal(json_string_value(json_object_get(json, "field")), "storage.size");
	assert_string_equal(json_string_value(json_object_get(json, "operation")), "op-1");
	assert_string_equal(json_string_value(json_object_get(json, "instance")), "/fail/no_room");
	json_decref(json);
	reply_finish(&reply);
}

static void what_may_work_later_says_when_to_try_again(void **state)
{
	struct reply reply;
	char value[64];

	fixture_exchange(*state, GET("/fail/unavailable"), &reply);
	assert_int_equal(reply.status, 503);
	assert_string_equal(reply_header(&reply, "Retry-After", value, sizeof(value)), "5");
	reply_finish(&reply);
	fixture_exchange(*state, GET("/fail/too_many_requests"), &reply);
	assert_int_equal(reply.status, 429);
	assert_string_equal(reply_header(&reply, "Retry-After", value, sizeof(value)), "1");
	reply_finish(&reply);
}

static void get_hash(struct fixture *fixture, const char *request, char ret[static 65])
{
	struct reply reply;

	fixture_exchange(fixture, request, &reply);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.size, 64);
	memcpy(ret, reply.body, 65);
	reply_finish(&reply);
}

static void the_hash_tells_different_requests_apart(void **state)
{
	static const char *const DIFFERENT[] = {
		"PUT /hash HTTP/1.1\r\n" JSON "Content-Length: 2\r\n" END "{}",
		"POST /hash HTTP/1.1\r\n" JSON "Content-Length: 3\r\n" END "{ }",
		"POST /hash HTTP/1.1\r\n" HOST END,
		"POST /hash?limit=1 HTTP/1.1\r\n" JSON "Content-Length: 2\r\n" END "{}",
	};
	char first[65], other[65];

	get_hash(*state, "POST /hash HTTP/1.1\r\n" JSON "Content-Length: 2\r\n" END "{}", first);
	get_hash(*state,
		"POST /hash HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END
		"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
		other);
	assert_string_equal(first, other);
	for (size_t i = 0; i < sizeof(DIFFERENT) / sizeof(DIFFERENT[0]); i++) {
		get_hash(*state, DIFFERENT[i], other);
		assert_string_not_equal(first, other);
	}
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	char request[256], wanted[32];
	struct reply reply;

	for (int i = 0; i < 200; i++) {
		snprintf(request, sizeof(request),
			i % 3 ? GET("/echo/n%d/and/b")
			      : "POST /body HTTP/1.1\r\n" JSON "Content-Length: 15\r\n" END
				"{\"n\":\"%7d\"}",
			i);
		client_send(fd, request);
	}
	for (int i = 0; i < 200; i++) {
		client_read(fd, false, &reply);
		assert_int_equal(reply.status, 200);
		snprintf(wanted, sizeof(wanted), i % 3 ? "\"n%d\"" : "\"%7d\"", i);
		assert_non_null(strstr(reply.body, wanted));
		reply_finish(&reply);
	}
	close(fd);
}

static void a_client_that_only_closed_its_own_direction_gets_its_answer(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, GET("/hello"));
	shutdown(fd, SHUT_WR);
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	reply_finish(&reply);
	client_wait_closed(fd);
	close(fd);
}

static void http_1_0_is_answered_and_closed(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, "GET /hello HTTP/1.0\r\n\r\n");
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	reply_finish(&reply);
	client_wait_closed(fd);
	close(fd);
}

static void five_hundred_idle_connections_do_not_disturb(void **state)
{
	struct fixture *fixture = *state;
	unsigned count = getuid() == 0 ? 500 : 200; /* root is not limited by user */
	int fds[500];

	for (unsigned i = 0; i < count; i++)
		fds[i] = client_connect(fixture->socket);
	fixture_expect(fixture, GET("/hello"), 200, "hello");
	for (unsigned i = 0; i < count; i++) {
		struct reply reply;

		client_send(fds[i], GET("/hello"));
		client_read(fds[i], false, &reply);
		assert_int_equal(reply.status, 200);
		reply_finish(&reply);
	}
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static void a_socket_that_is_passed_is_served_and_left(void **state)
{
	fixture_expect(*state, GET("/hello"), 200, "hello");
	fixture_expect(*state, GET("/hello"), 200, "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_get_is_answered),
		TEST(head_has_the_headers_of_get_and_no_body),
		TEST(parameters_query_and_headers_reach_the_handler),
		TEST(unknown_paths_are_404_and_wrong_methods_405_with_allow),
		TEST(unknown_and_repeated_query_parameters_are_refused_by_name),
		TEST(a_role_too_low_is_403_and_names_the_needed_one),
		TEST(a_change_of_role_counts_from_the_next_request_on),
		TEST(a_json_body_reaches_the_handler),
		TEST(bodies_of_a_wrong_kind_are_refused),
		TEST(a_refused_body_does_not_cost_the_connection),
		TEST(a_body_may_have_one_mebibyte_and_not_more),
		TEST(expect_100_continue_is_answered_before_the_body),
		TEST(an_empty_answer_has_no_body),
		TEST(an_error_becomes_a_problem_document),
		TEST(what_may_work_later_says_when_to_try_again),
		TEST(the_hash_tells_different_requests_apart),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(a_client_that_only_closed_its_own_direction_gets_its_answer),
		TEST(http_1_0_is_answered_and_closed),
		TEST(five_hundred_idle_connections_do_not_disturb),
		cmocka_unit_test_setup_teardown(a_socket_that_is_passed_is_served_and_left,
			fixture_setup_passed, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
