/* Input from those who mean harm, or do not know better. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/http/http.h"
#include "base/clock.h"
#include "fixture.h"

#define HOST	  "Host: a\r\n"
#define JSON	  HOST "Content-Type: application/json\r\n"
#define END	  "\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST END

static void still_serves(struct fixture *fixture)
{
	fixture_expect(fixture, GET("/hello"), 200, "hello");
}

/* Each is refused with 400 and the connection ends, so that nothing after it is taken for a
 * request. */
static void where_a_body_ends_must_be_beyond_doubt(void **state)
{
	static const char *const REQUESTS[] = {
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 2\r\nContent-Length: 2\r\n" END
		"{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 2\r\nContent-Length: 30\r\n" END
		"{}",
		"POST /body HTTP/1.1\r\n" JSON
		"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" END "2\r\n{}\r\n0\r\n\r\n",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: gzip, chunked\r\n" END "x",
		"POST /body HTTP/1.1\r\n" JSON
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: identity\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length : 2\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 2, 2\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: -2\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: +2\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 0x2\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Content-Length:\r\n" END "{}",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END "zz\r\n{}",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END "-2\r\n{}",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END
		"2\r\n{}xx0\r\n",
		"GET /hello HTTP/1.1\r\n" END,
		"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n" END,
		"GET /hello HTTP/1.1\r\n" HOST "bro ken: x\r\n" END,
		"GET /hello HTTP/1.1\r\n" HOST "no colon\r\n" END,
	};

	for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
		struct fixture *fixture = *state;
		int fd = client_connect(fixture->socket);
		struct reply reply;

		client_send(fd, REQUESTS[i]);
		(void)client_try_send(fd, GET("/hello"), strlen(GET("/hello")));
		client_read(fd, false, &reply);
		if (reply.status != 400 || !reply.closed)
			print_error("%s\n%s\n", REQUESTS[i], reply.head);
		assert_int_equal(reply.status, 400);
		assert_true(reply.closed);
		reply_finish(&reply);
		client_read(fd, false, &reply);
		assert_null(reply.head);
		close(fd);
	}
	still_serves(*state);
}

static void numbers_beyond_all_bounds_are_413(void **state)
{
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 99999999999999999999999\r\n" END,
		413, NULL);
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 18446744073709551615\r\n" END, 413,
		NULL);
	fixture_expect(*state,
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END
		"fffffffffffffffffff\r\n",
		413, NULL);
	still_serves(*state);
}

static void targets_that_mean_nothing_are_400(void **state)
{
	static const char *const TARGETS[] = {"/a%00b", "/%", "/%2", "/%zz", "*", "hello",
		"http://a/hello", "/a\x01", "/\xff", "/hello%0d%0aX:%20y", "/he llo"};

	for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++) {
		char request[128];

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST END, TARGETS[i]);
		fixture_expect(*state, request, 400, NULL);
	}
	fixture_expect(*state, GET("/../../etc/passwd"), 404, NULL);
	fixture_expect(*state, GET("/%2e%2e%2f%2e%2e%2fetc/passwd"), 404, NULL);
	still_serves(*state);
}

/* Whatever the answer, it ends soon and the server goes on. */
static void garbage_ends_with_an_answer_or_a_close(void **state)
{
	static const char *const GARBAGE[] = {"\r\n\r\n\r\n\r\nGARBAGE\r\n\r\n", "GET\r\n\r\n",
		"GET /hello\r\n\r\n", "GET /hello HTTP/9.9\r\n\r\n",
		"GET /hello HTTP/1.1 x\r\n\r\n", "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
		" GET /hello HTTP/1.1\r\n\r\n", "G\x01T /hello HTTP/1.1\r\n" HOST END,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST " folded: x\r\n\ty\r\n" END,
		"GET /hello HTTP/1.1\n" HOST "\n", "GET  /hello  HTTP/1.1\r\n" HOST END};

	for (size_t i = 0; i < sizeof(GARBAGE) / sizeof(GARBAGE[0]); i++) {
		struct fixture *fixture = *state;
		int fd = client_connect(fixture->socket);

		client_send(fd, GARBAGE[i]);
		shutdown(fd, SHUT_WR);
		client_wait_closed(fd);
		close(fd);
		still_serves(fixture);
	}
}

