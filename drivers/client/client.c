/* A driver's process, seen from the agent. One small state machine: idle, greeting, up, paused;
 * whatever goes wrong (death, garbage, silence) leads through down() to a pause and a new start. */
#include "drivers/client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "drivers/client/pending.h"
#include "drivers/client/process.h"
#include "drivers/protocol/message.h"

#define MS		     1000000LL /* nanoseconds */
#define GREETING_MS	     10000
#define PAUSE_FIRST_MS	     100
#define PAUSE_MAX_MS	     30000
#define PAUSE_QUEUED_MS	     1000	 /* calls wait for the end of a pause up to this long */
#define GOOD_LIFE_MS	     10000	 /* having lived so long, a death is no habit */
#define MESSAGES_PER_TURN    64		 /* then others on the loop have their turn */
#define REPLY_MARGIN_MS	     2000	 /* the host itself answers at the deadline */
#define START_MARGIN_MS	     (12 * 1000) /* it cleans up after a start that was cut off */
#define DEADLINE_ACCURACY_US 10000

struct driver_client {
	sd_event *loop;
	struct driver_client_config config; /* strings are owned */
	struct driver_client_events events;
	enum { IDLE, GREETING, UP, PAUSED, ENDING } state;
	struct driver_process process;
	sd_event_source *io, *end, *timer; /* the wire; the process's end; greeting or pause */
	struct wire_message message;
	struct pending *pending;
	uint64_t serial;
	unsigned deaths;    /* in a row, none of which came after a good life */
	int64_t started_ns; /* of the process */
	int64_t paused_until_ns;
	char problem[256]; /* why the last process went */
};

static void down(struct driver_client *c, const char *why);
static int start(struct driver_client *c, struct err *err);

/* --- Ends of calls --------------------------------------------------------------------------- */

/* The call has been taken out of the list. */
static void finish(struct pending *p, const struct driver_reply *reply)
{
	p->reply(p->data, reply);
	pending_free(p);
}

static void fail(struct pending *p, enum err_code code, const char *message)
{
	struct driver_reply reply = {0};

	reply.result = err_set(&reply.error, code, NULL, "%s", message);
	finish(p, &reply);
}

/* Fails the calls that have been sent, or all. Callbacks may make new calls, so those to fail are
 * taken aside first. */
static void fail_pending(
	struct driver_client *c, bool unsent_too, enum err_code code, const char *message)
{
	struct pending *p, *next, *aside = NULL;

	DL_FOREACH_SAFE(c->pending, p, next)
	{
		if (p->text && !unsent_too)
			continue;
		DL_DELETE(c->pending, p);
		DL_APPEND(aside, p);
	}
	DL_FOREACH_SAFE(aside, p, next)
	{
		DL_DELETE(aside, p);
		fail(p, code, message);
	}
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct pending *p = data;
	struct driver_client *c = p->client;
	bool sent = !p->text;
	char message[128];

	(void)source;
	(void)usec;
	snprintf(message, sizeof(message), "driver %s did not answer %s in time", c->config.name,
		driver_call_to_string(p->call));
	DL_DELETE(c->pending, p);
	fail(p, sent ? ERR_TIMEOUT : ERR_UNAVAILABLE, message);
	if (sent)
		down(c, message);
	return 0;
}

/* --- The process's life ---------------------------------------------------------------------- */

static void set_timer(struct driver_client *c, uint64_t ms, sd_event_time_handler_t handler)
{
	c->timer = sd_event_source_disable_unref(c->timer);
	sd_event_add_time_relative(
		c->loop, &c->timer, CLOCK_MONOTONIC, ms * 1000, 1000, handler, c);
}

static uint64_t next_pause_ms(struct driver_client *c)
{
	uint64_t ms = PAUSE_FIRST_MS;

	if (clock_monotonic_ns() - c->started_ns >= GOOD_LIFE_MS * MS)
		c->deaths = 0;
	if (c->deaths++ == 0)
		return 0;
	for (unsigned i = 2; i < c->deaths && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *data)
{
	struct driver_client *c = data;
	struct err err = {0};

	(void)source;
	(void)usec;
	if (start(c, &err) < 0)
		down(c, err.message);
	return 0;
}

static void drop_process(struct driver_client *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	c->end = sd_event_source_disable_unref(c->end);
	driver_process_end(&c->process);
}

/* The process is gone, or has to go. */
static void down(struct driver_client *c, const char *why)
{
	bool was_up = c->state == UP;
	uint64_t pause_ms = next_pause_ms(c);
	char message[sizeof(c->problem)];

	log_warning("driver.down", "driver=%s pid=%d pause_ms=%llu reason=%s", c->config.name,
		c->process.pid, (unsigned long long)pause_ms, LOG_Q(why));
	drop_process(c);
	snprintf(c->problem, sizeof(c->problem), "%s", why);
	c->state = PAUSED;
	c->paused_until_ns = clock_monotonic_ns() + (int64_t)pause_ms * MS;
	set_timer(c, pause_ms, on_pause_end);
	snprintf(message, sizeof(message), "driver %s went down: %.200s", c->config.name, why);
	fail_pending(c, pause_ms > PAUSE_QUEUED_MS, ERR_UNAVAILABLE, message);
	if (was_up && c->events.state)
		c->events.state(c->events.data, false);
}

static int on_greeting_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	down(data, "it did not greet in time");
	return 0;
}

