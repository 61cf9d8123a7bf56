/* dockerd's events. They tell which guest to look at, and are asked for from just before all were
 * looked at: dockerd keeps the last ones. One that hangs goes on holding the connection; so it is
 * asked now and then, by another one, whether it is still there. */
#include "drivers/docker/events.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/definition.h"
#include "drivers/docker/define.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/guest.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/look.h"
#include "drivers/docker/reply.h"
#include "drivers/watch/remote.h"
#include "drivers/watch/source.h"

/* What does not answer twice in a row is away. */
#define PING_EVERY_S 2
#define PING_MS	     3000
#define PING_TRIES   2

/* No event tells when a container's program has begun, or when dockerd has heard whether it is
 * frozen: what is on its way there is looked at again. */
#define HELD_MS 100

#define LOOK_MS	  4000 /* of the five seconds that there are */
#define STUCK_MS  500  /* for one of which dockerd did not say in that time what it is */
#define MARGIN_MS 1000 /* clocks are set */

struct process {
	struct docker *docker;
	const struct source *source;
	struct engine *engine;
	struct lines lines;
	int64_t since_ms;
	/* By id: guests whose program has not begun, and those that dockerd says nothing of. */
	json_t *held, *stuck;
	int held_timer, ping_timer;
	int also; /* epoll: orders of the host, the timers */
	bool lost;
};

/* --- What is asked --------------------------------------------------------------------------- */

/* All that changes what a guest is; execs would wake it for nothing. */
static char *filters_of(const struct docker *docker)
{
	json_t *filters = guest_filters(docker, NULL);
	char *text;

	json_object_set_new(filters, "type", json_pack("[s]", "container"));
	json_object_set_new(filters, "event",
		json_pack("[s s s s s s s]", "create", "start", "die", "pause", "unpause", "rename",
			"destroy"));
	text = json_dumps(filters, JSON_COMPACT);
	json_decref(filters);
	return text;
}

static int on_event(void *data, json_t *event, struct err *err)
{
	const struct process *p = data;
	const json_t *attributes = reply_at(event, "Actor.Attributes");
	const char *id = json_string_value(json_object_get(attributes, LABEL_GUEST));

	if (id && name_check_id(id, GUEST_ID_LEN, "id", NULL) == 0)
		source_look(p->source, id);
	return p->lost ? err_set(err, ERR_UNAVAILABLE, NULL, "dockerd is away") : 0;
}

static int on_bytes(void *data, const char *bytes, size_t size, struct err *err)
{
	struct process *p = data;

	return lines_take(&p->lines, bytes, size, err);
}

static int ping(const struct process *p, struct err *err)
{
	int r = -1;

	for (unsigned i = 0; r < 0 && i < PING_TRIES; i++) {
		AUTOENGINE struct engine *engine = NULL;

		r = engine_open(p->docker->socket, PING_MS, &engine, err);
	}
	return r;
}

/* Empties the set; looking at them fills it again. */
static void look_at_held(struct process *p)
{
	json_t *held = p->held;
	const char *id;
	json_t *value;

	p->held = json_object();
	json_object_foreach (held, id, value)
		source_look(p->source, id);
	json_decref(held);
}

static void look_at_stuck(const struct process *p)
{
	json_t *stuck = json_copy(p->stuck), *value;
	const char *id;

	json_object_foreach (stuck, id, value)
		source_look(p->source, id);
	json_decref(stuck);
}

static bool has_ticked(int timer)
{
	uint64_t ticks;

	return read(timer, &ticks, sizeof(ticks)) > 0;
}

static int on_also(void *data, struct err *err)
{
	struct process *p = data;
	struct pollfd orders = {.fd = p->source->orders, .events = POLLIN};
	int r = 0;

	if (poll(&orders, 1, 0) == 1)
		source_take_order(p->source);
	if (has_ticked(p->held_timer))
		look_at_held(p);
	if (has_ticked(p->ping_timer)) {
		r = ping(p, err);
		if (r == 0)
			look_at_stuck(p);
	}
	return r == 0 && p->lost ? err_set(err, ERR_UNAVAILABLE, NULL, "dockerd is away") : r;
}

/* --- As a source ----------------------------------------------------------------------------- */

