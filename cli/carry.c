/* Carrying a stream between the terminal (or pipes) of the user and a session. Signals come as
 * bytes of a descriptor, so that nothing is interrupted in the middle of a frame. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/stream.h"

#define LEAVE_FIRST  ('P' & 0x1f) /* ctrl-p ctrl-q */
#define LEAVE_SECOND ('Q' & 0x1f)
#define PIECE	     16384

struct carry {
	struct cli *cli;
	struct stream *stream;
	const struct stream_options *options;
	int signals;
	struct strbuf pending; /* frames that the socket has no room for */
	size_t sent;
	bool input_over; /* standard input has ended, or is not read */
	bool leaving;	 /* ctrl-p came */
	bool left;
	struct frame_reader reader;
	bool ended;
	int status;
	char problem[200]; /* what the session says before it cuts us off */
};

/* --- The terminal ---------------------------------------------------------------------------- */

static struct termios before;
static bool is_raw;

static void restore_terminal(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	is_raw = false;
}

static int make_raw(struct err *err)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return err_errno(err, errno, "cannot use the terminal");
	raw = before;
	cfmakeraw(&raw);
	is_raw = true;
	atexit(restore_terminal);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return err_errno(err, errno, "cannot use the terminal");
	return 0;
}

/* --- To the session -------------------------------------------------------------------------- */

static void add_frame(struct carry *c, enum frame_type type, const void *data, size_t size)
{
	uint8_t head[FRAME_HEAD];

	frame_head(head, type, (uint32_t)size);
	strbuf_add_bytes(&c->pending, head, sizeof(head));
	strbuf_add_bytes(&c->pending, data, size);
}

static void add_size(struct carry *c)
{
	struct winsize size;
	uint8_t payload[4];

	if (!c->options->terminal || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row)
		return;
	payload[0] = (uint8_t)(size.ws_row >> 8);
	payload[1] = (uint8_t)size.ws_row;
	payload[2] = (uint8_t)(size.ws_col >> 8);
	payload[3] = (uint8_t)size.ws_col;
	add_frame(c, FRAME_RESIZE, payload, sizeof(payload));
}

static void flush(struct carry *c)
{
	while (c->sent < c->pending.used) {
		ssize_t n = send(c->stream->fd, c->pending.text + c->sent,
			c->pending.used - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return; /* no room, or its end is seen by reading */
		c->sent += (size_t)n;
	}
	strbuf_finish(&c->pending);
	c->sent = 0;
}

/* What was typed, less the keys to leave by: the first one waits for what follows. */
static void type(struct carry *c, const char *data, size_t size)
{
	static const char FIRST = LEAVE_FIRST;
	size_t from = 0;

	for (size_t i = 0; c->options->terminal && i < size; i++) {
		bool was_leaving = c->leaving;

		c->leaving = data[i] == LEAVE_FIRST && !was_leaving;
		if (was_leaving && data[i] == LEAVE_SECOND) {
			c->left = true;
			return;
		}
		if (was_leaving)
			add_frame(c, FRAME_STDIN, &FIRST, 1);
		if (c->leaving && i > from)
			add_frame(c, FRAME_STDIN, data + from, i - from);
		if (c->leaving)
			from = i + 1;
	}
	if (size > from)
		add_frame(c, FRAME_STDIN, data + from, size - from);
}

static void read_input(struct carry *c)
{
	char data[PIECE];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n > 0) {
		type(c, data, (size_t)n);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		c->input_over = true;
		add_frame(c, FRAME_STDIN_EOF, "", 0);
	}
}

/* --- From the session ------------------------------------------------------------------------ */

static int signal_status(const char *name)
{
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return 128 + i;
	}
	return 128;
}

static void say(struct carry *c, const char *text)
{
	if (!c->cli->quiet)
		fprintf(c->cli->err_out, "%s: %s%s", c->cli->command, text, is_raw ? "\r\n" : "\n");
}

static void take_exit(struct carry *c, const char *text)
{
	json_auto_t *json = json_loads(text, 0, NULL);
	const json_t *status = json_object_get(json, "status");

	c->ended = true;
	if (json_is_true(json_object_get(json, "timeout")))
		say(c, "it took too long and was killed");
	if (status)
		c->status = (int)json_integer_value(status) & 0xff;
	else if (*json_text(json, "signal"))
		c->status = signal_status(json_text(json, "signal"));
	else if (json_is_true(json_object_get(json, "closed")))
		say(c, "the console is closed");
	else
		snprintf(c->problem, sizeof(c->problem),
			"the command's end was not seen; it may run on");
}

static void take_notice(struct carry *c, const char *text)
{
	json_auto_t *json = json_loads(text, 0, NULL);
	char line[96];

	if (*json_text(json, "error"))
		snprintf(c->problem, sizeof(c->problem), "%.190s", json_text(json, "error"));
	if (json_number(json, "dropped") > 0) {
		snprintf(line, sizeof(line), "%lld bytes of what it wrote are not kept any more",
			(long long)json_number(json, "dropped"));
		say(c, line);
	}
	if (json_is_true(json_object_get(json, "overrun")))
		say(c, "it wrote faster than could be shown; some of it is left out here");
}

