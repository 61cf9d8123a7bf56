/* Bodies that stream into a pipe. */
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

#define LARGE (8 * 1024 * 1024)

/* Bytes of which the handler knows what each must be. */
static char *make_body(size_t size)
{
	char *body = malloc(size + 1);

	assert_non_null(body);
	for (size_t i = 0; i < size; i++)
		body[i] = (char)('a' + i % 23);
	return body;
}

static int start(struct fixture *fixture, const char *query, size_t size, const char *more)
{
	int fd = client_connect(fixture->socket);
	char head[256];

	snprintf(head, sizeof(head),
		"PUT /upload%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n", query, size,
		more);
	client_send(fd, head);
	return fd;
}

static void expect(int fd, unsigned status, const char *body)
{
	struct reply reply;

	client_read(fd, false, &reply);
	assert_int_equal(reply.status, status);
	if (body)
		assert_string_equal(reply.body, body);
	reply_finish(&reply);
}

static void a_body_arrives_whole(void **state)
{
	char *body = make_body(LARGE);
	int fd = start(*state, "", LARGE, "");

	assert_true(client_try_send(fd, body, LARGE));
	expect(fd, 200, "8388608");
	client_send(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(fd, 200, "hello\n");
	close(fd);
	free(body);
}

static void a_chunked_body_arrives_whole(void **state)
{
	struct fixture *fixture = *state;
	char *body = make_body(LARGE);
	int fd = client_connect(fixture->socket);

	client_send(fd, "PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t at = 0; at < LARGE; at += 65536) {
		client_send(fd, "10000\r\n");
		assert_true(client_try_send(fd, body + at, 65536));
		client_send(fd, "\r\n");
	}
	client_send(fd, "0\r\n\r\n");
	expect(fd, 200, "8388608");
	close(fd);
	free(body);
}

static void an_empty_body_is_a_body(void **state)
{
	int fd = start(*state, "", 0, "");

	expect(fd, 200, "0");
	close(fd);
}

/* Sends until nothing more is taken; returns how much was. A server that has not even seen the
 * connection takes nothing either, and is waited for. */
static size_t send_until_full(struct fixture *fixture, int fd, const char *body)
{
	struct timeval timeout = {.tv_usec = 300000};
	size_t sent = 0;

	fixture_await(fixture, "/count/uploads", 1);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	while (sent < LARGE) {
		ssize_t n = send(fd, body + sent, LARGE - sent, MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	timeout.tv_usec = 0;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return sent;
}

static void a_reader_that_waits_makes_the_client_wait(void **state)
{
	struct fixture *fixture = *state;
	char *body = make_body(LARGE);
	int fd = start(fixture, "?mode=hold", LARGE, "");
	size_t sent = send_until_full(fixture, fd, body);

	/* What the socket, libmicrohttpd and the pipe hold, and no more. */
	assert_true(sent < 2 * 1024 * 1024);
	assert_int_equal(fixture_number(fixture, "/read"), 1);
	assert_true(client_try_send(fd, body + sent, LARGE - sent));
	expect(fd, 200, "8388608");
	close(fd);
	free(body);
}

static void the_pipe_may_come_later(void **state)
{
	struct fixture *fixture = *state;
	char *body = make_body(LARGE);
	int fd = start(fixture, "?mode=late", LARGE, "");
	size_t sent = send_until_full(fixture, fd, body);

	assert_true(sent < 1024 * 1024);
	assert_int_equal(fixture_number(fixture, "/read"), 1);
	assert_true(client_try_send(fd, body + sent, LARGE - sent));
	expect(fd, 200, "8388608");
	close(fd);
	free(body);
}

static void a_body_cut_short_is_not_complete(void **state)
{
	struct fixture *fixture = *state;
	char *body = make_body(LARGE);
	int fd = start(fixture, "", LARGE, "");

	assert_true(client_try_send(fd, body, LARGE / 2));
	close(fd);
	fixture_await(fixture, "/count/cut", 1);
	fixture_await(fixture, "/count/uploads", 0);
	free(body);
}

static void a_client_that_leaves_while_the_pipe_is_full_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	char *body = make_body(LARGE);
	int fd = start(fixture, "?mode=hold", LARGE, "");

	send_until_full(fixture, fd, body);
	close(fd);
	fixture_number(fixture, "/read");
	fixture_await(fixture, "/count/cut", 1);
	free(body);
}

static void a_chunked_body_without_its_end_is_not_complete(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, "PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			"chunked\r\n\r\n3\r\nabc\r\n");
	/* One that has gone before it was seen has sent nothing. */
	fixture_await(fixture, "/count/uploads", 1);
	close(fd);
	fixture_await(fixture, "/count/cut", 1);
}

static void a_broken_chunk_is_not_complete(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);

	client_send(fd, "PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			"3\r\nabc\r\nxyz\r\n");
	fixture_await(fixture, "/count/cut", 1);
	client_wait_closed(fd);
	close(fd);
}

static void a_refusal_in_the_middle_reaches_the_client(void **state)
{
	static const size_t SIZES[] = {LARGE, 64 * 1024 * 1024};

	for (size_t i = 0; i < 2; i++) {
		struct fixture *fixture = *state;
		char *body = make_body(SIZES[i]);
		int fd = start(fixture, "?stop=100000", SIZES[i], "");

		(void)client_try_send(fd, body, SIZES[i]);
		expect(fd, 507, NULL);
		close(fd);
		free(body);
		assert_int_equal(fixture_number(fixture, "/count/refused"), (long)i + 1);
	}
}

static void a_refusal_before_the_body_saves_sending_it(void **state)
{
	int fd = start(*state, "?mode=refuse", LARGE, "Expect: 100-continue\r\n");

	expect(fd, 409, NULL);
	client_wait_closed(fd);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_arrives_whole),
		TEST(a_chunked_body_arrives_whole),
		TEST(an_empty_body_is_a_body),
		TEST(a_reader_that_waits_makes_the_client_wait),
		TEST(the_pipe_may_come_later),
		TEST(a_body_cut_short_is_not_complete),
		TEST(a_client_that_leaves_while_the_pipe_is_full_is_noticed),
		TEST(a_chunked_body_without_its_end_is_not_complete),
		TEST(a_broken_chunk_is_not_complete),
		TEST(a_refusal_in_the_middle_reaches_the_client),
		TEST(a_refusal_before_the_body_saves_sending_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
