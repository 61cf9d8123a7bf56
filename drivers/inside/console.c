/* Consoles: reading a log that grows and is rotated, and passing it on. The process that follows
 * one never waits for a reader that is slow: it has to take what the guest's terminal says at any
 * time, or the guest would stand still. */
#include "drivers/inside/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/apart.h"

#define PART	  4096 /* PIPE_BUF: that much never blocks on a pipe that takes something */
#define LINGER_MS 2000 /* for what a guest said last, to a reader that is slow */
#define RETRY_MS  50   /* while the log is between two names */

/* --- The log ---------------------------------------------------------------------------------- */

struct history {
	char path[PATH_MAX];
	int older, log; /* read one after the other; -1: none (any more) */
};

static void history_finish(struct history *h)
{
	h->older = fd_close(h->older);
	h->log = fd_close(h->log);
}

static off_t size_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

static bool same_file(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino;
}

/* Opens it `tail` bytes before its end. */
static int history_open(struct history *h, const struct console *c, uint64_t tail)
{
	char older[PATH_MAX];
	uint64_t in_log, in_older;
	int r = file_path(h->path, sizeof(h->path), "%s", c->log);

	if (r == 0)
		r = file_path(older, sizeof(older), "%s%s", c->log, c->older ? c->older : ".1");
	if (r < 0)
		return r;
	h->log = open(c->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	h->older = open(older, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (h->log >= 0 && h->older >= 0 && same_file(h->log, h->older)) /* rotated just now */
		h->older = fd_close(h->older);
	in_log = (uint64_t)size_of(h->log);
	in_older = (uint64_t)size_of(h->older);
	if (tail <= in_log)
		h->older = fd_close(h->older);
	else if (tail - in_log < in_older)
		lseek(h->older, (off_t)(in_older - (tail - in_log)), SEEK_SET);
	if (h->log >= 0 && tail < in_log)
		lseek(h->log, (off_t)(in_log - tail), SEEK_SET);
	return 0;
}

/* Goes on with the file that has the log's name now; false when it is the same one still. */
static bool history_turn(struct history *h)
{
	AUTOCLOSE int next = open(h->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (next < 0 || (h->log >= 0 && same_file(next, h->log)))
		return false;
	fd_close(h->log);
	h->log = TAKE_FD(next);
	return true;
}

/* The next bytes; 0 when there are none now. */
static size_t history_read(struct history *h, char *buf, size_t size)
{
	ssize_t n = h->older >= 0 ? read(h->older, buf, size) : 0;

	if (n > 0)
		return (size_t)n;
	h->older = fd_close(h->older);
	do
		n = h->log >= 0 ? read(h->log, buf, size) : 0;
	while (n <= 0 && history_turn(h));
	return n > 0 ? (size_t)n : 0;
}

static int send_all(struct history *h, int fd, struct err *err)
{
	char buf[PART];
	size_t n;

	while ((n = history_read(h, buf, sizeof(buf))) > 0) {
		int r = file_write_all(fd, buf, n);

		if (r < 0)
			return r == -EPIPE ? err_set(err, ERR_CANCELLED, NULL, "nobody reads on")
					   : err_errno(err, r, "cannot pass on the console");
	}
	return 0;
}

/* --- Following ---------------------------------------------------------------------------------
 */

/* Bytes on their way. */
struct part {
	char data[PART];
	size_t begin, end;
};

static bool is_empty(const struct part *p)
{
	return p->begin == p->end;
}

struct follower {
	struct history history;
	struct part out, in;
	int client, notify, life, input, hold;
	bool client_writes, echo;
	int64_t end_ns; /* 0: the guest runs */
};

enum { CLIENT, NOTIFY, LIFE, INPUT, FDS };

static void watch_log(struct follower *f)
{
	/* A descriptor's name in /proc leads to the file itself, whatever its name is by now. */
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->history.log);
	if (f->history.log >= 0)
		inotify_add_watch(f->notify, name, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF);
}

static void take_output(struct follower *f)
{
	int before = f->history.log;
	char events[sizeof(struct inotify_event) + NAME_MAX + 1];

	while (read(f->notify, events, sizeof(events)) > 0)
		;
	if (!is_empty(&f->out))
		return;
	f->out.begin = 0;
	f->out.end = history_read(&f->history, f->out.data, sizeof(f->out.data));
	if (f->history.log != before || before < 0)
		watch_log(f);
}

/* Writes what the other end takes now; false when there is none. */
static bool pass_on(int fd, struct part *p)
{
	ssize_t n = send(fd, p->data + p->begin, p->end - p->begin, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, p->data + p->begin, p->end - p->begin);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	p->begin += (size_t)n;
	return true;
}

/* False: the client has gone. */
static bool take_input(struct follower *f)
{
	ssize_t n = recv(f->client, f->in.data, sizeof(f->in.data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->client_writes = n > 0; /* it may have only closed its own side */
	f->in.begin = 0;
	f->in.end = (size_t)n;
	return true;
}

static void throw_away(int fd)
{
	char buf[PART];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void fill_poll(const struct follower *f, struct pollfd p[static FDS])
{
	bool reads = f->client_writes && is_empty(&f->in);

	p[CLIENT] = (struct pollfd){.fd = f->client,
		.events = (short)((is_empty(&f->out) ? 0 : POLLOUT) | (reads ? POLLIN : 0))};
	p[NOTIFY] = (struct pollfd){.fd = is_empty(&f->out) ? f->notify : -1, .events = POLLIN};
	p[LIFE] = (struct pollfd){.fd = f->end_ns ? -1 : f->life, .events = POLLIN};
	p[INPUT] = (struct pollfd){.fd = f->echo || !is_empty(&f->in) ? f->input : -1,
		.events = (short)((f->echo ? POLLIN : 0) | (is_empty(&f->in) ? 0 : POLLOUT))};
}

/* Whether what is read still has the log's name: only then its changes wake us. */
static bool is_current(const struct history *h)
{
	struct stat named, ours;

	return h->log >= 0 && fstat(h->log, &ours) == 0 && stat(h->path, &named) == 0 &&
	       ours.st_ino == named.st_ino;
}

static int patience_ms(const struct follower *f)
{
	if (!is_empty(&f->out))
		return f->end_ns ? LINGER_MS : -1;
	return f->end_ns || !is_current(&f->history) ? RETRY_MS : -1;
}

/* Nothing more will come, or nobody takes it. */
static bool is_over(const struct follower *f)
{
	return f->end_ns && (is_empty(&f->out) || clock_monotonic_ns() > f->end_ns);
}

static bool serve(struct follower *f, const struct pollfd p[static FDS])
{
	if (p[LIFE].revents)
		f->end_ns = clock_monotonic_ns() + LINGER_MS * 1000000LL;
	if (p[INPUT].revents & (POLLHUP | POLLERR) && !(p[INPUT].revents & POLLIN))
		f->echo = f->client_writes = false;
	if (f->echo && p[INPUT].revents & POLLIN)
		throw_away(f->input);
	if (p[INPUT].revents & POLLOUT && !pass_on(f->input, &f->in))
		return false;
	if (p[CLIENT].revents & POLLIN && !take_input(f))
		return false;
	if (p[CLIENT].revents & POLLOUT && !pass_on(f->client, &f->out))
		return false;
	if (p[CLIENT].revents & (POLLERR | POLLHUP | POLLNVAL) && !(p[CLIENT].revents & POLLIN)) {
		if (!is_empty(&f->in)) /* what it typed last */
			pass_on(f->input, &f->in);
		return false;
	}
	take_output(f);
	return !is_over(f);
}

static void follow(struct follower *f)
{
	struct pollfd p[FDS];

	signal(SIGPIPE, SIG_IGN);
	watch_log(f);
	take_output(f);
	do {
		fill_poll(f, p);
		while (poll(p, FDS, patience_ms(f)) < 0 && errno == EINTR)
			;
	} while (serve(f, p));
}

/* --- A process of its own ----------------------------------------------------------------------
 */

static void become_follower(struct follower *f)
{
	int *const fds[] = {&f->client, &f->notify, &f->life, &f->input, &f->hold, &f->history.log,
		&f->history.older};

	apart_keep_only(fds, ARRAY_SIZE(fds));
	prctl(PR_SET_NAME, "corpus-console");
	if (chdir("/") == 0)
		follow(f);
	_exit(0);
}

static int start_follower(struct follower *f, struct err *err)
{
	int r = apart_fork();

	if (r < 0)
		return err_errno(err, r, "cannot fork to follow the console");
	if (r == 0)
		become_follower(f);
	return 0;
}

int console_connect(const struct console *c, const struct driver_console *wanted, struct err *err)
{
	struct follower f = {.client = wanted->fd,
		.life = c->life,
		.input = wanted->input ? c->input : -1,
		.hold = wanted->input ? c->hold : -1,
		.echo = wanted->input && c->echo,
		.client_writes = wanted->input};
	CLEANUP(history_finish) struct history history = {.older = -1, .log = -1};
	AUTOCLOSE int notify = -1;
	int r;

	if (wanted->input && c->input < 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL,
			"the guest does not run: nothing takes input from its console");
	r = history_open(&history, c, wanted->tail);
	if (r < 0)
		return err_errno(err, r, "cannot read the console");
	if (c->life < 0 || (!wanted->follow && !wanted->input))
		return send_all(&history, wanted->fd, err);
	notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (notify < 0)
		return err_errno(err, errno, "cannot follow the console");
	f.history = history;
	f.notify = notify;
	return start_follower(&f, err);
}
