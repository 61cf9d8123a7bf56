/* Requests that are answered later, and clients that do not wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static int ask(struct fixture *fixture, const char *request)
{
	int fd = client_connect(fixture->socket);

	client_send(fd, request);
	return fd;
}

static void expect_body(int fd, const char *body)
{
	struct reply reply;

	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, body);
	reply_finish(&reply);
}

static void an_answer_may_come_later(void **state)
{
	struct fixture *fixture = *state;
	int fd = ask(fixture, GET("/later"));

	fixture_await(fixture, "/count/waiters", 1);
	assert_int_equal(fixture_number(fixture, "/answer"), 1);
	expect_body(fd, "at last\n");
	fixture_await(fixture, "/count/released", 1);
	close(fd);
}

static void what_was_pipelined_behind_a_waiting_request_follows_it(void **state)
{
	struct fixture *fixture = *state;
	int fd = ask(fixture, GET("/later") GET("/hello") GET("/hello"));

	fixture_await(fixture, "/count/waiters", 1);
	fixture_number(fixture, "/answer");
	expect_body(fd, "at last\n");
	expect_body(fd, "hello\n");
	expect_body(fd, "hello\n");
	close(fd);
}

static void a_connection_waits_again_and_again(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	for (int i = 1; i <= 50; i++) {
		client_send(fd, GET("/later"));
		fixture_await(fixture, "/count/waiters", 1);
		fixture_number(fixture, "/answer");
		expect_body(fd, "at last\n");
		fixture_await(fixture, "/count/released", i);
	}
	close(fd);
}

static void a_client_that_leaves_is_noticed_at_once(void **state)
{
	struct fixture *fixture = *state;
	int fds[100];

	for (int i = 0; i < 100; i++)
		fds[i] = ask(fixture, GET("/later"));
	fixture_await(fixture, "/count/waiters", 100);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	fixture_await(fixture, "/count/waiters", 0);
	assert_int_equal(fixture_number(fixture, "/count/released"), 100);
	assert_int_equal(fixture_number(fixture, "/answer"), 0);
}

static void an_answer_to_a_client_that_left_goes_nowhere(void **state)
{
	struct fixture *fixture = *state;
	int gone = ask(fixture, GET("/keep")), stays;

	fixture_await(fixture, "/count/kept", 1);
	close(gone);
	stays = ask(fixture, GET("/keep"));
	fixture_await(fixture, "/count/kept", 2);
	assert_int_equal(fixture_number(fixture, "/answer-kept"), 2);
	expect_body(stays, "/keep");
	close(stays);
}

static void a_server_that_ends_releases_what_waits(void **state)
{
	struct fixture *fixture = *state;

	/* The tear-down ends the server, then closes them; sanitizers and the count of descriptors
	 * tell the rest. */
	fixture->left[0] = ask(fixture, GET("/later"));
	fixture->left[1] = ask(fixture, GET("/keep"));
	fixture->left[2] = ask(fixture, GET("/events"));
	fixture->left[3] = ask(fixture, "PUT /upload?mode=hold HTTP/1.1\r\nHost: a\r\n"
					"Content-Length: 10\r\n\r\nabc");
	fixture->left[4] = ask(fixture, "POST /body HTTP/1.1\r\nHost: a\r\n"
					"Content-Type: application/json\r\n"
					"Content-Length: 10\r\n\r\nabc");
	fixture_await(fixture, "/count/waiters", 1);
	fixture_await(fixture, "/count/kept", 1);
	fixture_await(fixture, "/count/listeners", 1);
	fixture_await(fixture, "/count/uploads", 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_may_come_later),
		TEST(what_was_pipelined_behind_a_waiting_request_follows_it),
		TEST(a_connection_waits_again_and_again),
		TEST(a_client_that_leaves_is_noticed_at_once),
		TEST(an_answer_to_a_client_that_left_goes_nowhere),
		TEST(a_server_that_ends_releases_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
