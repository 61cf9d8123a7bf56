/* Event streams. */
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

static int listen_to(struct fixture *fixture)
{
	int fd = client_connect(fixture->socket);

	client_send(fd, GET("/events"));
	assert_true(client_read_until(fd, "text/event-stream"));
	assert_true(client_read_until(fd, "\r\n\r\n"));
	return fd;
}

static void events_arrive_as_they_are_sent(void **state)
{
	struct fixture *fixture = *state;
	int a = listen_to(fixture), b = listen_to(fixture);

	for (int i = 0; i < 20; i++) {
		assert_int_equal(fixture_number(fixture, "/publish?size=3"), 2);
		assert_true(client_read_until(a, "data: xxxend\n\n"));
		assert_true(client_read_until(b, "data: xxxend\n\n"));
	}
	close(a);
	close(b);
	fixture_await(fixture, "/count/gone", 2);
}

static void a_listener_that_leaves_is_noticed_at_once(void **state)
{
	struct fixture *fixture = *state;
	int fds[50];

	for (int i = 0; i < 50; i++)
		fds[i] = listen_to(fixture);
	for (int i = 0; i < 50; i++)
		close(fds[i]);
	fixture_await(fixture, "/count/gone", 50);
	assert_int_equal(fixture_number(fixture, "/count/listeners"), 0);
}

static void a_slow_reader_is_cut_off_and_others_are_not(void **state)
{
	struct fixture *fixture = *state;
	int slow = listen_to(fixture), good = listen_to(fixture);
	long taken = 2;

	for (int i = 0; i < 400 && taken == 2; i++) {
		taken = fixture_number(fixture, "/publish?size=10000");
		assert_true(client_read_until(good, "end\n\n"));
	}
	assert_int_equal(taken, 1);
	fixture_await(fixture, "/count/gone", 1);
	assert_int_equal(fixture_number(fixture, "/count/listeners"), 1);
	client_wait_closed(slow);
	close(slow);
	close(good);
}

static void one_event_beyond_the_bound_cuts_off_too(void **state)
{
	struct fixture *fixture = *state;
	int fd = listen_to(fixture);

	assert_int_equal(fixture_number(fixture, "/publish?size=1048576"), 0);
	fixture_await(fixture, "/count/gone", 1);
	client_wait_closed(fd);
	close(fd);
}

static void a_large_event_arrives_whole(void **state)
{
	struct fixture *fixture = *state;
	int fd = listen_to(fixture);

	assert_int_equal(fixture_number(fixture, "/publish?size=1000000"), 1);
	assert_true(client_read_until(fd, "end\n\n"));
	close(fd);
}

static void closing_a_stream_ends_the_answer_and_keeps_the_connection(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, GET("/events"));
	fixture_await(fixture, "/count/listeners", 1);
	fixture_number(fixture, "/publish?size=1");
	fixture_number(fixture, "/close");
	client_read(fd, false, &reply);
	assert_string_equal(reply.body, "data: xend\n\n");
	reply_finish(&reply);
	client_send(fd, GET("/hello"));
	client_read(fd, false, &reply);
	assert_string_equal(reply.body, "hello\n");
	reply_finish(&reply);
	assert_int_equal(fixture_number(fixture, "/count/gone"), 0);
	close(fd);
}

static void head_of_a_stream_ends_at_once(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;

	client_send(fd, "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n" GET("/hello"));
	client_read(fd, true, &reply);
	assert_int_equal(reply.status, 200);
	reply_finish(&reply);
	client_read(fd, false, &reply);
	assert_string_equal(reply.body, "hello\n");
	reply_finish(&reply);
	assert_int_equal(fixture_number(fixture, "/count/listeners"), 0);
	close(fd);
}

static void a_silent_stream_is_pinged(void **state)
{
	struct fixture *fixture = *state;
	int fd = listen_to(fixture);

	assert_true(client_read_until(fd, ": ping\n\n"));
	assert_true(client_read_until(fd, ": ping\n\n"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_arrive_as_they_are_sent),
		TEST(a_listener_that_leaves_is_noticed_at_once),
		TEST(a_slow_reader_is_cut_off_and_others_are_not),
		TEST(one_event_beyond_the_bound_cuts_off_too),
		TEST(a_large_event_arrives_whole),
		TEST(closing_a_stream_ends_the_answer_and_keeps_the_connection),
		TEST(head_of_a_stream_ends_at_once),
		cmocka_unit_test_setup_teardown(
			a_silent_stream_is_pinged, fixture_setup_tight, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
