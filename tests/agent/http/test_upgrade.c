/* Connections that leave HTTP. */
#include <errno.h>
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

#define HEADERS	  "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: other, test/1\r\n"
#define UPGRADE	  "GET /upgrade HTTP/1.1\r\n" HEADERS "\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static int upgrade(struct fixture *fixture, const char *request)
{
	int fd = client_connect(fixture->socket);

	client_send(fd, request);
	assert_true(client_read_until(fd, "HTTP/1.1 101 "));
	assert_true(client_read_until(fd, "\r\n\r\n"));
	return fd;
}

static void what_is_sent_with_the_request_goes_along(void **state)
{
	int fd = upgrade(*state, UPGRADE);

	assert_true(client_read_until(fd, "<>"));
	close(fd);
	fd = upgrade(*state, UPGRADE "and more");
	assert_true(client_read_until(fd, "<and more>"));
	close(fd);
	fd = upgrade(*state, "POST /upgrade HTTP/1.1\r\n" HEADERS
			     "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}more");
	assert_true(client_read_until(fd, "<more>"));
	close(fd);
}

static void the_answer_names_the_protocol(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->socket);
	struct reply reply;
	char value[64];

	client_send(fd, UPGRADE);
	client_read(fd, true, &reply);
	assert_int_equal(reply.status, 101);
	assert_string_equal(reply_header(&reply, "Upgrade", value, sizeof(value)), "test/1");
	assert_string_equal(reply_header(&reply, "Connection", value, sizeof(value)), "Upgrade");
	reply_finish(&reply);
	close(fd);
}

static void without_being_asked_nothing_is_upgraded(void **state)
{
	static const char *const REQUESTS[] = {
		GET("/upgrade"),
		"GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: test/1\r\n\r\n",
		"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
		"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n",
		"GET /upgrade HTTP/1.0\r\n" HEADERS "\r\n",
	};

	for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++)
		fixture_expect(*state, REQUESTS[i], 200, "plain\n");
}

/* Neither the end of HTTP's part nor the bounds of its connections touch what has left. */
static void what_has_left_counts_for_no_bound(void **state)
{
	struct fixture *fixture = *state;
	int fds[TIGHT_PER_UID / 2];

	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < TIGHT_PER_UID / 2; i++)
			fds[i] = upgrade(fixture, UPGRADE);
		assert_int_equal(fixture_number(fixture, "/count/upgraded"), TIGHT_PER_UID / 2);
		for (size_t i = 0; i < TIGHT_PER_UID / 2; i++)
			assert_true(client_read_until(fds[i], "<>"));
		assert_int_equal(fixture_number(fixture, "/end-upgraded"), TIGHT_PER_UID / 2);
		for (size_t i = 0; i < TIGHT_PER_UID / 2; i++) {
			client_wait_closed(fds[i]);
			close(fds[i]);
		}
	}
}

static void a_client_that_leaves_at_once_harms_nothing(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 200; i++) {
		int fd = client_connect(fixture->socket);

		client_send(fd, UPGRADE "x");
		close(fd);
		if (fixture_number(fixture, "/count/upgraded") > 4)
			fixture_number(fixture, "/end-upgraded");
	}
}

static void the_server_ends_while_there_are_some(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 4; i++)
		fixture->left[i] = upgrade(fixture, UPGRADE);
}

/* --- One that outlives its server */

static int taken_fd = -1;

static void taken(void *data, int fd, const char *extra, size_t size)
{
	(void)data, (void)extra, (void)size;
	taken_fd = fd;
}

static void handle(struct http_request *request, void *agent)
{
	http_respond_upgrade(request, "test/1", taken, agent);
}

static enum role role_of(void *agent, uid_t uid, const gid_t *gids, size_t count)
{
	(void)agent, (void)uid, (void)gids, (void)count;
	return ROLE_ADMIN;
}

static void say(int from, int to, const char *what)
{
	char buf[64] = "";

	assert_int_equal(send(from, what, strlen(what), MSG_NOSIGNAL), strlen(what));
	assert_int_equal(recv(to, buf, sizeof(buf) - 1, 0), strlen(what));
	assert_string_equal(buf, what);
}

static void an_upgraded_connection_outlives_the_server(void **state)
{
	static const struct http_route ROUTES[] = {
		{HTTP_GET, "/upgrade", ROLE_VIEWER, BODY_NONE, NULL, handle}};
	char directory[] = "/tmp/test-upgrade.XXXXXX", path[64];
	struct http_config config = {.socket_mode = 0600,
		.listen_fd = -1,
		.routes = ROUTES,
		.routes_count = 1,
		.role_of = role_of};
	struct http_server *server;
	sd_event *loop;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	config.socket_path = path;
	assert_return_code(sd_event_new(&loop), 0);
	assert_return_code(http_server_create(loop, &config, &server, NULL), 0);
	fd = client_connect(path);
	client_send(fd, UPGRADE);
	while (taken_fd < 0)
		assert_true(sd_event_run(loop, CLIENT_DEADLINE_MS * 1000ull) >= 0);
	assert_true(client_read_until(fd, "\r\n\r\n"));
	say(fd, taken_fd, "while it lives");
	http_server_destroy(server);
	say(fd, taken_fd, "to one");
	say(taken_fd, fd, "to the other");
	close(taken_fd);
	client_wait_closed(fd);
	close(fd);
	sd_event_unref(loop);
	assert_return_code(rmdir(directory), errno);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_sent_with_the_request_goes_along),
		TEST(the_answer_names_the_protocol),
		TEST(without_being_asked_nothing_is_upgraded),
		cmocka_unit_test_setup_teardown(
			what_has_left_counts_for_no_bound, fixture_setup_tight, fixture_teardown),
		TEST(a_client_that_leaves_at_once_harms_nothing),
		TEST(the_server_ends_while_there_are_some),
		cmocka_unit_test(an_upgraded_connection_outlives_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
