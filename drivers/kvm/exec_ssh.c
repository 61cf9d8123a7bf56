/* A command by ssh: one channel. With a terminal the guest makes one, and ours only passes on: it
 * is raw, and its size is the guest's terminal's. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/kvm/carrier.h"

#define PART	32768
#define OPEN_MS 6000

struct talk {
	struct carrier *c;
	LIBSSH2_CHANNEL *channel;
	int signals; /* tells of changes of the terminal's size; -1: no terminal */
	struct carry_input input;
	bool input_over; /* and the guest knows it */
	bool kicked;	 /* something was done: look again before waiting */
	struct err *err;
};

/* --- The terminal ----------------------------------------------------------------------------- */

static const char *term_of(const char *const *env)
{
	const char *term = "linux";

	for (; env && *env; env++)
		if (strncmp(*env, "TERM=", 5) == 0)
			term = *env + 5;
	return term;
}

static int request_terminal(struct talk *t)
{
	struct winsize size = carry_size(t->c->exec.stdin_fd);
	const char *term = term_of(t->c->exec.env);
	int r = carry_take_terminal(t->c->exec.stdin_fd, &t->signals, t->err);

	if (r == 0 && libssh2_channel_request_pty_ex(t->channel, term, (unsigned)strlen(term), NULL,
			      0, size.ws_col, size.ws_row, 0, 0) != 0)
		r = ssh_error(t->c->way.ssh, t->err, "the guest gives no terminal");
	return r;
}

static void pass_size(struct talk *t)
{
	struct winsize size = carry_size(t->c->exec.stdin_fd);

	if (!carry_was_resized(t->signals))
		return;
	while (libssh2_channel_request_pty_size(t->channel, size.ws_col, size.ws_row) ==
		LIBSSH2_ERROR_EAGAIN)
		poll(&(struct pollfd){.fd = ssh_fd(t->c->way.ssh), .events = POLLOUT}, 1, OPEN_MS);
}

/* --- What goes in and out --------------------------------------------------------------------- */

static bool failed(ssize_t n)
{
	return n < 0 && n != LIBSSH2_ERROR_EAGAIN;
}

/* The connection is closed, and the command knows when it writes. */
static int nobody_reads(struct talk *t)
{
	return err_set(t->err, ERR_CANCELLED, NULL, "nobody reads on");
}

static int take_output(struct talk *t, int i)
{
	AUTOFREE char *part = malloc(PART);
	ssize_t n = 0;
	int r = part ? 0 : -ENOMEM;

	/* What is not taken here fills the channel's window, and then the guest waits. */
	while (r == 0 && carrier_is_empty(&t->c->outputs[i])) {
		n = libssh2_channel_read_ex(t->channel, i, part, PART);
		if (n <= 0)
			break;
		t->kicked = true;
		r = carrier_take(t->c, i, part, (size_t)n);
		if (!carrier_flush(&t->c->outputs[i]))
			r = nobody_reads(t);
	}
	if (r == 0 && failed(n))
		r = ssh_error(t->c->way.ssh, t->err, "the guest does not answer");
	return r;
}

static bool wants_input(const struct talk *t)
{
	return t->input.begin == t->input.end && t->c->exec.stdin_fd >= 0 && carrier_is_told(t->c);
}

static int pass_input(struct talk *t)
{
	ssize_t n = 0;

	if (wants_input(t))
		carry_fetch(&t->input, &t->c->exec.stdin_fd);
	if (t->input.begin < t->input.end) {
		n = libssh2_channel_write(
			t->channel, t->input.data + t->input.begin, t->input.end - t->input.begin);
		t->input.begin = n > 0 ? t->input.begin + (size_t)n : t->input.begin;
		t->kicked = t->kicked || n > 0;
	} else if (t->c->exec.stdin_fd < 0 && !t->input_over) {
		/* Who is at a terminal that has gone is told as by any terminal: it hangs up. */
		n = t->c->exec.terminal ? libssh2_channel_close(t->channel)
					: libssh2_channel_send_eof(t->channel);
		t->input_over = n == 0;
	}
	if (failed(n) && libssh2_channel_eof(t->channel)) {
		t->input.begin = t->input.end; /* it wants no more */
		t->input_over = true;
		return 0;
	}
	return failed(n) ? ssh_error(t->c->way.ssh, t->err, "the guest takes nothing") : 0;
}

static void wait_a_moment(struct talk *t)
{
	int directions = libssh2_session_block_directions(ssh_session(t->c->way.ssh));
	struct pollfd p[3 + CARRIER_OUTPUTS] = {
		{.fd = ssh_fd(t->c->way.ssh),
			.events = (short)(POLLIN |
					  (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT
										       : 0))},
		{.fd = wants_input(t) ? t->c->exec.stdin_fd : -1, .events = POLLIN},
		{.fd = t->signals, .events = POLLIN},
	};

	for (int i = 0; i < CARRIER_OUTPUTS; i++) {
		const struct carrier_stream *s = &t->c->outputs[i];

		p[3 + i] = (struct pollfd){
			.fd = carrier_is_empty(s) ? -1 : s->bytes.fd, .events = POLLOUT};
	}
	if (!t->kicked)
		poll(p, ARRAY_SIZE(p), -1);
	t->kicked = false;
	if (p[2].revents)
		pass_size(t);
}

static int turn(struct talk *t)
{
	int r = 0;

	for (int i = 0; r == 0 && i < CARRIER_OUTPUTS; i++) {
		r = carrier_flush(&t->c->outputs[i]) ? take_output(t, i) : nobody_reads(t);
	}
	return r == 0 ? pass_input(t) : r;
}

static bool is_over(const struct talk *t)
{
	for (int i = 0; i < CARRIER_OUTPUTS; i++)
		if (!carrier_is_empty(&t->c->outputs[i]))
			return false;
	return libssh2_channel_eof(t->channel);
}

/* --- From its beginning to its end ------------------------------------------------------------ */

static int begin(struct talk *t)
{
	char command[CARRIER_DIR_MAX + 32];
	int r;

	t->channel = ssh_channel(t->c->way.ssh, t->err);
	if (!t->channel)
		return -EIO;
	r = t->c->exec.terminal ? request_terminal(t) : 0;
	snprintf(command, sizeof(command), "exec /bin/sh %s/launch", t->c->dir);
	if (r == 0 && libssh2_channel_exec(t->channel, command) != 0)
		r = ssh_error(t->c->way.ssh, t->err, "the guest runs nothing");
	fault_point("driver.kvm.exec.started");
	return r;
}

static int end(struct talk *t, int *ret_status)
{
	libssh2_session_set_blocking(ssh_session(t->c->way.ssh), 1);
	if (libssh2_channel_close(t->channel) != 0)
		return ssh_error(t->c->way.ssh, t->err, "the guest does not end it");
	*ret_status = ssh_status(t->channel);
	return 0;
}

bool exec_by_ssh(struct carrier *c, int *ret_status, struct err *err)
{
	struct talk t = {.c = c, .signals = -1, .err = err};
	int r;

	libssh2_session_set_timeout(ssh_session(c->way.ssh), OPEN_MS);
	r = begin(&t);
	libssh2_session_set_blocking(ssh_session(c->way.ssh), 0);
	while (r == 0 && !is_over(&t)) {
		r = turn(&t);
		if (r == 0 && !is_over(&t))
			wait_a_moment(&t);
	}
	if (r == 0)
		r = end(&t, ret_status);
	if (t.channel)
		libssh2_channel_free(t.channel);
	return r == 0 && carrier_is_told(c);
}
