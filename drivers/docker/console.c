/* Consoles of containers: the connection to one, and the process that carries it. dockerd holds up
 * a container whose connections are not read: so all that comes is taken at once, and where
 * somebody reads slowly the oldest of it is lost in the end. */
#include "drivers/docker/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/docker/define.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/frame.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/apart.h"
#include "drivers/inside/carry.h"

#define PART	       32768
#define PENDING_MAX    (1024 * 1024) /* bytes for who reads slowly */
#define ATTACH_MS      9000
#define SETTLE_MS      1000 /* for dockerd to write down what it has passed on */
#define SETTLE_STEP_MS 30
#define LINGER_MS      2000 /* for what a guest said last, to a reader that is slow */
#define ROWS	       "24" /* of a terminal that nobody has given a size */
#define COLUMNS	       "80"

struct follower {
	struct carry out;      /* to the client */
	struct frames frames;  /* of what comes, where there is no terminal */
	struct carry_input in; /* from the client */
	int from;	       /* the client, as what is read; -1: it writes no more */
	int stream;	       /* dockerd's connection; -1: it has ended */
	int hold;	       /* stays open for as long as input is given; -1: nothing */
	bool terminal;
	int64_t end_ns; /* the connection has ended: until when its last is passed on */
};

/* --- What comes ------------------------------------------------------------------------------- */

static int add(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	(void)stream;
	strbuf_add_bytes(data, bytes, size);
	return 0;
}

/* Takes all that is there; what cannot be understood is its end. */
static void take_output(struct follower *f)
{
	char buf[PART];
	ssize_t n;

	while (f->stream >= 0 && (n = read(f->stream, buf, sizeof(buf))) != 0) {
		int r = 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0 && f->terminal)
			r = add(&f->out.pending, FRAME_STDOUT, buf, (size_t)n);
		else if (n > 0)
			r = frames_take(&f->frames, buf, (size_t)n, add, &f->out.pending, NULL);
		if (n < 0 || r < 0)
			break;
		if (f->out.pending.used > 2 * PENDING_MAX)
			return; /* it is thrown away first */
	}
	f->stream = fd_close(f->stream);
}

/* What nobody has taken for so long. */
static void throw_away(struct carry *out)
{
	struct strbuf *p = &out->pending;
	size_t waiting = p->used - out->sent;

	if (waiting <= PENDING_MAX)
		return;
	memmove(p->text, p->text + p->used - PENDING_MAX / 2, PENDING_MAX / 2);
	p->used = PENDING_MAX / 2;
	out->sent = 0;
}

/* --- Following -------------------------------------------------------------------------------- */

static void pass_input(struct follower *f)
{
	ssize_t n;

	carry_fetch(&f->in, &f->from);
	if (f->in.begin == f->in.end || f->stream < 0)
		return;
	n = send(f->stream, f->in.data + f->in.begin, f->in.end - f->in.begin,
		MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		f->in.begin += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		f->in.begin = f->in.end;
}

enum { CLIENT, INPUT, STREAM, FDS };

static void fill_poll(const struct follower *f, struct pollfd p[static FDS])
{
	bool waits = f->in.begin < f->in.end;

	p[CLIENT] =
		(struct pollfd){.fd = f->out.fd, .events = carry_is_empty(&f->out) ? 0 : POLLOUT};
	p[INPUT] = (struct pollfd){.fd = waits ? -1 : f->from, .events = POLLIN};
	p[STREAM] =
		(struct pollfd){.fd = f->stream, .events = (short)(POLLIN | (waits ? POLLOUT : 0))};
}

/* Nothing more will come, or nobody takes it. */
static bool is_over(struct follower *f)
{
	if (f->stream >= 0)
		return false;
	if (!f->end_ns)
		f->end_ns = clock_monotonic_ns() + LINGER_MS * 1000000LL;
	return carry_is_empty(&f->out) || clock_monotonic_ns() > f->end_ns;
}

static bool serve(struct follower *f)
{
	struct pollfd p[FDS];

	fill_poll(f, p);
	poll(p, FDS, f->end_ns ? LINGER_MS : -1);
	pass_input(f); /* also what a client that goes typed last */
	take_output(f);
	if (!carry_flush(&f->out))
		return false;
	throw_away(&f->out);
	return !(p[CLIENT].revents & (POLLERR | POLLHUP | POLLNVAL)) && !is_over(f);
}

static void become_follower(struct follower *f)
{
	int *const fds[] = {&f->out.fd, &f->from, &f->stream, &f->hold};

	apart_keep_only(fds, ARRAY_SIZE(fds));
	prctl(PR_SET_NAME, "corpus-console");
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0)
		_exit(1);
	while (carry_flush(&f->out) && serve(f))
		;
	_exit(0);
}

/* --- Connecting ------------------------------------------------------------------------------- */

/* Ours for as long as it stays open. */
static int lock(const struct inside *in, struct err *err)
{
	AUTOCLOSE int fd = open(in->paths->console, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, errno, "cannot lock the console");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_CONFLICT, NULL,
			"somebody is at the guest's console already: it can still be followed");
	return TAKE_FD(fd);
}

