/* What carriers of both kinds do with what comes out of a guest. */
#include "drivers/kvm/carrier.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "drivers/inside/command.h"

#define PART 4096 /* PIPE_BUF: that much never blocks on a pipe that takes something */

bool carrier_is_told(const struct carrier *c)
{
	return c->call < 0;
}

static void tell_done(struct carrier *c)
{
	close(c->call);
	c->call = -1;
}

void carrier_fail(struct carrier *c, const struct err *error)
{
	if (carrier_is_told(c))
		return;
	command_tell_failure(c->call, error);
	tell_done(c);
}

/* The command runs: what comes behind the line is its own. */
static int take_head(struct carrier *c, struct carrier_stream *s)
{
	struct err err = {0};
	size_t end = 0;

	switch (launch_read(&c->launch, s->pending.text, s->pending.used, &end, &err)) {
	case LAUNCH_MORE: return 0;
	case LAUNCH_OK:
		s->head = false;
		s->sent = end;
		if (!command_tell_started(c->call))
			return -ECANCELED; /* nobody waits for it any more */
		tell_done(c);
		return 0;
	default: carrier_fail(c, &err); return err_errnum(err.code);
	}
}

int carrier_take(struct carrier *c, int output, const char *data, size_t size)
{
	struct carrier_stream *s = &c->outputs[output];

	if (s->fd < 0 && !s->head)
		return 0;
	strbuf_add_bytes(&s->pending, data, size);
	if (s->pending.failed)
		return -ENOMEM;
	return s->head && size > 0 ? take_head(c, s) : 0;
}

bool carrier_is_empty(const struct carrier_stream *s)
{
	return s->head || s->sent == s->pending.used;
}

static void forget(struct carrier_stream *s)
{
	strbuf_finish(&s->pending);
	s->sent = 0;
}

/* What is taken now; -1 with errno. */
static ssize_t write_part(int fd, const char *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (n >= 0 || errno != ENOTSOCK)
		return n;
	if (poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, data, size < PART ? size : PART);
}

bool carrier_flush(struct carrier_stream *s)
{
	while (s->fd >= 0 && !carrier_is_empty(s)) {
		ssize_t n = write_part(s->fd, s->pending.text + s->sent, s->pending.used - s->sent);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			close(s->fd);
			s->fd = -1;
			forget(s);
			return false;
		}
		s->sent += (size_t)n;
	}
	if (s->sent > 0 && s->sent == s->pending.used)
		forget(s);
	return true;
}
