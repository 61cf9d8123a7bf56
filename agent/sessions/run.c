/* A session run to its end by the agent itself, as its client: for requests that wait for what a
 * command says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/sessions/internal.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "session/stream/frame.h"

struct session_run {
	int fd;
	sd_event_source *io;
	struct strbuf input; /* as frames */
	size_t input_sent;
	struct strbuf out, errors;
	bool truncated;
	struct frame_reader reader;
	session_ended_fn ended;
	void *data;
};

static void run_free(struct session_run *run)
{
	sd_event_source_disable_unref(run->io);
	fd_close(run->fd);
	strbuf_finish(&run->input);
	strbuf_finish(&run->out);
	strbuf_finish(&run->errors);
	free(run);
}

/* --- What it types --------------------------------------------------------------------------- */

static void add_frame(struct strbuf *buf, enum frame_type type, const char *data, size_t size)
{
	uint8_t head[FRAME_HEAD];

	frame_head(head, type, (uint32_t)size);
	strbuf_add_bytes(buf, head, sizeof(head));
	strbuf_add_bytes(buf, data, size);
}

static void frame_input(struct strbuf *buf, const char *input, size_t size)
{
	while (size > 0) {
		size_t n = size < FRAME_DATA_MAX ? size : FRAME_DATA_MAX;

		add_frame(buf, FRAME_STDIN, input, n);
		input += n;
		size -= n;
	}
	add_frame(buf, FRAME_STDIN_EOF, "", 0);
}

static void type(struct session_run *run)
{
	while (run->input_sent < run->input.used) {
		ssize_t n = send(run->fd, run->input.text + run->input_sent,
			run->input.used - run->input_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			break;
		run->input_sent += (size_t)n;
	}
	sd_event_source_set_io_events(
		run->io, run->input_sent < run->input.used ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* --- What it hears --------------------------------------------------------------------------- */

static void gather(struct session_run *run, struct strbuf *buf, const struct frame *frame)
{
	size_t room = SESSION_OUTPUT_MAX - buf->used;

	run->truncated |= frame->size > room;
	strbuf_add_bytes(buf, frame->data, frame->size < room ? frame->size : room);
}

static void read_exit(const char *text, size_t size, struct session_result *ret)
{
	json_t *json = json_loadb(text, size, 0, NULL);
	const json_t *status = json_object_get(json, "status");
	const char *signal = json_string_value(json_object_get(json, "signal"));

	ret->status = status ? (int)json_integer_value(status) : -1;
	snprintf(ret->signal, sizeof(ret->signal), "%s", signal ? signal : "");
	ret->lost = !status && !signal;
	ret->timed_out = json_is_true(json_object_get(json, "timeout"));
	json_decref(json);
}

static void end(struct session_run *run, const struct frame *frame)
{
	struct session_result result = {.status = -1, .lost = true};

	if (frame)
		read_exit(frame->data, frame->size, &result);
	result.truncated = run->truncated || run->out.failed || run->errors.failed;
	result.out = run->out.text ? run->out.text : "";
	result.out_size = run->out.used;
	result.errors = run->errors.text ? run->errors.text : "";
	result.errors_size = run->errors.used;
	run->ended(run->data, &result);
	run_free(run);
}

/* True when that was the end. */
static bool take(struct session_run *run, const char *data, size_t size)
{
	struct frame frame;
	int r;

	while ((r = frame_next(&run->reader, &data, &size, &frame)) == 1) {
		if (frame.type == FRAME_STDOUT)
			gather(run, &run->out, &frame);
		else if (frame.type == FRAME_STDERR)
			gather(run, &run->errors, &frame);
		else if (frame.type == FRAME_EXIT) {
			end(run, &frame);
			return true;
		}
	}
	if (r < 0)
		end(run, NULL);
	return r < 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	static char bytes[65536];
	struct session_run *run = data;
	ssize_t n;

	(void)source;
	if (events & EPOLLOUT)
		type(run);
	n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		take(run, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end(run, NULL);
	return 0;
}

/* --- Life ------------------------------------------------------------------------------------ */

struct session_run *session_run(struct session *session, const char *input, size_t size,
	session_ended_fn ended, void *data, struct err *err)
{
	struct session_run *run = calloc(1, sizeof(*run));
	int fds[2], r;

	if (!run) {
		err_errno(err, ENOMEM, "cannot wait for a session");
		return NULL;
	}
	*run = (struct session_run){.fd = -1, .ended = ended, .data = data};
	frame_input(&run->input, input, size);
	r = run->input.failed ? -ENOMEM : 0;
	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		r = -errno;
	if (r == 0) {
		run->fd = fds[0];
		session_attach(session, fds[1], 0, true, "", 0);
		r = sd_event_add_io(session->sessions->agent->loop, &run->io, run->fd,
			EPOLLIN | EPOLLOUT, on_io, run);
	}
	if (r < 0) {
		err_errno(err, r, "cannot wait for a session");
		run_free(run);
		return NULL;
	}
	return run;
}

void session_run_cancel(struct session_run *run)
{
	run_free(run);
}
