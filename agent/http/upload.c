/* Uploads: the body goes into a pipe as fast as its reader takes it. When the pipe is full the
 * request is suspended, so the client waits in its own send(). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#define PIPE_SIZE (256 * 1024)

int http_stream_to_pipe(struct http_request *request, struct err *err)
{
	AUTOCLOSE int reader = -1, writer = -1;
	int r;

	if (request->upload.connected)
		return err_set(err, ERR_INTERNAL, NULL, "the body goes into a pipe already");
	r = file_pipe(&reader, &writer, 0);
	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	if (fcntl(writer, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	/* Only a convenience: an unprivileged user may have used up what is granted. */
	(void)fcntl(writer, F_SETPIPE_SZ, PIPE_SIZE);
	request->upload.connected = true;
	/* Else nothing more comes: an empty body is over, a cut one as well. */
	if (request->connection && !request->upload.complete)
		request->upload.fd = TAKE_FD(writer);
	if (request->phase == REQUEST_BODY)
		request_resume(request);
	return TAKE_FD(reader);
}

int http_stream_whole(struct http_request *request, struct err *err)
{
	AUTOCLOSE int writer = -1;
	int reader, r = file_pipe(&reader, &writer, 0);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	if (request->connection)
		request->upload.whole_fd = TAKE_FD(writer);
	return reader;
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source, (void)fd, (void)events;
	request_resume(data);
	return 0;
}

static int wait_for_room(struct http_request *request)
{
	int r = sd_event_add_io(request->server->loop, &request->upload.writable,
		request->upload.fd, EPOLLOUT, on_writable, request);

	if (r < 0)
		return r;
	request_suspend(request);
	return 0;
}

/* The reader wants no more, or the pipe fails: what still comes is thrown away. */
static void stop(struct http_request *request)
{
	request->upload.fd = fd_close(request->upload.fd);
}

static void put(struct http_request *request, const char *data, size_t *size)
{
	size_t done = 0;

	while (done < *size) {
		ssize_t n = write(request->upload.fd, data + done, *size - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN && wait_for_room(request) == 0) {
			break;
		} else if (errno != EINTR) {
			stop(request);
			done = *size;
		}
	}
	*size -= done;
}

void upload_take(struct http_request *request, const char *data, size_t *size)
{
	if (request->upload.fd >= 0)
		put(request, data, size);
	else if (request->upload.connected)
		*size = 0;
	else
		request_suspend(request); /* until there is a pipe, or an answer */
}

void upload_end(struct http_request *request)
{
	request->upload.complete = true;
	/* A pipe has room for a byte; where nobody reads it any more, nobody wants to know. */
	if (request->upload.whole_fd >= 0 && write(request->upload.whole_fd, "", 1) < 0)
		log_debug("http.whole_untold", "errno=%d", errno);
	upload_finish(&request->upload);
}

void upload_finish(struct upload *upload)
{
	upload->writable = sd_event_source_disable_unref(upload->writable);
	upload->fd = fd_close(upload->fd);
	upload->whole_fd = fd_close(upload->whole_fd);
}
