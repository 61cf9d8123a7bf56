/* Bytes and terminals between a command in a guest and its streams on the node. */
#include "drivers/inside/carry.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/inside/apart.h"

#define PART 4096 /* PIPE_BUF: that much never blocks on a pipe that takes something */

void carry_begin(int *const *fds, size_t count)
{
	sigset_t resized;

	apart_keep_only(fds, count);
	prctl(PR_SET_NAME, "corpus-carrier");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&resized);
	sigaddset(&resized, SIGWINCH);
	sigprocmask(SIG_BLOCK, &resized, NULL);
	if (chdir("/") < 0)
		_exit(1);
}

/* --- Bytes ------------------------------------------------------------------------------------ */

bool carry_is_empty(const struct carry *c)
{
	return c->sent == c->pending.used;
}

static void forget(struct carry *c)
{
	strbuf_finish(&c->pending);
	c->sent = 0;
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

bool carry_flush(struct carry *c)
{
	while (c->fd >= 0 && !carry_is_empty(c)) {
		ssize_t n = write_part(c->fd, c->pending.text + c->sent, c->pending.used - c->sent);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			close(c->fd);
			c->fd = -1;
			forget(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	if (c->sent > 0 && carry_is_empty(c))
		forget(c);
	return true;
}

void carry_fetch(struct carry_input *in, int *fd)
{
	struct pollfd p = {.fd = *fd, .events = POLLIN};
	ssize_t n;

	if (in->begin < in->end || *fd < 0 || poll(&p, 1, 0) != 1)
		return;
	n = read(*fd, in->data, sizeof(in->data));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	in->begin = 0;
	in->end = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		*fd = fd_close(*fd);
}

/* --- Terminals -------------------------------------------------------------------------------- */

struct winsize carry_size(int terminal)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	if (ioctl(terminal, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return (struct winsize){.ws_row = 24, .ws_col = 80};
	return size;
}

int carry_take_terminal(int terminal, int *ret_signals, struct err *err)
{
	struct termios raw;
	sigset_t set;

	if (tcgetattr(terminal, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(terminal, TCSANOW, &raw);
	}
	setsid();
	if (ioctl(terminal, TIOCSCTTY, 0) < 0)
		return err_set(err, ERR_INVALID, "terminal",
			"standard input cannot be its terminal: %s", strerrordesc_np(errno));
	/* Its other side going is seen when it is read. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	*ret_signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return *ret_signals < 0 ? err_errno(err, errno, "cannot watch the terminal") : 0;
}

bool carry_was_resized(int signals)
{
	struct signalfd_siginfo info;

	return read(signals, &info, sizeof(info)) == sizeof(info);
}