/* --- The wire -------------------------------------------------------------------------------- */

/* Sends what waits, in its order, as far as the socket takes it. A dead process is noticed by its
 * end, not here. */
static void flush(struct driver_client *c)
{
	struct pending *p;
	int r = 0;

	if (c->state != UP)
		return;
	DL_FOREACH (c->pending, p) {
		if (!p->text)
			continue;
		r = wire_send(c->process.socket, p->text, p->fds, p->fds_count, MSG_DONTWAIT);
		if (r < 0)
			break;
		pending_sent(p);
	}
	sd_event_source_set_io_events(c->io, r == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void take_welcome(struct driver_client *c)
{
	char name[DRIVER_NAME_MAX + 1];
	struct err err = {0};

	if (message_decode_welcome(c->message.text, name, &err) < 0) {
		down(c, err.message);
		return;
	}
	c->timer = sd_event_source_disable_unref(c->timer);
	c->state = UP;
	log_info("driver.up", "driver=%s pid=%d says=%s", c->config.name, c->process.pid,
		LOG_Q(name));
	flush(c);
	if (c->events.state)
		c->events.state(c->events.data, true);
}

static void take_reply(struct driver_client *c, struct message_answer *a)
{
	struct pending *p;

	DL_SEARCH_SCALAR(c->pending, p, serial, a->serial);
	if (!p || p->text) {
		log_warning("driver.stray_reply", "driver=%s serial=%llu", c->config.name,
			(unsigned long long)a->serial);
		return;
	}
	if (pending_add(p, a) < 0) {
		down(c, "it sent a list beyond all bounds");
		return;
	}
	if (a->more)
		return;
	a->reply.statuses = p->statuses;
	a->reply.statuses_count = p->statuses_count;
	a->reply.stats = p->stats;
	a->reply.stats_count = p->stats_count;
	a->reply.images = p->images;
	a->reply.images_count = p->images_count;
	DL_DELETE(c->pending, p);
	finish(p, &a->reply);
}

static void take_answer(struct driver_client *c)
{
	struct message_answer answer;
	struct err err = {0};

	if (message_decode_answer(c->message.text, &answer, &err) < 0) {
		down(c, err.message);
		return;
	}
	if (answer.kind == MESSAGE_REPLY)
		take_reply(c, &answer);
	else if (c->events.guest)
		c->events.guest(c->events.data, answer.statuses);
	message_answer_finish(&answer);
}

/* Takes what has come; false when there is no more to wait for. */
static bool receive(struct driver_client *c)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		int r = wire_receive(c->process.socket, &c->message, MSG_DONTWAIT);

		wire_message_close_fds(&c->message);
		if (r == -EAGAIN)
			return true;
		if (r <= 0) {
			down(c, r == 0 ? "it closed the wire"
				       : "it sent a message beyond all bounds");
			return false;
		}
		if (c->state == GREETING)
			take_welcome(c);
		else
			take_answer(c);
		if (c->process.pid == 0)
			return false;
	}
	return true;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	struct driver_client *c = data;

	(void)source;
	(void)fd;
	if ((revents & ~(uint32_t)EPOLLOUT) == 0 || receive(c))
		flush(c);
	return 0;
}

/* It has ended; what it said before still counts. */
static int on_end(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	struct driver_client *c = data;

	(void)source;
	(void)fd;
	(void)revents;
	if (receive(c))
		down(c, "it died");
	return 0;
}