static bool open_connection(void *data)
{
	struct process *p = data;

	p->lost = false;
	p->since_ms = clock_realtime_ms() - MARGIN_MS;
	p->lines = (struct lines){.object = on_event, .data = p};
	p->held = json_object();
	p->stuck = json_object();
	return engine_open(p->docker->socket, 0, &p->engine, NULL) == 0;
}

static void disconnect(void *data)
{
	struct process *p = data;

	p->engine = engine_close(p->engine);
	lines_finish(&p->lines);
	json_decref(p->held);
	json_decref(p->stuck);
	p->held = p->stuck = NULL;
}

/* Until the stream ends, however it does. */
static void serve(void *data)
{
	struct process *p = data;
	AUTOFREE char *filters = filters_of(p->docker);
	char since[32];

	snprintf(since, sizeof(since), "%" PRId64 ".%03d", p->since_ms / 1000,
		(int)(p->since_ms % 1000));
	if (p->lost || !filters)
		return;
	engine_call(p->engine,
		&(struct engine_request){.path = "/events",
			.query = {{"since", since}, {"filters", filters}},
			.sink = on_bytes,
			.also = on_also,
			.also_fd = p->also,
			.data = p},
		NULL, NULL);
}

static void hold(struct process *p, const char *id)
{
	struct itimerspec soon = {.it_value.tv_nsec = HELD_MS * 1000000L};

	/* Who comes later does not put off who waits. */
	if (json_object_size(p->held) == 0)
		timerfd_settime(p->held_timer, 0, &soon, NULL);
	json_object_set_new(p->held, id, json_true());
}

/* dockerd says nothing of a container that something in it hangs of, nor tells when that ends: it
 * is looked at now and then, and costs the others little. */
static void note_stuck(const struct process *p, const char *id, bool stuck)
{
	if (stuck)
		json_object_set_new(p->stuck, id, json_true());
	else
		json_object_del(p->stuck, id);
}

/* That there is no dockerd, nothing would tell the end of: so all begins anew. */
static bool look(void *data, const char *id, struct driver_status *ret)
{
	AUTOENGINE struct engine *engine = NULL;
	struct process *p = data;
	bool stuck = json_object_get(p->stuck, id), again = false;

	engine_open(p->docker->socket, stuck ? STUCK_MS : LOOK_MS, &engine, NULL);
	p->lost |= !engine && !stuck;
	if (!look_by(engine, p->docker, id, ret, &again)) {
		note_stuck(p, id, false);
		return false;
	}
	note_stuck(p, id, ret->state == GUEST_UNKNOWN);
	if (again)
		hold(p, id);
	return true;
}

static bool is_defined(void *data, const char *id)
{
	return look_is_defined(data, id);
}

static bool list_one(void *data, const char *id, struct driver_status *ret)
{
	*ret = (struct driver_status){.state = GUEST_UNKNOWN, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return is_defined(data, id);
}

/* Asked for when dockerd is there again: what it could not let go of before, it does now. */
static int list(void *data, struct driver_status **ret, size_t *ret_count)
{
	AUTOENGINE struct engine *engine = NULL;
	const struct process *p = data;

	if (engine_open(p->docker->socket, LOOK_MS, &engine, NULL) == 0)
		destroy_remains(engine, p->docker);
	return definition_list(p->docker->dirs.state, list_one, p->docker, ret, ret_count, NULL);
}

static bool add(const struct process *p, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(p->also, EPOLL_CTL_ADD, fd, &event) == 0;
}

static const struct source_ops SOURCE = {
	.open = open_connection,
	.serve = serve,
	.close = disconnect,
	.look = look,
	.list = list,
};

static void run(void *data, struct source *source)
{
	struct itimerspec often = {
		.it_value.tv_sec = PING_EVERY_S, .it_interval.tv_sec = PING_EVERY_S};
	struct process p = {.docker = data, .source = source};

	p.ping_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	p.held_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	p.also = epoll_create1(EPOLL_CLOEXEC);
	if (p.also >= 0 && timerfd_settime(p.ping_timer, 0, &often, NULL) == 0 &&
		add(&p, p.ping_timer) && add(&p, p.held_timer) && add(&p, source->orders))
		source_run(source, &SOURCE, &p);
}

/* --- The host's side ------------------------------------------------------------------------- */

int events_watch(struct docker *docker, struct remote **ret, struct err *err)
{
	static const struct remote_ops ops = {.run = run, .defined = is_defined};

	return remote_create(&ops, docker, ret, err);
}
