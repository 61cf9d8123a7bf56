/* An answer of dockerd's comes by a function that is given its bytes; so that they can be asked
 * for, a pipe lies between. */
#include "drivers/docker/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

static int stop(struct err *err)
{
	return err_set(err, ERR_CANCELLED, NULL, "nobody reads on");
}

static int pass_on(void *data, const char *bytes, size_t size, struct err *err)
{
	const struct fetch *fetch = data;

	return file_write_all(fetch->to, bytes, size) < 0 ? stop(err) : 0;
}

/* Somebody closed the other end. */
static int give_up(void *data, struct err *err)
{
	(void)data;
	return stop(err);
}

static void *run(void *data)
{
	struct fetch *fetch = data;

	fetch->result = engine_call(fetch->engine, &fetch->request, NULL, &fetch->why);
	fetch->to = fd_close(fetch->to);
	return NULL;
}

int fetch_begin(struct fetch *fetch, const char *socket, uint64_t timeout_ms, struct err *err)
{
	int r = engine_open(socket, timeout_ms, &fetch->engine, err);

	if (r < 0)
		return r;
	r = file_pipe(&fetch->from, &fetch->to, 0);
	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	fetch->request.sink = pass_on;
	fetch->request.also = give_up;
	fetch->request.also_fd = fetch->to;
	fetch->request.data = fetch;
	fetch->begun = pthread_create(&fetch->thread, NULL, run, fetch) == 0;
	return fetch->begun ? 0 : err_errno(err, EAGAIN, "cannot start a thread");
}

static void join(struct fetch *fetch)
{
	if (fetch->begun)
		pthread_join(fetch->thread, NULL);
	fetch->begun = false;
}

int fetch_wait(struct fetch *fetch, struct err *err)
{
	join(fetch);
	if (fetch->result < 0 && err)
		*err = fetch->why;
	return fetch->result;
}

static void close_end(int *fd)
{
	if (*fd > 0)
		*fd = fd_close(*fd);
}

void fetch_finish(struct fetch *fetch)
{
	close_end(&fetch->from);
	join(fetch);
	close_end(&fetch->to);
	fetch->engine = engine_close(fetch->engine);
}
