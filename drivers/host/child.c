/* A call in a forked child: its own process group, dying with the host, its answer on a socket pair
 * so that an answer cut off half way never reaches the agent as if it were whole. */
#include "drivers/host/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "drivers/protocol/message.h"
#include "drivers/protocol/wire.h"

int host_send_reply(
	int socket, uint64_t serial, enum driver_call call, const struct driver_reply *reply)
{
	size_t next = 0;
	bool more;

	do {
		AUTOFREE char *text = message_encode_reply(serial, call, reply, &next, &more);
		int r = text ? wire_send(socket, text, NULL, 0, 0) : -ENOMEM;

		if (r < 0)
			return r;
	} while (more);
	return 0;
}

/* In the child. Only the host's own handlers and descriptors are undone: what the driver opened
 * for itself stays usable. */
static void run(
	struct driver *driver, const struct driver_request *request, const struct host_child *child)
{
	struct driver_info info = {0};
	struct driver_reply reply;

	signal(SIGPIPE, SIG_DFL);
	driver_call_run(driver, request, &info, &reply);
	_exit(host_send_reply(child->channel, child->serial, request->call, &reply) < 0);
}

static int64_t deadline_of(const struct driver_request *request)
{
	uint64_t ms = driver_call_deadline_ms(request);

	return ms ? clock_monotonic_ns() + (int64_t)ms * 1000000 : 0;
}

int host_child_start(struct host_child *c, struct driver *driver,
	const struct driver_request *request, const int *close_fds, size_t count)
{
	pid_t host = getpid();
	int pair[2], r;

	r = wire_pair(pair);
	if (r < 0)
		return r;
	c->pid = fork();
	if (c->pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != host)
			_exit(1);
		for (size_t i = 0; i < count; i++)
			fd_close(close_fds[i]);
		fd_close(pair[0]);
		c->channel = pair[1];
		run(driver, request, c);
	}
	fd_close(pair[1]);
	c->channel = pair[0];
	if (c->pid < 0) {
		r = -errno;
		c->pid = 0;
		c->channel = fd_close(c->channel);
		return r;
	}
	setpgid(c->pid, c->pid);
	c->pidfd = process_pidfd(c->pid);
	c->deadline_ns = deadline_of(request);
	c->late = false;
	c->relayed = false;
	return 0;
}

void host_child_cut(struct host_child *c)
{
	kill(-c->pid, SIGKILL);
	kill(c->pid, SIGKILL);
	c->late = true;
	c->deadline_ns = 0;
}

bool host_child_reap(struct host_child *c)
{
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	/* Whatever it left in its group ends with the call. */
	kill(-c->pid, SIGKILL);
	c->pidfd = fd_close(c->pidfd);
	c->channel = fd_close(c->channel);
	c->pid = 0;
	return c->relayed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
