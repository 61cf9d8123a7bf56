/* Answers from a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define LARGE	  8388608

static void expect(int fd, size_t size)
{
	struct reply reply;

	client_read(fd, false, &reply);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.size, size);
	for (size_t i = 0; i < size; i++)
		if (reply.body[i] != (char)('a' + i % 23))
			fail_msg("byte %zu is wrong", i);
	reply_finish(&reply);
}

static void a_pipe_arrives_whole_and_the_connection_stays(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, GET("/pipe?size=8388608"));
	expect(fd, LARGE);
	client_send(fd, GET("/pipe?size=8388608&mode=known"));
	expect(fd, LARGE);
	client_send(fd, GET("/pipe?size=0") GET("/pipe?size=1"));
	expect(fd, 0);
	expect(fd, 1);
	assert_int_equal(fixture_number(fixture, "/count/feeds"), 0);
	close(fd);
}

static void the_end_of_the_pipe_alone_ends_nothing(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, GET("/pipe?size=1000&mode=hold"));
	assert_true(client_read_until(fd, "abc"));
	assert_int_equal(fixture_number(fixture, "/count/feeds"), 1);
	assert_int_equal(fixture_number(fixture, "/verdict/whole"), 1);
	assert_true(client_read_until(fd, "\r\n0\r\n\r\n"));
	client_send(fd, GET("/hello"));
	assert_true(client_read_until(fd, "hello\n"));
	close(fd);
}

static void what_is_not_whole_is_cut(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, GET("/pipe?size=1000&mode=hold"));
	assert_true(client_read_until(fd, "abc"));
	assert_int_equal(fixture_number(fixture, "/verdict/cut"), 1);
	assert_false(client_read_until(fd, "\r\n0\r\n\r\n"));
	close(fd);
}

static void a_client_that_leaves_ends_the_feed(void **state)
{
	struct fixture *fixture = *state;
	int fds[20];

	for (int i = 0; i < 20; i++) {
		fds[i] = client_connect(fixture->socket);
		client_send(fds[i],
			i % 2 ? GET("/pipe?size=100000000") : GET("/pipe?size=5&mode=hold"));
		assert_true(client_read_until(fds[i], "abc"));
	}
	assert_int_equal(fixture_number(fixture, "/count/feeds"), 20);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	fixture_await(fixture, "/count/gone", 20);
	assert_int_equal(fixture_number(fixture, "/count/feeds"), 0);
}

static void head_tells_the_size_and_reads_nothing(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;
	char value[64];

	client_send(fd, "HEAD /pipe?size=77&mode=known HTTP/1.1\r\nHost: a\r\n\r\n");
	client_read(fd, true, &reply);
	assert_string_equal(reply_header(&reply, "Content-Length", value, sizeof(value)), "77");
	reply_finish(&reply);
	client_send(fd, GET("/hello"));
	assert_true(client_read_until(fd, "hello\n"));
	assert_int_equal(fixture_number(fixture, "/count/gone"), 0);
	assert_int_equal(fixture_number(fixture, "/count/feeds"), 0);
	close(fd);
}

static void a_client_that_reads_nothing_makes_the_feed_wait_and_is_cut_off(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, GET("/pipe?size=100000000"));
	assert_true(client_read_until(fd, "abc"));
	fixture_await(fixture, "/count/gone", 1);
	client_wait_closed(fd);
	close(fd);
}

static void the_server_ends_in_the_midst(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 2; i++) {
		fixture->left[i] = client_connect(fixture->socket);
		client_send(fixture->left[i],
			i ? GET("/pipe?size=100000000") : GET("/pipe?size=5&mode=hold"));
		assert_true(client_read_until(fixture->left[i], "abc"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pipe_arrives_whole_and_the_connection_stays),
		TEST(the_end_of_the_pipe_alone_ends_nothing),
		TEST(what_is_not_whole_is_cut),
		TEST(a_client_that_leaves_ends_the_feed),
		TEST(head_tells_the_size_and_reads_nothing),
		cmocka_unit_test_setup_teardown(
			a_client_that_reads_nothing_makes_the_feed_wait_and_is_cut_off,
			fixture_setup_tight, fixture_teardown),
		TEST(the_server_ends_in_the_midst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