static int attach(const struct inside *in, bool input, struct follower *f, struct err *err)
{
	struct engine_request request = {.method = "POST",
		.path = "/containers/{}/attach",
		.name = in->container,
		.query = {{"stream", "1"}, {"stdout", "1"}, {"stderr", "1"},
			{"stdin", input ? "1" : NULL}, {"detachKeys", EXEC_DETACH_KEYS}},
		.what = "connect to the console",
		.timeout_ms = ATTACH_MS};
	AUTOFREE char *rest = NULL;
	size_t size = 0;
	int r = engine_hijack(in->engine, &request, &f->stream, &rest, &size, err);

	if (r < 0)
		return r;
	if (f->terminal)
		add(&f->out.pending, FRAME_STDOUT, rest, size);
	else
		r = frames_take(&f->frames, rest, size, add, &f->out.pending, err);
	if (r == 0 && fcntl(f->stream, F_SETFL, O_NONBLOCK) < 0)
		r = err_errno(err, errno, "cannot use dockerd's connection");
	return r;
}

/* Programs draw nothing in a terminal without a size; and those that wait draw it again. */
static void give_size(const struct inside *in)
{
	struct engine_request request = {.method = "POST",
		.path = "/containers/{}/resize",
		.name = in->container,
		.query = {{"h", ROWS}, {"w", COLUMNS}},
		.timeout_ms = ATTACH_MS};

	engine_call(in->engine, &request, NULL, NULL);
}

/* dockerd's log is written a moment after what is said was passed on. So it is read again until it
 * reaches what came by the connection, or nothing comes to either. */
static int read_history(const struct inside *in, uint64_t tail, struct follower *f,
	struct strbuf *ret, size_t *ret_overlap, struct err *err)
{
	int64_t end = clock_monotonic_ns() + SETTLE_MS * 1000000LL;
	const struct strbuf *live = &f->out.pending;
	size_t before = SIZE_MAX;

	for (;;) {
		int r = console_history(in, tail, ret, err);

		if (r < 0)
			return r;
		take_output(f);
		*ret_overlap = console_overlap(ret, live);
		if (*ret_overlap > 0 || clock_monotonic_ns() >= end ||
			(ret->used == before && !memchr(live->text ?: "", '\n', live->used)))
			return 0;
		before = ret->used;
		strbuf_finish(ret);
		poll(NULL, 0, SETTLE_STEP_MS);
	}
}

/* What was said before comes first, and once. */
static int put_history(const struct inside *in, uint64_t tail, struct follower *f, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf history = {0};
	struct strbuf all = {0}, *live = &f->out.pending;
	struct err why = {0};
	size_t overlap = 0, size;

	if (tail == 0 || read_history(in, tail, f, &history, &overlap, &why) < 0) {
		if (err_errnum(why.code) < 0 && why.code != ERR_UNSUPPORTED) {
			*err = why;
			return err_errnum(why.code);
		}
		return 0;
	}
	size = history.used - overlap < tail ? history.used - overlap : (size_t)tail;
	strbuf_add_bytes(&all, history.text + history.used - overlap - size, size);
	strbuf_add_bytes(&all, live->text, live->used);
	strbuf_finish(live);
	*live = all;
	return all.failed ? err_errno(err, ENOMEM, "no memory for a console") : 0;
}

static int connect_follower(const struct inside *in, const struct driver_console *wanted,
	struct follower *f, struct err *err)
{
	int r;

	if (wanted->input) {
		f->hold = lock(in, err);
		if (f->hold < 0)
			return f->hold;
		f->from = fcntl(wanted->fd, F_DUPFD_CLOEXEC, 3);
	}
	f->out.fd = fcntl(wanted->fd, F_DUPFD_CLOEXEC, 3);
	r = attach(in, wanted->input, f, err);
	if (r == 0)
		r = put_history(in, wanted->tail, f, err);
	if (r == 0 && wanted->input && f->terminal)
		give_size(in);
	return r;
}

static int follow(const struct inside *in, const struct driver_console *wanted, struct err *err)
{
	struct follower f = {.out.fd = -1,
		.from = -1,
		.stream = -1,
		.hold = -1,
		.terminal = reply_is_true(in->info, "Config.Tty")};
	int r = connect_follower(in, wanted, &f, err);

	if (r == 0) {
		r = apart_fork();
		if (r == 0)
			become_follower(&f);
		r = r < 0 ? err_errno(err, r, "cannot fork to follow the console") : 0;
	}
	strbuf_finish(&f.out.pending);
	fd_close(f.out.fd);
	fd_close(f.from);
	fd_close(f.stream);
	fd_close(f.hold);
	return r;
}

/* --- History ---------------------------------------------------------------------------------- */

static int send_history(
	const struct inside *in, const struct driver_console *wanted, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf history = {0};
	int r = in->container && wanted->tail > 0 ? console_history(in, wanted->tail, &history, err)
						  : 0;
	size_t size = history.used < wanted->tail ? history.used : (size_t)wanted->tail;

	if (r < 0 || size == 0)
		return r;
	r = file_write_all(wanted->fd, history.text + history.used - size, size);
	if (r == -EPIPE)
		return err_set(err, ERR_CANCELLED, NULL, "nobody reads on");
	return r < 0 ? err_errno(err, r, "cannot pass on the console") : 0;
}

int docker_console(const struct inside *in, const struct driver_console *wanted, struct err *err)
{
	if (wanted->input && in->pid <= 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL,
			"the guest does not run: nothing takes input from its console");
	if (in->pid > 0 && (wanted->follow || wanted->input))
		return follow(in, wanted, err);
	return send_history(in, wanted, err);
}
