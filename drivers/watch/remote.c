/* The host's side of watching: starts the process again when it ends, and keeps what was last told
 * of each guest. */
#include "drivers/watch/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/watch/source.h"
#include "drivers/watch/source_internal.h"
#include "drivers/watch/told.h"

#define AGAIN_S 1

struct entry {
	struct told told;
	UT_hash_handle hh;
};

struct remote {
	const struct remote_ops *ops;
	void *data;
	pid_t pid; /* 0: it does not run */
	int reports, orders;
	int epoll;
	int timer;  /* when to start it again */
	bool there; /* who is asked is */
	struct entry *entries;
};

/* --- The process -------------------------------------------------------------------------------
 */

/* It must hold nothing open that belongs to the host, whose end others wait for. */
static void close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static void become_process(struct remote *remote, pid_t host, int reports, int orders)
{
	struct source source = {.reports = reports, .orders = orders};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != host)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	close_all_but(reports, orders);
	remote->ops->run(remote->data, &source);
	_exit(1);
}

static void start_again_later(struct remote *remote)
{
	timerfd_settime(remote->timer, 0, &(struct itimerspec){.it_value.tv_sec = AGAIN_S}, NULL);
}

static int start(struct remote *remote)
{
	struct epoll_event event = {.events = EPOLLIN};
	int up[2], down[2];
	pid_t host = getpid();

	if (pipe2(up, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(down, O_CLOEXEC) < 0) {
		int r = -errno;

		close(up[0]);
		close(up[1]);
		return r;
	}
	remote->pid = fork();
	if (remote->pid == 0)
		become_process(remote, host, up[1], down[0]);
	close(up[1]);
	close(down[0]);
	remote->reports = up[0];
	remote->orders = down[1];
	fcntl(remote->reports, F_SETFL, O_NONBLOCK);
	fcntl(remote->orders, F_SETFL, O_NONBLOCK);
	if (remote->pid < 0 || epoll_ctl(remote->epoll, EPOLL_CTL_ADD, remote->reports, &event) < 0)
		return -errno;
	return 0;
}

static void end(struct remote *remote)
{
	if (remote->pid > 0) {
		kill(remote->pid, SIGKILL);
		while (waitpid(remote->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (remote->reports >= 0) /* children of the host may hold it open */
		epoll_ctl(remote->epoll, EPOLL_CTL_DEL, remote->reports, NULL);
	remote->pid = 0;
	remote->there = false;
	remote->reports = fd_close(remote->reports);
	remote->orders = fd_close(remote->orders);
}

/* --- What was told -----------------------------------------------------------------------------
 */

static struct entry *find_or_add(struct remote *remote, const char *id)
{
	struct entry *e;

	HASH_FIND_STR(remote->entries, id, e);
	if (e || !(e = calloc(1, sizeof(*e))))
		return e;
	snprintf(e->told.id, sizeof(e->told.id), "%s", id);
	e->told.state = GUEST_UNKNOWN;
	HASH_ADD_STR(remote->entries, told.id, e);
	return e;
}

static void forget(struct remote *remote, const char *id, driver_event_fn event, void *data)
{
	struct entry *e;

	HASH_FIND_STR(remote->entries, id, e);
	if (!e)
		return;
	told_state(&e->told, GUEST_STOPPED, false, event, data);
	HASH_DEL(remote->entries, e);
	free(e);
}

static void away(struct remote *remote, driver_event_fn event, void *data)
{
	remote->there = false;
	for (struct entry *e = remote->entries; e; e = e->hh.next)
		told_state(&e->told, GUEST_UNKNOWN, false, event, data);
}

/* --- Dispatching -------------------------------------------------------------------------------
 */

static void take(
	struct remote *remote, const struct source_report *r, driver_event_fn event, void *data)
{
	struct entry *e;

	switch (r->kind) {
	case SOURCE_AWAY: away(remote, event, data); return;
	case SOURCE_THERE: remote->there = true; return;
	case SOURCE_GONE: forget(remote, r->status.id, event, data); return;
	case SOURCE_STATUS:
		e = find_or_add(remote, r->status.id);
		if (e)
			told_status(&e->told, &r->status, r->asked, event, data);
		return;
	}
}

static void take_reports(struct remote *remote, driver_event_fn event, void *data)
{
	struct source_report r;
	ssize_t n = 0;

	while (remote->reports >= 0 && (n = read(remote->reports, &r, sizeof(r))) == sizeof(r))
		take(remote, &r, event, data);
	if (remote->reports < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	end(remote);
	away(remote, event, data);
	start_again_later(remote);
}

static void start_if_due(struct remote *remote)
{
	uint64_t ticks;

	if (read(remote->timer, &ticks, sizeof(ticks)) < 0 || remote->pid > 0)
		return;
	if (start(remote) < 0) {
		end(remote);
		start_again_later(remote);
	}
}

/* Nobody can be asked: what was not told before is not known now. */
static void tell_of_one(struct remote *remote, const char *id, driver_event_fn event, void *data)
{
	struct entry *e = remote->ops->defined(remote->data, id) ? find_or_add(remote, id) : NULL;

	if (e)
		told_state(&e->told, GUEST_UNKNOWN, true, event, data);
	else
		forget(remote, id, event, data);
}

static void order(struct remote *remote, const char *id)
{
	struct source_order o = {0};

	snprintf(o.id, sizeof(o.id), "%s", id);
	/* It has been stuck for long. A new one looks at all. */
	if (write(remote->orders, &o, sizeof(o)) != sizeof(o))
		kill(remote->pid, SIGKILL);
}

void remote_dispatch(struct remote *remote, const char *id, driver_event_fn event, void *data)
{
	take_reports(remote, event, data);
	start_if_due(remote);
	if (!id)
		return;
	if (remote->there)
		order(remote, id);
	else
		tell_of_one(remote, id, event, data);
}

/* --- Instances ---------------------------------------------------------------------------------
 */

int remote_fd(const struct remote *remote)
{
	return remote->epoll;
}

int remote_create(const struct remote_ops *ops, void *data, struct remote **ret, struct err *err)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	struct epoll_event event = {.events = EPOLLIN};
	int r = 0;

	if (!remote)
		return err_errno(err, ENOMEM, "no memory for a watcher");
	*remote = (struct remote){.ops = ops, .data = data, .reports = -1, .orders = -1};
	remote->epoll = epoll_create1(EPOLL_CLOEXEC);
	remote->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (remote->epoll < 0 || remote->timer < 0 ||
		epoll_ctl(remote->epoll, EPOLL_CTL_ADD, remote->timer, &event) < 0)
		r = -errno;
	if (r == 0)
		r = start(remote);
	if (r < 0) {
		remote_free(remote);
		return err_errno(err, r, "cannot watch guests");
	}
	*ret = remote;
	return 0;
}

struct remote *remote_free(struct remote *remote)
{
	struct entry *e, *next;

	if (!remote)
		return NULL;
	end(remote);
	HASH_ITER (hh, remote->entries, e, next) {
		HASH_DEL(remote->entries, e);
		free(e);
	}
	fd_close(remote->timer);
	fd_close(remote->epoll);
	free(remote);
	return NULL;
}
