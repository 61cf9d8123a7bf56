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

static void become_process(struct remote *w, pid_t host, int reports, int orders)
{
	struct source source = {.reports = reports, .orders = orders};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != host)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	close_all_but(reports, orders);
	w->ops->run(w->data, &source);
	_exit(1);
}

static void start_again_later(struct remote *w)
{
	timerfd_settime(w->timer, 0, &(struct itimerspec){.it_value.tv_sec = AGAIN_S}, NULL);
}

static int start(struct remote *w)
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
	w->pid = fork();
	if (w->pid == 0)
		become_process(w, host, up[1], down[0]);
	close(up[1]);
	close(down[0]);
	w->reports = up[0];
	w->orders = down[1];
	fcntl(w->reports, F_SETFL, O_NONBLOCK);
	fcntl(w->orders, F_SETFL, O_NONBLOCK);
	if (w->pid < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->reports, &event) < 0)
		return -errno;
	return 0;
}

static void end(struct remote *w)
{
	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (w->reports >= 0) /* children of the host may hold it open */
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->reports, NULL);
	w->pid = 0;
	w->there = false;
	w->reports = fd_close(w->reports);
	w->orders = fd_close(w->orders);
}

/* --- What was told -----------------------------------------------------------------------------
 */

static struct entry *find_or_add(struct remote *w, const char *id)
{
	struct entry *e;

	HASH_FIND_STR(w->entries, id, e);
	if (e || !(e = calloc(1, sizeof(*e))))
		return e;
	snprintf(e->told.id, sizeof(e->told.id), "%s", id);
	e->told.state = GUEST_UNKNOWN;
	HASH_ADD_STR(w->entries, told.id, e);
	return e;
}

static void forget(struct remote *w, const char *id, driver_event_fn event, void *data)
{
	struct entry *e;

	HASH_FIND_STR(w->entries, id, e);
	if (!e)
		return;
	told_state(&e->told, GUEST_STOPPED, false, event, data);
	HASH_DEL(w->entries, e);
	free(e);
}

static void away(struct remote *w, driver_event_fn event, void *data)
{
	w->there = false;
	for (struct entry *e = w->entries; e; e = e->hh.next)
		told_state(&e->told, GUEST_UNKNOWN, false, event, data);
}

/* --- Dispatching -------------------------------------------------------------------------------
 */

static void take(struct remote *w, const struct source_report *r, driver_event_fn event, void *data)
{
	struct entry *e;

	switch (r->kind) {
	case SOURCE_AWAY: away(w, event, data); return;
	case SOURCE_THERE: w->there = true; return;
	case SOURCE_GONE: forget(w, r->status.id, event, data); return;
	case SOURCE_STATUS:
		e = find_or_add(w, r->status.id);
		if (e)
			told_status(&e->told, &r->status, r->asked, event, data);
		return;
	}
}

static void take_reports(struct remote *w, driver_event_fn event, void *data)
{
	struct source_report r;
	ssize_t n = 0;

	while (w->reports >= 0 && (n = read(w->reports, &r, sizeof(r))) == sizeof(r))
		take(w, &r, event, data);
	if (w->reports < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	end(w);
	away(w, event, data);
	start_again_later(w);
}

static void start_if_due(struct remote *w)
{
	uint64_t ticks;

	if (read(w->timer, &ticks, sizeof(ticks)) < 0 || w->pid > 0)
		return;
	if (start(w) < 0) {
		end(w);
		start_again_later(w);
	}
}

/* Nobody can be asked: what was not told before is not known now. */
static void tell_of_one(struct remote *w, const char *id, driver_event_fn event, void *data)
{
	struct entry *e = w->ops->defined(w->data, id) ? find_or_add(w, id) : NULL;

	if (e)
		told_state(&e->told, GUEST_UNKNOWN, true, event, data);
	else
		forget(w, id, event, data);
}

static void order(struct remote *w, const char *id)
{
	struct source_order o = {0};

	snprintf(o.id, sizeof(o.id), "%s", id);
	/* It has been stuck for long. A new one looks at all. */
	if (write(w->orders, &o, sizeof(o)) != sizeof(o))
		kill(w->pid, SIGKILL);
}

void remote_dispatch(struct remote *w, const char *id, driver_event_fn event, void *data)
{
	take_reports(w, event, data);
	start_if_due(w);
	if (!id)
		return;
	if (w->there)
		order(w, id);
	else
		tell_of_one(w, id, event, data);
}

/* --- Instances ---------------------------------------------------------------------------------
 */

int remote_fd(const struct remote *w)
{
	return w->epoll;
}

int remote_create(const struct remote_ops *ops, void *data, struct remote **ret, struct err *err)
{
	struct remote *w = calloc(1, sizeof(*w));
	struct epoll_event event = {.events = EPOLLIN};
	int r = 0;

	if (!w)
		return err_errno(err, ENOMEM, "no memory for a watcher");
	*w = (struct remote){.ops = ops, .data = data, .reports = -1, .orders = -1};
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->epoll < 0 || w->timer < 0 ||
		epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &event) < 0)
		r = -errno;
	if (r == 0)
		r = start(w);
	if (r < 0) {
		remote_free(w);
		return err_errno(err, r, "cannot watch guests");
	}
	*ret = w;
	return 0;
}

struct remote *remote_free(struct remote *w)
{
	struct entry *e, *next;

	if (!w)
		return NULL;
	end(w);
	HASH_ITER (hh, w->entries, e, next) {
		HASH_DEL(w->entries, e);
		free(e);
	}
	fd_close(w->timer);
	fd_close(w->epoll);
	free(w);
	return NULL;
}
