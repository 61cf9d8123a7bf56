/* Commands in containers, once they run: their streams, by the connection that dockerd handed over,
 * and their end. A reader that is slow is waited for: dockerd then holds back the command, and
 * nobody else. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/docker/exec_internal.h"
#include "drivers/docker/reply.h"

#define PART	    32768
#define PENDING_MAX (256 * 1024) /* bytes of an output that wait for its reader */
#define RESIZE_MS   2000
#define LOOK_MS	    5000
#define PAUSE_MS    50
#define PAUSES_MAX  200	 /* looks for the status of what has ended */
#define LINGER_MS   2000 /* for the last words of a command whose guest has ended */

struct talk {
	struct carrier *c;
	struct carry_input input;
	bool input_over; /* and the command knows it */
	int64_t late_ns; /* the guest has ended: when to give up; 0: it runs */
};

/* --- Signals ---------------------------------------------------------------------------------- */

/* To it and what it has started, as a terminal or a pipe would: it leads a session of its own. Its
 * pid is its own for as long as the descriptor can be signalled. */
static void send_signal(struct carrier *c, int number)
{
	if (process_signal(c->pidfd, 0) < 0)
		return;
	if (kill(-c->pid, number) < 0)
		process_signal(c->pidfd, number);
}

static void hang_up(struct carrier *c)
{
	send_signal(c, SIGHUP);
	send_signal(c, SIGCONT);
}

/* --- Output ----------------------------------------------------------------------------------- */

static int take_piece(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	struct carrier *c = data;
	struct carry *out = &c->outputs[stream == FRAME_STDERR ? EXEC_ERR : EXEC_OUT];

	if (stream == FRAME_FAILURE)
		return err_set(&c->err, ERR_DRIVER, NULL, "dockerd says: %.*s",
			(int)(size < 200 ? size : 200), bytes);
	if (out->fd < 0) { /* it writes to nobody */
		send_signal(c, c->exec.terminal ? SIGHUP : SIGPIPE);
		return 0;
	}
	strbuf_add_bytes(&out->pending, bytes, size);
	return out->pending.failed ? -ENOMEM : 0;
}

static int take_output(struct carrier *c, const char *bytes, size_t size)
{
	return c->exec.terminal ? take_piece(c, FRAME_STDOUT, bytes, size)
				: frames_take(&c->frames, bytes, size, take_piece, c, &c->err);
}

static bool wants_output(const struct carrier *c)
{
	for (int i = 0; i < EXEC_OUTPUTS; i++)
		if (c->outputs[i].pending.used - c->outputs[i].sent > PENDING_MAX)
			return false;
	return c->stream >= 0;
}

/* A negative errno: nothing that comes can be understood any more. */
static int read_stream(struct carrier *c)
{
	char buf[PART];
	ssize_t n;

	if (!wants_output(c))
		return 0;
	n = read(c->stream, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0)
		return take_output(c, buf, (size_t)n);
	c->stream = fd_close(c->stream);
	return 0;
}

static void flush_outputs(struct carrier *c)
{
	for (int i = 0; i < EXEC_OUTPUTS; i++)
		if (!carry_flush(&c->outputs[i]))
			send_signal(c, c->exec.terminal ? SIGHUP : SIGPIPE);
}

static bool is_flushed(const struct carrier *c)
{
	for (int i = 0; i < EXEC_OUTPUTS; i++)
		if (c->outputs[i].fd >= 0 && !carry_is_empty(&c->outputs[i]))
			return false;
	return true;
}

/* --- Input ------------------------------------------------------------------------------------ */

static bool wants_input(const struct talk *t)
{
	return t->input.begin == t->input.end && t->c->exec.stdin_fd >= 0 && t->c->stream >= 0;
}

