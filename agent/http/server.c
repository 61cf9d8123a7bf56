/* The server: libmicrohttpd without a thread of its own. Its epoll descriptor is one source of the
 * agent's loop; what it wants later is a timer, what it wants at once a deferred source, so that
 * the rest of the loop gets its turn in between. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

DEFINE_CLEANUP(struct http_server *, http_server_destroy)

__attribute__((format(printf, 2, 0))) static void on_message(
	void *data, const char *fmt, va_list ap)
{
	char text[256];

	(void)data;
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http.library", "message=%s", LOG_Q(text));
}

/* Queries are read from the target as it was sent. */
static size_t unescape_nothing(void *data, struct MHD_Connection *mhd, char *text)
{
	(void)data, (void)mhd;
	return strlen(text);
}

/* --- The loop --------------------------------------------------------------------------------- */

/* The timer is only ever moved forward: timeouts are put off with each request, and one that comes
 * too early finds out and is set anew. */
static void arm(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t now, at;

	if (MHD_get_timeout(server->daemon, &ms) != MHD_YES)
		return;
	if (ms == 0) {
		sd_event_source_set_enabled(server->again, SD_EVENT_ONESHOT);
		return;
	}
	sd_event_now(server->loop, CLOCK_MONOTONIC, &now);
	at = now + (ms + 1) * 1000;
	if (server->timer_at && server->timer_at <= at)
		return;
	server->timer_at = at;
	sd_event_source_set_time(server->timer, at);
	sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

static void run(struct http_server *server)
{
	MHD_run(server->daemon);
	arm(server);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source, (void)fd, (void)events;
	run(data);
	return 0;
}

static int on_again(sd_event_source *source, void *data)
{
	(void)source;
	run(data);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct http_server *server = data;

	(void)source, (void)usec;
	server->timer_at = 0;
	run(server);
	return 0;
}

static unsigned sweep_s(const struct http_server *server)
{
	return server->config.idle_s > 4 ? server->config.idle_s / 4 : 1;
}

/* Starts a timer unless it runs; an idle agent has none that do. */
static void start_timer(sd_event_source *source, unsigned seconds)
{
	int enabled = SD_EVENT_OFF;

	if (sd_event_source_get_enabled(source, &enabled) > 0 && enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(source, seconds * 1000000ull);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void server_plan_sweep(struct http_server *server)
{
	if (server->connections)
		start_timer(server->sweep, sweep_s(server));
}

void server_plan_ping(struct http_server *server)
{
	if (server->streams)
		start_timer(server->ping, server->config.ping_s);
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	connections_sweep(data);
	server_plan_sweep(data);
	return 0;
}

static int on_ping(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	events_ping(data);
	server_plan_ping(data);
	return 0;
}

static int add_timer(
	struct http_server *server, sd_event_source **ret, sd_event_time_handler_t handler)
{
	int r = sd_event_add_time(server->loop, ret, CLOCK_MONOTONIC, 0, 0, handler, server);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int attach(struct http_server *server)
{
	int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	int r = sd_event_add_io(server->loop, &server->io, fd, EPOLLIN, on_ready, server);

	if (r >= 0)
		r = sd_event_add_defer(server->loop, &server->again, on_again, server);
	if (r >= 0)
		r = add_timer(server, &server->timer, on_timer);
	if (r >= 0)
		r = add_timer(server, &server->sweep, on_sweep);
	if (r >= 0)
		r = add_timer(server, &server->ping, on_ping);
	return r;
}

/* --- Life ------------------------------------------------------------------------------------- */

static int get_listen_fd(struct http_server *server, struct err *err)
{
	const struct http_config *config = &server->config;
	int fd;

	if (config->listen_fd < 0) {
		fd = listen_socket_open(
			&server->socket, config->socket_path, config->socket_mode, err);
	} else {
		fd = fcntl(config->listen_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			fd = err_errno(err, errno, "cannot use the socket that was passed");
	}
	server->listen_fd = fd;
	return fd < 0 ? fd : 0;
}

/* The library closes the descriptor it gets, but not on every way on which it fails to start: it
 * gets one of its own. */
static int start_daemon(struct http_server *server, struct err *err)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
	int fd = fcntl(server->listen_fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_errno(err, errno, "cannot start the HTTP server");
	/* clang-format off */
	server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, serve, server,
		MHD_OPTION_EXTERNAL_LOGGER, on_message, server,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, server->config.connections_max,
		MHD_OPTION_CONNECTION_TIMEOUT, server->config.idle_s,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
		MHD_OPTION_NOTIFY_COMPLETED, serve_completed, server,
		MHD_OPTION_URI_LOG_CALLBACK, serve_target, server,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, server,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_END);
	/* clang-format on */
	if (!server->daemon)
		return err_set(err, ERR_INTERNAL, NULL, "the HTTP server does not start");
	return 0;
}

static void set_default(unsigned *value, unsigned fallback)
{
	if (*value == 0)
		*value = fallback;
}

static int start(struct http_server *server, struct err *err)
{
	int r = router_init(&server->router, server->config.routes, server->config.routes_count);

	if (r < 0)
		return err_errno(err, r, "the table of routes is wrong");
	r = get_listen_fd(server, err);
	if (r < 0)
		return r;
	r = start_daemon(server, err);
	if (r < 0)
		return r;
	r = attach(server);
	return r < 0 ? err_errno(err, r, "cannot watch the HTTP server") : 0;
}

int http_server_create(
	sd_event *loop, const struct http_config *config, struct http_server **ret, struct err *err)
{
	CLEANUP(http_server_destroyp) struct http_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return err_errno(err, ENOMEM, "cannot start the HTTP server");
	signal(SIGPIPE, SIG_IGN);
	server->loop = sd_event_ref(loop);
	server->config = *config;
	server->listen_fd = -1;
	server->socket.lock_fd = -1;
	set_default(&server->config.connections_max, 1024);
	set_default(&server->config.connections_per_uid, 256);
	set_default(&server->config.idle_s, 60);
	set_default(&server->config.stall_s, 600);
	set_default(&server->config.ping_s, 15);
	r = start(server, err);
	if (r < 0)
		return r;
	fd_close(config->listen_fd);
	*ret = TAKE_PTR(server);
	return 0;
}

/* The library must not be stopped while connections are suspended. */
static void stop_daemon(struct http_server *server)
{
	struct http_connection *connection;

	server->stopping = true;
	DL_FOREACH (server->connections, connection) {
		struct http_request *request = connection->request;

		if (request && request->suspended)
			request_gone(request);
	}
	MHD_run(server->daemon);
	MHD_stop_daemon(server->daemon);
}

struct http_server *http_server_destroy(struct http_server *server)
{
	struct http_request *request, *next;

	if (!server)
		return NULL;
	if (server->daemon)
		stop_daemon(server);
	DL_FOREACH_SAFE(server->held, request, next)
	request->server = NULL;
	sd_event_source_disable_unref(server->io);
	sd_event_source_disable_unref(server->again);
	sd_event_source_disable_unref(server->timer);
	sd_event_source_disable_unref(server->sweep);
	sd_event_source_disable_unref(server->ping);
	fd_close(server->listen_fd);
	listen_socket_finish(&server->socket);
	router_finish(&server->router);
	sd_event_unref(server->loop);
	free(server);
	return NULL;
}
