/* Checks against a server that answers as a guest may: well, badly, slowly, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/life/check.h"
#include "agent/node/agent.h"
#include "base/cleanup.h"

#define LOCALHOST 0x7f000001

struct server {
	sd_event *loop;
	int fd;
	uint16_t port;
	const char *answer; /* to a request; NULL: none */
	bool hold;	    /* the connection, after it */
	char request[1024];
	int accepted;
	sd_event_source *reading; /* from it */
	char why[CHECK_WHY_MAX];
	bool done;
};

static void hang_up(struct server *server)
{
	server->reading = sd_event_source_disable_unref(server->reading);
	server->accepted = fd_close(server->accepted);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct server *server = data;
	ssize_t n = recv(fd, server->request, sizeof(server->request) - 1, MSG_DONTWAIT);

	(void)source;
	(void)events;
	server->request[n > 0 ? n : 0] = '\0';
	if (server->answer && n > 0)
		send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
	if (!server->hold || n <= 0)
		hang_up(server);
	return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct server *server = data;

	(void)source;
	(void)events;
	hang_up(server);
	server->accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server->accepted >= 0);
	assert_true(sd_event_add_io(server->loop, &server->reading, server->accepted, EPOLLIN,
			    on_request, server) >= 0);
	return 0;
}

static int setup(void **state)
{
	static struct server server;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCALHOST)};
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	socklen_t size = sizeof(address);

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	server = (struct server){.accepted = -1};
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(server.fd, SIOCSIFFLAGS, &up), 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server.fd, 4), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
	server.port = ntohs(address.sin_port);
	assert_true(sd_event_new(&server.loop) >= 0);
	assert_true(sd_event_add_io(
			    server.loop, NULL, server.fd, EPOLLIN, on_connection, &server) >= 0);
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	struct server *server = *state;

	hang_up(server);
	sd_event_unref(server->loop);
	fd_close(server->fd);
	return 0;
}

static void checked(void *data, const char *why)
{
	struct server *server = data;

	snprintf(server->why, sizeof(server->why), "%s", why ? why : "good");
	server->done = true;
}

static const char *check(struct server *server, enum guest_check kind, uint16_t port)
{
	struct agent agent = {.loop = server->loop};
	struct guest guest = {.name = (char *)"web.example.org",
		.address = LOCALHOST,
		.health = {.check = kind,
			.port = port,
			.path = (char *)"/health?deep=1",
			.timeout_s = server->hold ? 1 : 60}};
	struct check *under_way = NULL;

	server->done = false;
	assert_int_equal(check_start(&agent, &guest, checked, server, &under_way, NULL), 0);
	while (!server->done)
		assert_true(sd_event_run(server->loop, 60000000) > 0);
	return server->why;
}

static void the_status_of_a_page_decides(void **state)
{
	static const struct {
		const char *answer, *why;
	} table[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", "good"},
		{"HTTP/1.0 204 No Content\r\n\r\n", "good"},
		{"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "good"},
		{"HTTP/1.1 399 \r\n\r\n", "good"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "it answered 400"},
		{"HTTP/1.1 503 Service Unavailable\r\n\r\n", "it answered 503"},
		{"HTTP/1.1 199 \r\n\r\n", "it answered 199"},
		{"HTTP/2.0 200 OK\r\n\r\n", "what answers does not speak HTTP/1.1"},
		{"HTTP/1.1 -20 OK\r\n\r\n", "it answered -20"},
		{"HTTP/1.1 xyz OK\r\n\r\n", "what answers does not speak HTTP/1.1"},
		{"HTTP/1.1200 OK\r\n\r\n", "what answers does not speak HTTP/1.1"},
		{"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "what answers does not speak HTTP/1.1"},
		{"HTTP/1.1 2", "it closed the connection"},
		{"", "it closed the connection"},
	};
	struct server *server = *state;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		server->answer = table[i].answer;
		assert_string_equal(check(server, GUEST_CHECK_HTTP, server->port), table[i].why);
	}
	assert_memory_equal(server->request, "GET /health?deep=1 HTTP/1.1\r\n", 29);
	assert_non_null(strstr(server->request, "\r\nHost: web.example.org\r\n"));
}

static void one_that_says_nothing_is_waited_for_no_longer_than_the_timeout(void **state)
{
	struct server *server = *state;

	server->answer = NULL;
	server->hold = true;
	assert_string_equal(check(server, GUEST_CHECK_HTTP, server->port), "no answer in time");
	server->answer = "HTTP/1.1 20";
	assert_string_equal(check(server, GUEST_CHECK_HTTP, server->port), "no answer in time");
	server->hold = false;
}

static void a_port_has_to_take_a_connection_and_no_more(void **state)
{
	struct server *server = *state;

	server->answer = NULL;
	assert_string_equal(check(server, GUEST_CHECK_TCP, server->port), "good");
	assert_string_equal(check(server, GUEST_CHECK_TCP, 1), "Connection refused");
	assert_string_equal(check(server, GUEST_CHECK_HTTP, 1), "Connection refused");
}

static void a_check_that_is_called_off_says_nothing(void **state)
{
	struct server *server = *state;
	struct agent agent = {.loop = server->loop};
	struct guest guest = {.address = LOCALHOST,
		.health = {.check = GUEST_CHECK_TCP, .port = server->port, .timeout_s = 1}};
	struct check *under_way = NULL;

	server->done = false;
	assert_int_equal(check_start(&agent, &guest, checked, server, &under_way, NULL), 0);
	assert_null(check_cancel(under_way));
	while (sd_event_run(server->loop, 100000) > 0)
		;
	assert_false(server->done);
	assert_null(check_cancel(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_status_of_a_page_decides),
		cmocka_unit_test(one_that_says_nothing_is_waited_for_no_longer_than_the_timeout),
		cmocka_unit_test(a_port_has_to_take_a_connection_and_no_more),
		cmocka_unit_test(a_check_that_is_called_off_says_nothing),
	};

	return cmocka_run_group_tests_name("check", tests, setup, teardown);
}
