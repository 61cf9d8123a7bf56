/* Pipes from drivers. The driver's reply and the end of its pipe come in any order; only both
 * together say that all is there. */
#include "agent/api/piped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"

#define PIPE_SIZE (256 * 1024)

struct driver_client *guest_driver(
	struct agent *agent, const struct guest_entry *entry, struct err *err)
{
	struct agent_driver *driver = agent_driver(agent, entry->guest->driver, err);

	return driver ? driver->client : NULL;
}

/* Returns the reading end. */
static int call_with_pipe(struct driver_client *client, const struct driver_request *call,
	driver_reply_fn reply, void *data, struct err *err)
{
	struct driver_request request = *call;
	struct driver_console console;
	struct driver_file file;
	AUTOCLOSE int reader = -1, writer = -1;
	int r = file_pipe(&reader, &writer, 0);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	/* Only a convenience: an unprivileged user may have used up what is granted. */
	(void)fcntl(writer, F_SETPIPE_SZ, PIPE_SIZE);
	if (request.console) {
		console = *request.console;
		console.fd = writer;
		request.console = &console;
	}
	if (request.file) {
		file = *request.file;
		file.fd = writer;
		request.file = &file;
	}
	r = driver_client_call(client, &request, reply, data, err);
	return r < 0 ? r : TAKE_FD(reader);
}

/* --- As an answer ---------------------------------------------------------------------------- */

struct answer {
	struct http_request *request; /* NULL: it was answered */
	const char *content_type;
	int64_t size;
	int fd; /* -1: http has it */
	sd_event_source *readable;
	struct http_pipe *pipe; /* NULL: not yet, or nobody reads it */
	bool replied;
};

static void answer_free(struct answer *answer)
{
	sd_event_source_disable_unref(answer->readable);
	fd_close(answer->fd);
	free(answer);
}

static void answer_gone(void *data)
{
	struct answer *answer = data;

	answer->pipe = NULL;
}

static void begin_answer(struct answer *answer)
{
	struct http_pipe_source source = {
		.fd = answer->fd, .size = answer->size, .gone = answer_gone, .data = answer};

	answer->fd = -1;
	answer->readable = sd_event_source_disable_unref(answer->readable);
	answer->pipe =
		http_respond_pipe(TAKE_PTR(answer->request), 200, answer->content_type, &source);
}

static int answer_readable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct answer *answer = data;

	(void)fd;
	if (events & EPOLLIN)
		begin_answer(answer);
	else /* an end without a byte: the reply says whether that is right */
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static void answer_replied(void *data, const struct driver_reply *reply)
{
	struct answer *answer = data;

	answer->replied = true;
	if (answer->request && reply->result < 0)
		http_respond_error(TAKE_PTR(answer->request), &reply->error, NULL);
	else if (answer->request)
		begin_answer(answer);
	if (answer->pipe)
		http_pipe_end(answer->pipe, reply->result == 0);
	answer_free(answer);
}

void piped_answer(struct http_request *request, struct agent *agent, struct driver_client *client,
	const struct driver_request *call, const char *content_type, int64_t size)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	struct err err;
	int r;

	if (!answer) {
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
		http_respond_error(request, &err, NULL);
		return;
	}
	*answer = (struct answer){
		.request = request, .content_type = content_type, .size = size, .fd = -1};
	r = call_with_pipe(client, call, answer_replied, answer, &err);
	if (r < 0) {
		http_respond_error(request, &err, NULL);
		answer_free(answer);
		return;
	}
	answer->fd = r;
	/* Without it the answer begins with the reply. */
	(void)sd_event_add_io(
		agent->loop, &answer->readable, answer->fd, EPOLLIN, answer_readable, answer);
}

/* --- Gathered -------------------------------------------------------------------------------- */

struct gather {
	int fd;
	sd_event_source *readable;
	struct strbuf text;
	size_t max;
	bool replied, ended;
	struct err err; /* code ERR_OK: none */
	gathered_fn gathered;
	void *data;
};

static void settle(struct gather *gather)
{
	if (!gather->replied || !gather->ended)
		return;
	if (gather->text.failed && gather->err.code == ERR_OK)
		err_set(&gather->err, ERR_UNAVAILABLE, NULL, "out of memory");
	if (gather->err.code != ERR_OK)
		gather->gathered(gather->data, NULL, 0, &gather->err);
	else
		gather->gathered(gather->data, gather->text.text ? gather->text.text : "",
			gather->text.used, NULL);
	sd_event_source_disable_unref(gather->readable);
	fd_close(gather->fd);
	strbuf_finish(&gather->text);
	free(gather);
}

static void end_gathering(struct gather *gather)
{
	gather->readable = sd_event_source_disable_unref(gather->readable);
	gather->fd = fd_close(gather->fd);
	gather->ended = true;
	settle(gather);
}

static int gather_readable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	static char piece[65536];
	struct gather *gather = data;
	ssize_t n = read(fd, piece, sizeof(piece));

	(void)source, (void)events;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0 && gather->text.used + (size_t)n <= gather->max) {
		strbuf_add_bytes(&gather->text, piece, (size_t)n);
		return 0;
	}
	if (n > 0)
		err_set(&gather->err, ERR_TOO_LARGE, NULL,
			"this has more than %zu bytes, too much for one answer", gather->max);
	end_gathering(gather);
	return 0;
}

static void gather_replied(void *data, const struct driver_reply *reply)
{
	struct gather *gather = data;

	gather->replied = true;
	if (reply->result < 0 && gather->err.code == ERR_OK)
		gather->err = reply->error;
	/* A driver that died may have left its end of the pipe to somebody. */
	if (reply->result < 0 && !gather->ended)
		end_gathering(gather);
	else
		settle(gather);
}

int piped_gather(struct agent *agent, struct driver_client *client,
	const struct driver_request *call, size_t max, gathered_fn gathered, void *data,
	struct err *err)
{
	struct gather *gather = calloc(1, sizeof(*gather));
	int r;

	if (!gather)
		return err_errno(err, ENOMEM, "cannot ask the driver");
	*gather = (struct gather){.fd = -1, .max = max, .gathered = gathered, .data = data};
	r = call_with_pipe(client, call, gather_replied, gather, err);
	if (r < 0) {
		free(gather);
		return r;
	}
	gather->fd = r;
	r = sd_event_add_io(
		agent->loop, &gather->readable, gather->fd, EPOLLIN, gather_readable, gather);
	if (r < 0) {
		gather->fd = fd_close(gather->fd);
		gather->ended = true;
		err_errno(&gather->err, r, "cannot ask the driver");
	}
	return 0;
}