static void pass_input(struct talk *t)
{
	struct carrier *c = t->c;
	ssize_t n;

	if (wants_input(t))
		carry_fetch(&t->input, &t->c->exec.stdin_fd);
	if (t->input.begin < t->input.end && c->stream >= 0) {
		n = send(c->stream, t->input.data + t->input.begin, t->input.end - t->input.begin,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			t->input.begin += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			t->input.begin = t->input.end; /* it wants no more */
	} else if (c->exec.stdin_fd < 0 && !t->input_over) {
		t->input_over = true;
		if (c->exec.terminal)
			hang_up(c);
		else if (c->stream >= 0)
			shutdown(c->stream, SHUT_WR);
	}
}

/* --- The terminal ----------------------------------------------------------------------------- */

static void pass_size(struct carrier *c)
{
	struct winsize size = carry_size(c->exec.stdin_fd);
	char rows[8], columns[8];
	struct engine_request request = {.method = "POST",
		.path = "/exec/{}/resize",
		.name = c->id,
		.query = {{"h", rows}, {"w", columns}},
		.timeout_ms = RESIZE_MS};

	snprintf(rows, sizeof(rows), "%d", size.ws_row);
	snprintf(columns, sizeof(columns), "%d", size.ws_col);
	engine_call(c->engine, &request, NULL, NULL); /* it may have ended by now */
}

/* --- Carrying --------------------------------------------------------------------------------- */

enum { STREAM, INPUT, SIGNALS, LIFE, OUTPUT, FDS = OUTPUT + EXEC_OUTPUTS };

static void fill_poll(const struct talk *t, struct pollfd p[static FDS])
{
	const struct carrier *c = t->c;

	p[STREAM] = (struct pollfd){.fd = c->stream,
		.events = (short)((wants_output(c) ? POLLIN : 0) |
				  (t->input.begin < t->input.end ? POLLOUT : 0))};
	if (!p[STREAM].events) /* its end can wait, too */
		p[STREAM].fd = -1;
	p[INPUT] = (struct pollfd){.fd = wants_input(t) ? c->exec.stdin_fd : -1, .events = POLLIN};
	p[SIGNALS] = (struct pollfd){.fd = c->signals, .events = POLLIN};
	p[LIFE] = (struct pollfd){.fd = t->late_ns ? -1 : c->life, .events = POLLIN};
	for (int i = 0; i < EXEC_OUTPUTS; i++) {
		const struct carry *out = &c->outputs[i];

		p[OUTPUT + i] = (struct pollfd){
			.fd = carry_is_empty(out) ? -1 : out->fd, .events = POLLOUT};
	}
}

static void wait_a_moment(struct talk *t)
{
	struct pollfd p[FDS];

	fill_poll(t, p);
	if (poll(p, FDS, t->late_ns ? PAUSE_MS : -1) <= 0)
		return;
	if (p[SIGNALS].revents && carry_was_resized(t->c->signals) && t->c->exec.stdin_fd >= 0)
		pass_size(t->c);
	if (p[LIFE].revents)
		t->late_ns = clock_monotonic_ns() + LINGER_MS * 1000000LL;
}

static bool is_late(const struct talk *t)
{
	return t->late_ns && clock_monotonic_ns() > t->late_ns;
}

/* Until dockerd ends the connection, and all of it has been taken. */
static int carry_all(struct talk *t)
{
	struct carrier *c = t->c;
	int r = take_output(c, c->held.text, c->held.used);

	strbuf_finish(&c->held);
	flush_outputs(c);
	while (r == 0 && (c->stream >= 0 || !is_flushed(c))) {
		wait_a_moment(t);
		r = is_late(t) ? -ESRCH : read_stream(c);
		flush_outputs(c);
		pass_input(t);
	}
	return r;
}

/* --- The end ---------------------------------------------------------------------------------- */

/* Whether it has ended, which may be long after it closed its outputs; false: there is nobody who
 * will ever tell. */
static bool await_end(struct talk *t, json_t **ret)
{
	struct carrier *c = t->c;

	for (int i = 0; i < PAUSES_MAX; i++) {
		struct pollfd p[] = {{.fd = c->pidfd, .events = POLLIN},
			{.fd = t->late_ns ? -1 : c->life, .events = POLLIN}};
		json_t *reply = NULL;

		if (exec_inspect(c, LOOK_MS, &reply, &c->err) < 0)
			return false;
		if (!reply_is_true(reply, "Running")) {
			*ret = reply;
			return true;
		}
		json_decref(reply);
		/* It goes on, without outputs; or dockerd is yet to hear that it does not. */
		if (c->pidfd >= 0 && poll(p, ARRAY_SIZE(p), 0) == 0) {
			poll(p, ARRAY_SIZE(p), -1);
			i = 0;
		}
		poll(NULL, 0, i == 0 ? 1 : PAUSE_MS);
	}
	return false;
}

static bool find_status(struct talk *t, int *ret)
{
	json_auto_t *reply = NULL;
	const json_t *code;

	if (!await_end(t, &reply))
		return false;
	code = json_object_get(reply, "ExitCode");
	*ret = exec_status(json_integer_value(code));
	return json_is_integer(code);
}

/* What nobody carries for any more must not go on unseen. */
bool exec_carry(struct carrier *c, int *ret_status)
{
	struct talk t = {.c = c};
	int r;

	if (c->exec.terminal)
		pass_size(c);
	r = carry_all(&t);
	if (r == 0 && (c->exec.terminal || frames_end(&c->frames, &c->err) == 0) &&
		find_status(&t, ret_status))
		return true;
	send_signal(c, SIGKILL);
	return false;
}