/* Where nobody reads what it writes, it need not go on: as for any command in a pipe. */
static int take_bytes(struct carry *c, const char *data, size_t size, struct err *err)
{
	struct frame frame;
	int r;

	while (!c->ended && (r = frame_next(&c->reader, &data, &size, &frame)) != 0) {
		if (r < 0)
			return err_set(err, ERR_INTERNAL, NULL,
				"what came is no " STREAM_PROTOCOL ": is the agent of another "
				"version?");
		r = 0;
		if (frame.type == FRAME_STDOUT)
			r = file_write_all(STDOUT_FILENO, frame.data, frame.size);
		else if (frame.type == FRAME_STDERR)
			r = file_write_all(STDERR_FILENO, frame.data, frame.size);
		else if (frame.type == FRAME_EXIT)
			take_exit(c, frame.data);
		else if (frame.type == FRAME_NOTICE)
			take_notice(c, frame.data);
		if (r < 0)
			return err_errno(err, r, "writing the output");
	}
	return 0;
}

static int read_stream(struct carry *c, struct err *err)
{
	static char data[65536];
	ssize_t n = recv(c->stream->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		return take_bytes(c, data, (size_t)n, err);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->ended = true;
	if (!c->problem[0])
		snprintf(c->problem, sizeof(c->problem),
			"the connection was cut, and how the command ended is not known");
	return 0;
}

/* --- Signals --------------------------------------------------------------------------------- */

/* A terminal turns keys into bytes by itself; what comes as a signal all the same is for us. */
static int take_signal(struct carry *c, struct err *err)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGWINCH) {
		add_size(c);
		return 0;
	}
	if (info.ssi_signo == SIGHUP || c->options->console || c->options->terminal) {
		c->cli->status = 128 + (int)info.ssi_signo;
		return err_set(err, ERR_CANCELLED, NULL, "ended by a signal");
	}
	add_frame(c, FRAME_SIGNAL, sigabbrev_np((int)info.ssi_signo),
		strlen(sigabbrev_np((int)info.ssi_signo)));
	return 0;
}

static int catch_signals(struct carry *c, struct err *err)
{
	static const int CAUGHT[] = {SIGWINCH, SIGINT, SIGTERM, SIGQUIT, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(CAUGHT); i++)
		sigaddset(&set, CAUGHT[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signals < 0 ? err_errno(err, errno, "cannot watch signals") : 0;
}

/* --- The loop -------------------------------------------------------------------------------- */

static int turn(struct carry *c, struct err *err)
{
	bool full = c->pending.used > 0;
	struct pollfd p[] = {
		{.fd = c->stream->fd, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
		{.fd = c->signals, .events = POLLIN},
		{.fd = c->input_over || full ? -1 : STDIN_FILENO, .events = POLLIN},
	};
	int r = 0;

	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return errno == EINTR ? 0 : err_errno(err, errno, "waiting");
	if (p[1].revents)
		r = take_signal(c, err);
	if (r == 0 && p[2].revents)
		read_input(c);
	if (r == 0 && p[0].revents & ~POLLOUT)
		r = read_stream(c, err);
	flush(c);
	return r;
}

/* The agent closes when it has understood. */
static void leave(struct carry *c)
{
	char text[160];
	char end;

	restore_terminal();
	add_frame(c, FRAME_DETACH, "", 0);
	flush(c);
	shutdown(c->stream->fd, SHUT_WR);
	while (recv(c->stream->fd, &end, 1, MSG_WAITALL) > 0)
		;
	if (c->options->console)
		snprintf(text, sizeof(text), "left the console");
	else
		snprintf(text, sizeof(text), "left; `corpus attach %s` comes back",
			c->stream->session);
	say(c, text);
}

static int carry(struct carry *c, struct err *err)
{
	int r = catch_signals(c, err);

	if (r == 0 && c->options->terminal)
		r = make_raw(err);
	if (r == 0)
		r = take_bytes(c, c->stream->early, c->stream->early_size, err);
	if (r == 0)
		add_size(c);
	flush(c);
	while (r == 0 && !c->ended && !c->left)
		r = turn(c, err);
	if (r == 0 && c->left)
		leave(c);
	restore_terminal();
	if (r == 0 && c->problem[0])
		r = err_set(err, ERR_CONFLICT, NULL, "%s", c->problem);
	return r;
}

int stream_carry(struct cli *cli, struct stream *stream, const struct stream_options *options,
	struct err *err)
{
	struct carry c = {.cli = cli,
		.stream = stream,
		.options = options,
		.signals = -1,
		.input_over = !options->input};
	int r = carry(&c, err);

	fd_close(c.signals);
	stream->fd = fd_close(stream->fd);
	strbuf_finish(&c.pending);
	return r < 0 ? r : c.status;
}
