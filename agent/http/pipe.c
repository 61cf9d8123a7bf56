/* Answers that come out of a pipe: libmicrohttpd takes from it what the client's socket has room
 * for, so that a slow client makes the writer wait, and nothing gathers here. An empty pipe leaves
 * the connection suspended. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/log.h"

#define BLOCK (256 * 1024)

struct http_pipe {
	struct http_request *request;
	int fd;	      /* -1: at its end */
	int64_t size; /* -1: not known */
	sd_event_source *readable;
	bool ended, whole; /* said by its owner */
	void (*gone)(void *data);
	void *data;
};

static void set_timeout(const struct http_request *request, unsigned seconds)
{
	MHD_set_connection_option(request->connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

struct http_pipe *http_respond_pipe(struct http_request *request, unsigned status,
	const char *content_type, const struct http_pipe_source *source)
{
	struct http_pipe *pipe;

	if (!request->connection || request->head) {
		fd_close(source->fd);
		request->answer.length = source->size;
		http_respond_text(request, status, content_type, "", 0);
		return NULL;
	}
	pipe = calloc(1, sizeof(*pipe));
	if (!pipe || fcntl(source->fd, F_SETFL, O_NONBLOCK) < 0) {
		free(pipe);
		fd_close(source->fd);
		http_respond_empty(request, 503);
		return NULL;
	}
	*pipe = (struct http_pipe){.request = request,
		.fd = source->fd,
		.size = source->size,
		.gone = source->gone,
		.data = source->data};
	request->pipe = pipe;
	set_timeout(request, request->server->config.stall_s);
	http_respond_text(request, status, content_type, "", 0);
	return pipe;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct http_pipe *pipe = data;

	(void)source, (void)fd, (void)events;
	pipe->readable = sd_event_source_disable_unref(pipe->readable);
	request_resume(pipe->request);
	return 0;
}

static ssize_t wait_for_bytes(struct http_pipe *pipe)
{
	if (sd_event_add_io(pipe->request->server->loop, &pipe->readable, pipe->fd, EPOLLIN,
		    on_readable, pipe) < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	request_suspend(pipe->request);
	return 0;
}

/* The pipe is empty for ever; only its owner knows whether that is the end. */
static ssize_t wait_for_verdict(struct http_pipe *pipe)
{
	if (pipe->ended)
		return pipe->whole ? MHD_CONTENT_READER_END_OF_STREAM
				   : MHD_CONTENT_READER_END_WITH_ERROR;
	request_suspend(pipe->request);
	return 0;
}

static ssize_t next_piece(void *data, uint64_t position, char *buf, size_t max)
{
	struct http_pipe *pipe = data;
	ssize_t n;

	(void)position;
	if (pipe->request->gone || pipe->request->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (pipe->fd < 0)
		return wait_for_verdict(pipe);
	do
		n = read(pipe->fd, buf, max);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN)
		return wait_for_bytes(pipe);
	if (n < 0) {
		log_warning("http.pipe_failed", "errno=%d", errno);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	pipe->fd = fd_close(pipe->fd);
	return wait_for_verdict(pipe);
}

struct MHD_Response *pipe_response(struct http_pipe *pipe)
{
	uint64_t size = pipe->size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)pipe->size;

	return MHD_create_response_from_callback(size, BLOCK, next_piece, pipe, NULL);
}

void http_pipe_end(struct http_pipe *pipe, bool whole)
{
	pipe->ended = true;
	pipe->whole = whole;
	pipe->gone = NULL;
	/* What is still in the pipe is sent first. */
	if (pipe->fd < 0)
		request_resume(pipe->request);
}

void pipe_finish(struct http_pipe *pipe)
{
	set_timeout(pipe->request, pipe->request->server->config.idle_s);
	sd_event_source_disable_unref(pipe->readable);
	fd_close(pipe->fd);
	if (pipe->gone)
		pipe->gone(pipe->data);
	free(pipe);
}