static int start(struct driver_client *c, struct err *err)
{
	AUTOFREE char *hello = message_encode_hello(&c->config.driver);
	int r;

	c->started_ns = clock_monotonic_ns();
	if (!hello)
		return err_errno(err, ENOMEM, "no memory to start driver %s", c->config.name);
	r = driver_process_start(c->config.program, &c->process, err);
	if (r < 0)
		return r;
	r = sd_event_add_io(c->loop, &c->io, c->process.socket, EPOLLIN, on_io, c);
	if (r >= 0)
		r = sd_event_add_io(c->loop, &c->end, c->process.pidfd, EPOLLIN, on_end, c);
	if (r >= 0)
		r = wire_send(c->process.socket, hello, NULL, 0, MSG_DONTWAIT);
	if (r < 0 && r != -EPIPE)
		return err_set(err, ERR_UNAVAILABLE, NULL, "cannot talk to driver %s: %s",
			c->config.name, strerrordesc_np(-r));
	c->state = GREETING;
	set_timer(c, GREETING_MS, on_greeting_deadline);
	return 0;
}

/* --- For the agent --------------------------------------------------------------------------- */

/* The strings of a configuration. */
#define TEXTS(c)                                                                                   \
	{                                                                                          \
		&(c)->name, &(c)->program, &(c)->driver.state_dir, &(c)->driver.run_dir,           \
			&(c)->driver.log_dir, &(c)->driver.additions_dir, &(c)->driver.endpoint,   \
			&(c)->driver.ssh_key                                                       \
	}

static void free_config(struct driver_client_config *c)
{
	const char **texts[] = TEXTS(c);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free((char *)*texts[i]);
}

static bool copy_config(struct driver_client_config *to, const struct driver_client_config *from)
{
	const char **texts[] = TEXTS(to);
	bool whole = true;

	*to = *from;
	to->margin_ms = from->margin_ms ? from->margin_ms : REPLY_MARGIN_MS;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (*texts[i] && !(*texts[i] = strdup(*texts[i])))
			whole = false;
	return whole;
}

int driver_client_create(sd_event *loop, const struct driver_client_config *config,
	const struct driver_client_events *events, struct driver_client **ret, struct err *err)
{
	struct driver_client *c = calloc(1, sizeof(*c));

	if (!c || !copy_config(&c->config, config)) {
		if (c)
			free_config(&c->config);
		free(c);
		return err_errno(err, ENOMEM, "no memory for driver %s", config->name);
	}
	c->loop = sd_event_ref(loop);
	c->events = *events;
	c->process = (struct driver_process){.pidfd = -1, .socket = -1};
	*ret = c;
	return 0;
}

struct driver_client *driver_client_destroy(struct driver_client *c)
{
	if (!c)
		return NULL;
	drop_process(c);
	c->timer = sd_event_source_disable_unref(c->timer);
	c->state = ENDING; /* should a callback call again */
	fail_pending(c, true, ERR_CANCELLED, "the agent is stopping");
	wire_message_finish(&c->message);
	free_config(&c->config);
	sd_event_unref(c->loop);
	free(c);
	return NULL;
}

/* A process to send the call to, now or within a moment. */
static int ensure_process(struct driver_client *c, struct err *err)
{
	int64_t left_ns = c->paused_until_ns - clock_monotonic_ns();
	int r;

	if (c->state == ENDING)
		return err_set(err, ERR_CANCELLED, NULL, "the agent is stopping");
	if (c->state == PAUSED && left_ns > PAUSE_QUEUED_MS * MS)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"driver %s keeps failing (%s) and is held back for another %lld s",
			c->config.name, c->problem, (long long)(left_ns / (1000 * MS)) + 1);
	if (c->state != IDLE)
		return 0;
	r = start(c, err);
	if (r < 0)
		drop_process(c);
	return r;
}

static int add_deadline(struct driver_client *c, struct pending *p, uint64_t ms, struct err *err)
{
	uint64_t margin = c->config.margin_ms;
	int r;

	if (ms == 0)
		return 0;
	if (p->call == DRIVER_CALL_START && margin < START_MARGIN_MS)
		margin = START_MARGIN_MS;
	r = sd_event_add_time_relative(c->loop, &p->deadline, CLOCK_MONOTONIC, (ms + margin) * 1000,
		DEADLINE_ACCURACY_US, on_deadline, p);
	return r < 0 ? err_errno(err, r, "cannot set a deadline") : 0;
}

int driver_client_call(struct driver_client *c, const struct driver_request *request,
	driver_reply_fn reply, void *data, struct err *err)
{
	struct pending *p = NULL;
	int r = ensure_process(c, err);

	if (r == 0)
		r = pending_create(++c->serial, request, &p, err);
	if (r == 0)
		r = add_deadline(c, p, driver_call_deadline_ms(request), err);
	if (r < 0) {
		pending_free(p);
		return r;
	}
	p->client = c;
	p->reply = reply;
	p->data = data;
	DL_APPEND(c->pending, p);
	flush(c);
	return 0;
}

pid_t driver_client_pid(const struct driver_client *client)
{
	return client->process.pid;
}
