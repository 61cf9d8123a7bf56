/* The server under test. */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

struct fixture_thread {
	pthread_t thread;
	sd_event *loop;
	struct handlers *handlers;
	struct http_server *server;
	int stop_fd;
};

static atomic_int current_role = ROLE_ADMIN;

void fixture_set_role(enum role role)
{
	current_role = role;
}

static enum role role_of(void *agent, uid_t uid, const gid_t *gids, size_t gids_count)
{
	(void)agent;
	return uid == getuid() && gids_count > 0 && gids[0] == getgid() ? (enum role)current_role
									: ROLE_NONE;
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int on_stop(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)fd, (void)events, (void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void *run(void *data)
{
	struct fixture_thread *thread = data;

	sd_event_loop(thread->loop);
	return NULL;
}

static void start(struct fixture *fixture, struct http_config *config)
{
	struct fixture_thread *thread = calloc(1, sizeof(*thread));
	struct err err;

	assert_non_null(thread);
	assert_return_code(sd_event_new(&thread->loop), 0);
	thread->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_return_code(
		sd_event_add_io(thread->loop, NULL, thread->stop_fd, EPOLLIN, on_stop, NULL), 0);
	thread->handlers = handlers_create(thread->loop);
	config->socket_path = fixture->socket;
	config->socket_mode = 0600;
	config->listen_fd = fixture->passed;
	config->routes = HANDLERS_ROUTES;
	config->routes_count = HANDLERS_ROUTES_COUNT;
	config->agent = thread->handlers;
	config->role_of = role_of;
	assert_return_code(http_server_create(thread->loop, config, &thread->server, &err), 0);
	assert_int_equal(pthread_create(&thread->thread, NULL, run, thread), 0);
	fixture->thread = thread;
}

/* Like systemd would. */
static int make_socket(const char *path)
{
	struct sockaddr_un bound = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(bound.sun_path, sizeof(bound.sun_path), "%s", path);
	assert_return_code(bind(fd, (struct sockaddr *)&bound, sizeof(bound)), errno);
	assert_return_code(listen(fd, 16), errno);
	return fd;
}

static int setup(void **state, struct http_config *config, bool passed)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->fds = count_fds();
	memset(fixture->left, -1, sizeof(fixture->left));
	strcpy(fixture->directory, "/tmp/test-http.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->socket, sizeof(fixture->socket), "%s/socket", fixture->directory);
	current_role = ROLE_ADMIN;
	fixture->passed = passed ? make_socket(fixture->socket) : -1;
	start(fixture, config);
	*state = fixture;
	return 0;
}

int fixture_setup(void **state)
{
	return setup(state, &(struct http_config){0}, false);
}

int fixture_setup_passed(void **state)
{
	return setup(state, &(struct http_config){0}, true);
}

int fixture_setup_tight(void **state)
{
	return setup(state,
		&(struct http_config){.connections_max = TIGHT_CONNECTIONS,
			.connections_per_uid = TIGHT_PER_UID,
			.idle_s = 1,
			.stall_s = 1,
			.ping_s = 1},
		false);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_thread *thread = fixture->thread;
	uint64_t one = 1;

	assert_int_equal(write(thread->stop_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(thread->thread, NULL);
	http_server_destroy(thread->server);
	handlers_destroy(thread->handlers);
	sd_event_unref(thread->loop);
	close(thread->stop_fd);
	free(thread);
	for (size_t i = 0; i < ARRAY_SIZE(fixture->left); i++)
		fd_close(fixture->left[i]);
	/* Who made the socket removes it. */
	if (fixture->passed >= 0)
		assert_return_code(unlink(fixture->socket), errno);
	assert_int_equal(access(fixture->socket, F_OK), -1);
	/* The lock is gone as well, else the directory would not be empty. */
	assert_return_code(rmdir(fixture->directory), errno);
	assert_int_equal(count_fds(), fixture->fds);
	free(fixture);
	return 0;
}

void fixture_exchange(struct fixture *fixture, const char *request, struct reply *ret)
{
	int fd = client_connect(fixture->socket);

	client_send(fd, request);
	client_read(fd, strncmp(request, "HEAD ", 5) == 0, ret);
	close(fd);
}

long fixture_number(struct fixture *fixture, const char *path)
{
	char request[256];
	struct reply reply;
	long number;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	fixture_exchange(fixture, request, &reply);
	assert_int_equal(reply.status, 200);
	number = strtol(reply.body, NULL, 10);
	reply_finish(&reply);
	return number;
}

void fixture_await(struct fixture *fixture, const char *path, long wanted)
{
	int64_t deadline = clock_monotonic_ns() + CLIENT_DEADLINE_MS * 1000000ll;

	while (fixture_number(fixture, path) != wanted)
		assert_true(clock_monotonic_ns() < deadline);
}

void fixture_expect(struct fixture *fixture, const char *request, unsigned status, const char *part)
{
	struct reply reply;

	fixture_exchange(fixture, request, &reply);
	if (reply.status != status || (part && (!reply.body || !strstr(reply.body, part))))
		print_error("to: %.200s\ngot: %s%s\n", request, reply.head, reply.body);
	assert_int_equal(reply.status, status);
	if (part)
		assert_non_null(strstr(reply.body, part));
	reply_finish(&reply);
}
