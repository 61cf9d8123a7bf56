/* Any bytes on a connection to the HTTP server, in pieces whose size the first byte chooses. The
 * client then closes its own direction, and after that leaves, so that every request must end. What
 * is left at the end is looked at by the sanitizers. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/http/http.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "fuzz.h"

static sd_event *loop;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static unsigned waiting;

static void echo(struct http_request *request, void *agent)
{
	const json_t *body = http_body(request);
	const char *fields = http_query(request, "fields");
	char hash[65];

	(void)agent;
	http_request_hash(request, hash);
	REQUIRE(strlen(hash) == 64 && http_param(request, 0));
	http_add_header(request, "ETag", http_param(request, 0));
	http_respond_json(request, 200,
		json_pack("{s:s, s:s?, s:O?}", "name", http_param(request, 0), "fields", fields,
			"body", body));
}

static void release(void *data)
{
	(void)data;
	waiting--;
}

static void later(struct http_request *request, void *agent)
{
	waiting++;
	http_set_data(request, agent, release);
}

static void upload(struct http_request *request, void *agent)
{
	struct err err;
	AUTOCLOSE int fd = http_stream_to_pipe(request, &err);

	(void)agent;
	REQUIRE(fd >= 0);
	/* The reader goes away at once, and the answer is there before the body. */
	err_set(&err, ERR_NO_ROOM, NULL, "enough");
	http_respond_error(request, &err, NULL);
}

static void events(struct http_request *request, void *agent)
{
	struct http_events *stream = http_respond_events(request, release, agent);

	if (!stream)
		return;
	waiting++;
	REQUIRE(http_events_send(stream, "data: x\n\n", 9));
}

static const char *const QUERY[] = {"fields", "limit", NULL};

static const struct http_route ROUTES[] = {
	{HTTP_GET, "/v1/{}", ROLE_VIEWER, BODY_NONE, QUERY, echo},
	{HTTP_POST, "/v1/{}", ROLE_VIEWER, BODY_JSON, QUERY, echo},
	{HTTP_PUT, "/v1/{}", ROLE_VIEWER, BODY_JSON_OPTIONAL, NULL, echo},
	{HTTP_GET, "/later", ROLE_VIEWER, BODY_NONE, NULL, later},
	{HTTP_PUT, "/upload", ROLE_VIEWER, BODY_STREAM, NULL, upload},
	{HTTP_GET, "/events", ROLE_VIEWER, BODY_NONE, NULL, events},
	{HTTP_GET, "/admin", ROLE_ADMIN, BODY_NONE, NULL, echo},
};

static enum role role_of(void *agent, uid_t uid, const gid_t *gids, size_t gids_count)
{
	(void)agent, (void)uid, (void)gids, (void)gids_count;
	return ROLE_OPERATOR;
}

static char directory[] = "/tmp/fuzz-http.XXXXXX";
static struct http_server *server;

static void stop(void)
{
	http_server_destroy(server);
	sd_event_unref(loop);
	rmdir(directory);
}

static void start(void)
{
	struct http_config config = {
		.socket_path = address.sun_path,
		.socket_mode = 0600,
		.listen_fd = -1,
		.routes = ROUTES,
		.routes_count = ARRAY_SIZE(ROUTES),
		.role_of = role_of,
	};

	log_init("fuzz", LOG_LEVEL_ERROR);
	REQUIRE(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	REQUIRE(sd_event_new(&loop) >= 0);
	REQUIRE(http_server_create(loop, &config, &server, NULL) == 0);
	atexit(stop);
}

/* Runs the loop until it has nothing to do, and takes what was answered. */
static void settle(int fd)
{
	char buf[65536];

	for (;;) {
		bool busy = sd_event_run(loop, 0) > 0;

		if (fd >= 0)
			busy |= recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0;
		if (!busy)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t piece;

	if (!loop)
		start();
	if (size < 1)
		return 0;
	piece = data[0] ? data[0] : size;
	REQUIRE(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	for (size_t at = 1; at < size; at += piece) {
		size_t left = size - at;

		if (send(fd, data + at, left < piece ? left : piece, MSG_NOSIGNAL) < 0)
			break;
		settle(fd);
	}
	shutdown(fd, SHUT_WR);
	settle(fd);
	fd = fd_close(fd);
	settle(-1);
	REQUIRE(waiting == 0);
	return 0;
}
