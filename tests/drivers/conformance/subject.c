/* Drivers under test. */
#include "subject.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "drivers/client/client.h"

#define EVENTS_MAX 256
#define PATIENCE_S 120
#define PATIENT_MS 60000

struct subject {
	const struct driver_ops *ops;
	struct driver *driver;
	int watch;
	sd_event *loop;
	struct driver_client *client;
	struct driver_config config;
	const char *program;
	struct driver_status events[EVENTS_MAX];
	size_t events_count;
};

static void on_event(void *data, const struct driver_status *status)
{
	struct subject *s = data;

	if (s->events_count < EVENTS_MAX)
		s->events[s->events_count++] = *status;
}

static void open_inline(struct subject *s)
{
	struct err err = {0};

	assert_int_equal(driver_ops_check(s->ops, &err), 0);
	if (s->ops->open(&s->config, &s->driver, &err) < 0)
		fail_msg("open: %s", err.message);
	s->watch = s->ops->watch_fd ? s->ops->watch_fd(s->driver, &err) : -1;
	if (s->ops->watch_fd && s->watch < 0)
		fail_msg("watch_fd: %s", err.message);
}

static void open_process(struct subject *s)
{
	struct driver_client_config config = {
		.name = "tested", .program = s->program, .driver = s->config};
	struct driver_client_events events = {.guest = on_event, .data = s};

	assert_int_equal(driver_client_create(s->loop, &config, &events, &s->client, NULL), 0);
}

struct subject *subject_create(
	const struct driver_ops *ops, const char *program, const struct driver_config *config)
{
	struct subject *s = calloc(1, sizeof(*s));

	s->ops = ops;
	s->program = program;
	s->config = *config;
	s->watch = -1;
	if (ops) {
		open_inline(s);
	} else {
		assert_true(sd_event_new(&s->loop) >= 0);
		open_process(s);
	}
	return s;
}

void subject_free(struct subject *s)
{
	if (!s)
		return;
	driver_client_destroy(s->client);
	if (s->driver)
		s->ops->close(s->driver);
	sd_event_unref(s->loop);
	free(s);
}

bool subject_is_process(const struct subject *s)
{
	return s->ops == NULL;
}

pid_t subject_pid(const struct subject *s)
{
	return s->ops ? getpid() : driver_client_pid(s->client);
}

static void keep(void *data, const struct driver_reply *reply)
{
	struct outcome *o = data;

	o->done = true;
	o->result = reply->result;
	o->error = reply->error;
	if (reply->info)
		o->info = *reply->info;
	assert_true(reply->statuses_count <= OUTCOME_STATUSES_MAX);
	o->statuses_count = reply->statuses_count;
	if (reply->statuses_count)
		memcpy(o->statuses, reply->statuses,
			reply->statuses_count * sizeof(o->statuses[0]));
	assert_true(reply->stats_count <= OUTCOME_STATUSES_MAX);
	o->stats_count = reply->stats_count;
	if (reply->stats_count)
		memcpy(o->stats, reply->stats, reply->stats_count * sizeof(o->stats[0]));
	o->pid = reply->pid;
	o->file = reply->file;
	o->disk = reply->disk;
	o->layer = reply->layer;
}

static void call_inline(struct subject *s, const struct driver_request *q, struct outcome *o)
{
	struct driver_info info = {0};
	struct driver_reply reply;

	driver_call_run(s->driver, q, &info, &reply);
	keep(o, &reply);
	driver_reply_finish(&reply);
	if (s->watch >= 0 && driver_call_changes(q->call))
		s->ops->watch_dispatch(s->driver, driver_request_guest(q), on_event, s);
}

static void run_loop_until_done(struct subject *s, const struct outcome *o)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_S * 1000000000LL;

	while (!o->done) {
		assert_true(clock_monotonic_ns() < end);
		sd_event_run(s->loop, 100000);
	}
}

/* The contract's deadlines are for hosts that have time for their guests, not for one that runs
 * these tests beside others. 0 is none. */
static uint64_t patient(const struct driver_request *request)
{
	uint64_t ms = driver_call_deadline_ms(request);

	return ms && ms < PATIENT_MS && !request->deadline_ms ? PATIENT_MS : ms;
}

static void begin_call(
	struct subject *s, const struct driver_request *request, struct outcome *outcome)
{
	struct driver_request q = *request;
	struct err err = {0};

	q.deadline_ms = patient(request);
	if (s->ops)
		call_inline(s, &q, outcome);
	else if (driver_client_call(s->client, &q, keep, outcome, &err) < 0)
		fail_msg("no process: %s", err.message);
}

void subject_call(struct subject *s, const struct driver_request *requests,
	struct outcome *outcomes, size_t count)
{
	memset(outcomes, 0, count * sizeof(*outcomes));
	for (size_t i = 0; i < count; i++)
		begin_call(s, &requests[i], &outcomes[i]);
	for (size_t i = 0; i < count && !s->ops; i++)
		run_loop_until_done(s, &outcomes[i]);
}

static void take_events(struct subject *s, int ms)
{
	struct pollfd p = {.fd = s->watch, .events = POLLIN};

	if (!s->ops)
		sd_event_run(s->loop, (uint64_t)ms * 1000);
	else if (poll(&p, 1, ms) > 0)
		s->ops->watch_dispatch(s->driver, NULL, on_event, s);
}

void subject_wait_event(struct subject *s, const char *id, enum guest_state state)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_S * 1000000000LL;

	for (size_t i = 0; clock_monotonic_ns() < end;) {
		if (i == s->events_count) {
			take_events(s, 100);
			continue;
		}
		if (strcmp(s->events[i].id, id) == 0 && s->events[i].state == state) {
			s->events[i].id[0] = '\0';
			return;
		}
		i++;
	}
	fail_msg("no event: guest %s %s", id, guest_state_to_string(state));
}

void subject_forget_events(struct subject *s)
{
	s->events_count = 0;
}

void subject_crash(struct subject *s)
{
	if (s->ops) {
		s->ops->close(s->driver);
		open_inline(s);
		return;
	}
	s->client = driver_client_destroy(s->client);
	open_process(s);
}
