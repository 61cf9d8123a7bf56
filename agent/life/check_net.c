/* Checks over the network, to the guest's own address on the bridge: that a port takes connections,
 * and that what listens there answers a request with a good status. No redirect is followed and no
 * body read: only the first bytes of the answer, where its status is (RFC 9112, 4). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/life/check_internal.h"
#include "base/err.h"
#include "base/log.h"
#include "model/guest.h"

#define STATUS_LINE_LEAST 12 /* "HTTP/1.1 200" */

static int tcp_begin(struct check *check, const struct guest *guest, struct err *err)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(guest->health.port),
		.sin_addr.s_addr = htonl(guest->address)};

	check->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (check->fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (connect(check->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
		errno != EINPROGRESS)
		return err_errno(err, errno, "cannot connect to the guest");
	return check_wait(check, EPOLLOUT, err);
}

static int http_begin(struct check *check, const struct guest *guest, struct err *err)
{
	int n = snprintf(check->request, sizeof(check->request),
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: corpusd/" CORPUS_VERSION
		"\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		guest->health.path, guest->name);

	if (n < 0 || (size_t)n >= sizeof(check->request))
		return err_set(err, ERR_INVALID, "health.path", "the path is too long");
	return tcp_begin(check, guest, err);
}

/* What became of the connection: 0, or an errno. */
static int connected(const struct check *check)
{
	int errnum = 0;
	socklen_t size = sizeof(errnum);

	if (getsockopt(check->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) < 0)
		return errno;
	return errnum;
}

static void tcp_ready(struct check *check, uint32_t events)
{
	int errnum = connected(check);

	(void)events;
	check_end(check, errnum ? strerror(errnum) : NULL);
}

/* "HTTP/1.1 200 …": any status from 200 to 399 is good. */
static void judge(struct check *check)
{
	const char *line = check->answer;
	char why[CHECK_WHY_MAX];
	int status = 0;

	if (strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
		sscanf(line + 9, "%3d", &status) != 1) {
		check_end(check, "what answers does not speak HTTP/1.1");
		return;
	}
	snprintf(why, sizeof(why), "it answered %d", status);
	check_end(check, status >= 200 && status <= 399 ? NULL : why);
}

static void receive(struct check *check)
{
	ssize_t n = recv(check->fd, check->answer + check->answer_used,
		STATUS_LINE_LEAST - check->answer_used, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		check_end(check, n < 0 ? strerror(errno) : "it closed the connection");
		return;
	}
	check->answer_used += (size_t)n;
	if (check->answer_used == STATUS_LINE_LEAST)
		judge(check);
}

/* A new connection's buffer takes the whole request. */
static void http_ready(struct check *check, uint32_t events)
{
	size_t size = strlen(check->request);
	int errnum = connected(check);

	(void)events;
	if (errnum) {
		check_end(check, strerror(errnum));
		return;
	}
	if (size == 0) {
		receive(check);
		return;
	}
	if (send(check->fd, check->request, size, MSG_NOSIGNAL) != (ssize_t)size ||
		check_wait(check, EPOLLIN, NULL) < 0) {
		check_end(check, "it does not take a request");
		return;
	}
	check->request[0] = '\0';
}

static bool net_end(struct check *check)
{
	(void)check;
	return true;
}

const struct check_kind CHECK_TCP = {.begin = tcp_begin, .ready = tcp_ready, .end = net_end};
const struct check_kind CHECK_HTTP = {.begin = http_begin, .ready = http_ready, .end = net_end};