static void flood(struct fixture *fixture, const char *before, const char *again, unsigned status)
{
	int fd = client_connect(fixture->socket);
	struct reply reply;
	bool taken = client_try_send(fd, before, strlen(before));

	for (size_t sent = 0; taken && sent < 1024 * 1024; sent += strlen(again))
		taken = client_try_send(fd, again, strlen(again));
	client_read(fd, false, &reply);
	if (reply.head)
		assert_int_equal(reply.status, status);
	assert_true(reply.closed);
	reply_finish(&reply);
	close(fd);
}

static void floods_of_headers_and_endless_lines_are_refused(void **state)
{
	flood(*state, "GET /hello HTTP/1.1\r\n" HOST, "X-A: bcdefghijklmnopqrstuvwxyz\r\n", 431);
	flood(*state, "GET /hello HTTP/1.1\r\n" HOST "X-A: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 431);
	flood(*state, "GET /", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 414);
	flood(*state, "GET /hello?", "a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&a=b&",
		414);
	flood(*state, "", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 414);
	still_serves(*state);
}

static void bodies_cut_short_reach_no_handler(void **state)
{
	static const char *const REQUESTS[] = {
		"POST /body HTTP/1.1\r\n" JSON "Content-Length: 8\r\n" END "{\"a\":1}",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END
		"7\r\n{\"a\":1}\r\n",
		"POST /body HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n" END
		"7\r\n{\"a\":1}\r\n0\r\n",
	};

	for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
		struct fixture *fixture = *state;
		int fd = client_connect(fixture->socket);
		struct reply reply;

		client_send(fd, REQUESTS[i]);
		shutdown(fd, SHUT_WR);
		client_read(fd, false, &reply);
		assert_int_not_equal(reply.status, 200);
		reply_finish(&reply);
		close(fd);
	}
	still_serves(*state);
}

static void an_idle_connection_is_closed(void **state)
{
	struct fixture *fixture = *state;
	int64_t start = clock_monotonic_ns();
	int fd = client_connect(fixture->socket);

	client_wait_closed(fd);
	assert_true(clock_monotonic_ns() - start > 500000000);
	close(fd);
}

/* One byte now and then keeps libmicrohttpd's own timeout from ever passing. */
static void drip(struct fixture *fixture, const char *before, const char *drop)
{
	int fd = client_connect(fixture->socket);
	struct timeval timeout = {.tv_usec = 100000};
	int64_t deadline = clock_monotonic_ns() + CLIENT_DEADLINE_MS * 1000000ll;
	char c;

	client_send(fd, before);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	while (client_try_send(fd, drop, strlen(drop)) && recv(fd, &c, 1, 0) < 0)
		assert_true(clock_monotonic_ns() < deadline);
	close(fd);
}

static void requests_that_arrive_drop_by_drop_are_ended(void **state)
{
	drip(*state, "G", "E");
	drip(*state, "GET /hello HTTP/1.1\r\n", "X: y\r\n");
	drip(*state, "POST /body HTTP/1.1\r\n" JSON "Content-Length: 10000\r\n" END, " ");
	still_serves(*state);
}

static void a_user_may_not_take_all_connections(void **state)
{
	struct fixture *fixture = *state;
	/* Root may have them all: libmicrohttpd then leaves the next one in the backlog. */
	unsigned most = getuid() == 0 ? TIGHT_CONNECTIONS : TIGHT_PER_UID;
	int fds[TIGHT_CONNECTIONS];
	struct reply reply;
	int fd;

	for (unsigned i = 0; i < most; i++) {
		fds[i] = client_connect(fixture->socket);
		client_send(fds[i], GET("/hello"));
		client_read(fds[i], false, &reply);
		assert_int_equal(reply.status, 200);
		reply_finish(&reply);
	}
	fd = client_connect(fixture->socket);
	client_send(fd, GET("/hello"));
	if (getuid() == 0)
		close(fds[0]);
	client_read(fd, false, &reply);
	assert_int_equal(reply.status, getuid() == 0 ? 200 : 429);
	reply_finish(&reply);
	for (unsigned i = getuid() == 0; i < most; i++)
		close(fds[i]);
	close(fd);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TIGHT(name) cmocka_unit_test_setup_teardown(name, fixture_setup_tight, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(where_a_body_ends_must_be_beyond_doubt),
		TEST(numbers_beyond_all_bounds_are_413),
		TEST(targets_that_mean_nothing_are_400),
		TEST(garbage_ends_with_an_answer_or_a_close),
		TEST(floods_of_headers_and_endless_lines_are_refused),
		TEST(bodies_cut_short_reach_no_handler),
		TIGHT(an_idle_connection_is_closed),
		TIGHT(requests_that_arrive_drop_by_drop_are_ended),
		TIGHT(a_user_may_not_take_all_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
