/* Connections: who is at the other end, and how many each user may have. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define ROOT_RESERVE 16 /* connections that only root can have */

/* Reads the supplementary groups behind the primary one, which is in place already. */
static int read_groups(int fd, struct peer *peer, gid_t primary)
{
	socklen_t size = 32 * sizeof(gid_t);

	for (;;) {
		AUTOFREE gid_t *gids = malloc(sizeof(gid_t) + size);

		if (!gids)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids + 1, &size) == 0) {
			gids[0] = primary;
			peer->gids = TAKE_PTR(gids);
			peer->gids_count = 1 + size / sizeof(gid_t);
			return 0;
		}
		if (errno != ERANGE)
			return -errno;
	}
}

static int read_peer(int fd, struct peer *peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	peer->uid = cred.uid;
	peer->pid = cred.pid;
	return read_groups(fd, peer, cred.gid);
}

static unsigned count_of(const struct http_server *server, uid_t uid)
{
	const struct http_connection *connection;
	unsigned count = 0;

	DL_FOREACH (server->connections, connection)
		count += connection->peer.uid == uid;
	return count;
}

/* One user must not be able to shut all others out. */
static bool may_connect(const struct http_server *server, uid_t uid)
{
	unsigned reserve = server->config.connections_max / 8;

	if (uid == 0)
		return true;
	reserve = reserve < ROOT_RESERVE ? reserve : ROOT_RESERVE;
	return server->connections_count + reserve < server->config.connections_max &&
	       count_of(server, uid) < server->config.connections_per_uid;
}

/* libmicrohttpd cannot be told to drop a connection here; it finds it shut and does so. */
static void refuse(int fd, enum err_code code, const char *message)
{
	struct err err;

	err_set(&err, code, NULL, "%s", message);
	answer_refuse(fd, &err);
	shutdown(fd, SHUT_RDWR);
}

/* The library must look at the connection again. */
static void poke(struct http_connection *connection)
{
	MHD_suspend_connection(connection->mhd);
	MHD_resume_connection(connection->mhd);
	sd_event_source_set_enabled(connection->server->again, SD_EVENT_ONESHOT);
}

/* The library does not look at a suspended connection at all, so what waits for a client that has
 * left would stay for ever. And it forgets an end of file that arrived together with the last
 * bytes. EPOLLHUP is both directions closed, EPOLLRDHUP only the client's own: that one may still
 * wait for its answer. */
static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct http_connection *connection = data;
	struct http_request *request = connection->request;
	bool suspended = request && request->suspended;

	(void)source, (void)fd;
	connection->hung_up = events & (EPOLLHUP | EPOLLERR);
	if (!suspended)
		poke(connection);
	else if (connection->hung_up)
		request_gone(request);
	return 0;
}

static int watch(struct http_connection *connection)
{
	return sd_event_add_io(connection->server->loop, &connection->hangup, connection->fd,
		EPOLLRDHUP | EPOLLET, on_hangup, connection);
}

static struct http_connection *started(struct http_server *server, struct MHD_Connection *mhd)
{
	int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	AUTOFREE struct http_connection *connection = calloc(1, sizeof(*connection));
	int r = -ENOMEM;

	if (connection) {
		connection->server = server;
		connection->mhd = mhd;
		connection->fd = fd;
		r = read_peer(fd, &connection->peer);
	}
	if (r < 0) {
		log_warning("http.refused", "errno=%d", -r);
		refuse(fd, ERR_UNAUTHORIZED, "who connects cannot be found out");
		return NULL;
	}
	if (!may_connect(server, connection->peer.uid)) {
		log_warning("http.refused", "uid=%u connections=%u", connection->peer.uid,
			server->connections_count);
		free(connection->peer.gids);
		refuse(fd, ERR_RATE, "too many connections; close some or wait");
		return NULL;
	}
	r = watch(connection);
	if (r < 0)
		log_warning("http.unwatched", "errno=%d", -r);
	connection->idle_since_ns = clock_monotonic_ns();
	DL_APPEND(server->connections, connection);
	server->connections_count++;
	server_plan_sweep(server);
	return TAKE_PTR(connection);
}

static void ended(struct http_connection *connection)
{
	struct http_server *server = connection->server;

	DL_DELETE(server->connections, connection);
	server->connections_count--;
	sd_event_source_disable_unref(connection->hangup);
	request_free(connection->request);
	free(connection->peer.gids);
	free(connection);
}

void connection_notify(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*context = started(server, mhd);
	else if (*context)
		ended(*context);
}

struct http_connection *connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* libmicrohttpd's own timeout starts anew with each byte, so a client that sends one now and then
 * could hold a connection for ever. */
static bool is_too_slow(const struct http_connection *connection, int64_t now, int64_t bound)
{
	const struct http_request *request = connection->request;

	if (!request || request->phase == REQUEST_SPARE)
		return now - connection->idle_since_ns > 2 * bound;
	if (request->phase == REQUEST_WHOLE || request->upload.connected || request->suspended)
		return false;
	return now - request->started_ns > bound;
}

void connections_sweep(struct http_server *server)
{
	int64_t now = clock_monotonic_ns();
	struct http_connection *connection;

	DL_FOREACH (server->connections, connection)
		if (is_too_slow(connection, now, server->config.idle_s * 1000000000ll))
			shutdown(connection->fd, SHUT_RDWR);
}
