/* Watching guests by pidfd. */
#include "drivers/watch/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/watch/told.h"

#define SETTLE_NS 10000000L
#define EVENTS	  64

struct entry {
	struct told told;
	int fds[WATCH_PIDS];
	bool dirty;    /* has to be looked at */
	bool settling; /* has to be looked at when the timer fires */
	UT_hash_handle hh;
};

struct watch {
	watch_look_fn look;
	void *data;
	int epoll, timer;
	struct entry *entries;
};

int watch_create(watch_look_fn look, void *data, struct watch **ret, struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return err_errno(err, ENOMEM, "no memory to watch guests");
	w->look = look;
	w->data = data;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	/* Without an entry: the timer. */
	if (w->epoll < 0 || w->timer < 0 ||
		epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer,
			&(struct epoll_event){.events = EPOLLIN}) < 0) {
		int errnum = errno;

		watch_free(w);
		return err_errno(err, errnum, "cannot watch guests");
	}
	*ret = w;
	return 0;
}

/* Taken out by name: closing alone does not do it while a forked call still holds the pidfd. */
static void disarm(struct watch *w, struct entry *e)
{
	for (size_t i = 0; i < WATCH_PIDS; i++) {
		if (e->fds[i] >= 0)
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, e->fds[i], NULL);
		e->fds[i] = fd_close(e->fds[i]);
	}
}

static void drop(struct watch *w, struct entry *e)
{
	HASH_DEL(w->entries, e);
	disarm(w, e);
	free(e);
}

struct watch *watch_free(struct watch *w)
{
	struct entry *e, *next;

	if (!w)
		return NULL;
	HASH_ITER (hh, w->entries, e, next)
		drop(w, e);
	fd_close(w->epoll);
	fd_close(w->timer);
	free(w);
	return NULL;
}

int watch_fd(const struct watch *w)
{
	return w->epoll;
}

static struct entry *find_or_add(struct watch *w, const char *id)
{
	struct entry *e;

	HASH_FIND_STR(w->entries, id, e);
	if (e || !(e = calloc(1, sizeof(*e))))
		return e;
	snprintf(e->told.id, sizeof(e->told.id), "%s", id);
	e->told.state = GUEST_STOPPED;
	for (size_t i = 0; i < WATCH_PIDS; i++)
		e->fds[i] = -1;
	HASH_ADD_STR(w->entries, told.id, e);
	return e;
}

/* Waits for these processes instead of the former ones; false when one is gone already. */
static bool arm(struct watch *w, struct entry *e, const struct watch_look *look)
{
	bool all = true;

	disarm(w, e);
	for (size_t i = 0; i < WATCH_PIDS; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};

		if (look->pids[i] == 0)
			continue;
		e->fds[i] = process_pidfd(look->pids[i]);
		if (e->fds[i] < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, e->fds[i], &event) < 0)
			all = false;
	}
	return all;
}

/* Waits for the guest's processes, and sees to it that what it waits for is what was looked at: a
 * pid may have passed to another process in between. */
static bool look_and_arm(struct watch *w, struct entry *e, struct watch_look *look)
{
	struct watch_look first = *look;
	bool armed = arm(w, e, &first);

	if (first.pids[0] == 0 && first.pids[1] == 0)
		return true;
	*look = (struct watch_look){0};
	if (!w->look(w->data, e->told.id, look))
		return false;
	if (!armed || memcmp(first.pids, look->pids, sizeof(first.pids)) != 0)
		look->settling = true;
	return true;
}

static void forget(struct watch *w, const char *id, driver_event_fn event, void *data)
{
	struct entry *e;

	HASH_FIND_STR(w->entries, id, e);
	if (!e)
		return;
	told_state(&e->told, GUEST_STOPPED, false, event, data);
	drop(w, e);
}

/* `anyway`: also when nothing changed: a guest that was started and has ended already is what it
 * was before, and whoever started it has to know. */
static void update(struct watch *w, const char *id, bool anyway, driver_event_fn event, void *data)
{
	struct watch_look look = {0};
	struct entry *e;

	if (!w->look(w->data, id, &look) || !(e = find_or_add(w, id)) ||
		!look_and_arm(w, e, &look)) {
		forget(w, id, event, data);
		return;
	}
	e->dirty = false;
	e->settling = look.settling;
	if (e->settling)
		timerfd_settime(
			w->timer, 0, &(struct itimerspec){.it_value.tv_nsec = SETTLE_NS}, NULL);
	told_status(&e->told, &look.status, anyway, event, data);
}

/* Marks what the descriptor is readable for. */
static void collect(struct watch *w)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(w->epoll, events, EVENTS, 0);
	bool timer = false;
	uint64_t ticks;

	for (int i = 0; i < n; i++) {
		struct entry *e = events[i].data.ptr;

		if (e)
			e->dirty = true;
		else
			timer = read(w->timer, &ticks, sizeof(ticks)) > 0;
	}
	for (struct entry *e = w->entries; timer && e; e = e->hh.next)
		e->dirty |= e->settling;
}

void watch_dispatch(struct watch *w, const char *id, driver_event_fn event, void *data)
{
	struct entry *e, *next;

	if (id) {
		update(w, id, true, event, data);
		return;
	}
	collect(w);
	HASH_ITER (hh, w->entries, e, next) {
		/* The entry may go, and its id with it. */
		char copy[GUEST_ID_LEN + 1];

		if (!e->dirty)
			continue;
		memcpy(copy, e->told.id, sizeof(copy));
		update(w, copy, false, event, data);
	}
}

/* Nothing is taken out of the epoll, which is shared with the process that watches. */
void watch_leave(const struct watch *w)
{
	if (!w)
		return;
	for (const struct entry *e = w->entries; e; e = e->hh.next)
		for (size_t i = 0; i < WATCH_PIDS; i++)
			fd_close(e->fds[i]);
	fd_close(w->timer);
	fd_close(w->epoll);
}
