/* Connections that dockerd hands over: asked for by hand, as libcurl keeps those that it has made.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/docker/engine_head.h"
#include "drivers/docker/engine_internal.h"

#define REFUSAL_MAX (16 * 1024) /* head and words of an answer that is no success */

struct hijack {
	const struct engine *engine;
	const struct engine_request *request;
	int64_t deadline_ns;
	int fd;
	struct strbuf got;
	bool ended; /* dockerd has closed it */
};

/* Waits until it can be read or written. */
static int wait_for(const struct hijack *h, short events, struct err *err)
{
	struct pollfd p = {.fd = h->fd, .events = events};
	int64_t left = h->deadline_ns - clock_monotonic_ns();
	int n;

	if (left > INT_MAX * 1000000L)
		left = INT_MAX * 1000000L;
	n = left > 0 ? poll(&p, 1, (int)(left / 1000000) + 1) : 0;
	if (n == 0)
		return engine_late(h->engine, h->request, err);
	return n > 0 || errno == EINTR ? 0 : err_errno(err, errno, "waiting for dockerd");
}

static int broken(const struct hijack *h, struct err *err)
{
	struct err failed = {0};
	int r = engine_gone(&failed);

	engine_prefix(h->request, &failed);
	if (err)
		*err = failed;
	return r;
}

static int connect_socket(struct hijack *h, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", h->engine->socket);
	h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	/* Who listens takes it at once, or has too many waiting already. */
	if (fcntl(h->fd, F_SETFL, O_NONBLOCK) < 0 ||
		connect(h->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? engine_late(h->engine, h->request, err)
				       : engine_unreachable(h->engine, errno, err);
	return 0;
}

static int send_all(const struct hijack *h, const char *text, size_t size, struct err *err)
{
	while (size > 0) {
		ssize_t n = send(h->fd, text, size, MSG_NOSIGNAL);
		int r = n < 0 && errno != EAGAIN && errno != EINTR ? broken(h, err) : 0;

		if (r == 0 && n < 0)
			r = wait_for(h, POLLOUT, err);
		if (r < 0)
			return r;
		text += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int ask(const struct hijack *h, struct err *err)
{
	const struct engine_request *request = h->request;
	AUTOFREE char *target = engine_target(h->engine, request), *body = engine_body(request);
	AUTOFREE char *text = NULL;
	int size = target && body
			   ? asprintf(&text,
				     "%s %s HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
				     "Upgrade: tcp\r\nContent-Type: application/json\r\n"
				     "Content-Length: %zu\r\n\r\n%s",
				     request->method ? request->method : "GET", target,
				     strlen(body), body)
			   : -1;

	if (size < 0)
		return err_errno(err, ENOMEM, "no memory for a request");
	return send_all(h, text, (size_t)size, err);
}

/* Reads a piece of what comes. */
static int read_more(struct hijack *h, struct err *err)
{
	char buf[4096];
	ssize_t n = recv(h->fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return wait_for(h, POLLIN, err);
	h->ended = n <= 0;
	if (n > 0)
		strbuf_add_bytes(&h->got, buf, (size_t)n);
	return h->got.failed ? err_errno(err, ENOMEM, "no memory for dockerd's answer") : 0;
}

/* Returns where the head ends. */
static int read_head(struct hijack *h, int *ret_status, struct err *err)
{
	for (;;) {
		int r = engine_head(h->got.text, h->got.used, ret_status, err);

		if (r != 0)
			return r;
		if (h->ended)
			return h->got.used == 0 ? broken(h, err)
						: err_set(err, ERR_DRIVER, NULL,
							  "dockerd's answer was cut short");
		r = read_more(h, err);
		if (r < 0)
			return r;
	}
}

/* What it says instead: an object, in one piece or in chunks; it may leave the connection open. */
static int read_refusal(struct hijack *h, size_t head, int status, struct err *err)
{
	for (;;) {
		const char *begin = h->got.used > head
					    ? memchr(h->got.text + head, '{', h->got.used - head)
					    : NULL;
		size_t size = begin ? h->got.used - (size_t)(begin - h->got.text) : 0;
		json_t *json = begin ? json_loadb(begin, size, JSON_DISABLE_EOF_CHECK, NULL) : NULL;

		json_decref(json);
		if (json || h->ended || h->got.used > REFUSAL_MAX || read_more(h, NULL) < 0)
			return engine_refusal(h->request, status, begin ? begin : "", size, err);
	}
}

static int hijack(struct hijack *h, size_t *ret_head, struct err *err)
{
	int status = 0, r = engine_check_name(h->request, err);

	if (r == 0)
		r = connect_socket(h, err);
	if (r == 0)
		r = ask(h, err);
	if (r == 0)
		r = read_head(h, &status, err);
	if (r < 0)
		return r;
	*ret_head = (size_t)r;
	/* 200: from servers that do not know of upgrades. */
	if (status != 101 && status != 200)
		return read_refusal(h, *ret_head, status, err);
	return fcntl(h->fd, F_SETFL, 0) < 0 ? err_errno(err, errno, "cannot use a socket") : 0;
}

int engine_hijack(struct engine *e, const struct engine_request *request, int *ret_fd,
	char **ret_rest, size_t *ret_rest_size, struct err *err)
{
	struct hijack h = {.engine = e,
		.request = request,
		.fd = -1,
		.deadline_ns = engine_deadline(e, request)};
	size_t head = 0;
	int r = hijack(&h, &head, err);

	if (r < 0) {
		fd_close(h.fd);
		strbuf_finish(&h.got);
		return r;
	}
	*ret_fd = h.fd;
	*ret_rest_size = h.got.used - head;
	*ret_rest = strbuf_take(&h.got);
	if (*ret_rest)
		memmove(*ret_rest, *ret_rest + head, *ret_rest_size);
	return 0;
}
