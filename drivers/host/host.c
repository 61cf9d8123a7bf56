/* The main loop of a driver process. */
#include "drivers/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/packet.h"
#include "base/process.h"
#include "drivers/host/child.h"
#include "drivers/protocol/message.h"
#include "drivers/protocol/wire.h"

struct host {
	struct driver *driver;
	int socket; /* the agent's wire */
	int watch;  /* the driver's own descriptor; -1: it has none */
	bool ended; /* the agent is gone */
	struct wire_message message;
	struct host_child children[HOST_CALLS_MAX];
};

/* --- To the agent ---------------------------------------------------------------------------- */

static void send_text(struct host *h, const char *text)
{
	if (!text || wire_send(h->socket, text, NULL, 0, 0) < 0)
		h->ended = true;
}

static void send_failure(struct host *h, uint64_t serial, const struct err *error)
{
	struct driver_reply reply = {.result = err_errnum(error->code), .error = *error};

	if (host_send_reply(h->socket, serial, DRIVER_CALL_MAX_, &reply) < 0)
		h->ended = true;
}

static void send_event(void *data, const struct driver_status *status)
{
	struct host *h = data;
	AUTOFREE char *text = message_encode_event(status);

	send_text(h, text);
}

/* Lets the driver look whether the guest is what it was (NULL: whatever its descriptor told). */
static void look(struct host *h, const char *id)
{
	if (h->watch >= 0)
		h->driver->ops->watch_dispatch(h->driver, id, send_event, h);
}

/* --- Calls ----------------------------------------------------------------------------------- */

static void run_inline(struct host *h, const struct message_call *call)
{
	struct driver_info info = {0};
	struct driver_reply reply;

	driver_call_run(h->driver, &call->request, &info, &reply);
	if (host_send_reply(h->socket, call->serial, call->request.call, &reply) < 0)
		h->ended = true;
	driver_reply_finish(&reply);
	if (driver_call_changes(call->request.call))
		look(h, driver_request_guest(&call->request));
}

static struct host_child *free_place(struct host *h)
{
	for (size_t i = 0; i < HOST_CALLS_MAX; i++)
		if (h->children[i].pid == 0)
			return &h->children[i];
	return NULL;
}

/* A child must hold neither the wire nor what belongs to other calls. */
static int start_child(
	struct host *h, struct host_child *child, const struct driver_request *request)
{
	int fds[1 + 2 * HOST_CALLS_MAX];
	size_t count = 0;

	fds[count++] = h->socket;
	for (size_t i = 0; i < HOST_CALLS_MAX; i++)
		if (h->children[i].pid != 0) {
			fds[count++] = h->children[i].channel;
			fds[count++] = h->children[i].pidfd;
		}
	return host_child_start(child, h->driver, request, fds, count);
}

static void run_forked(struct host *h, const struct message_call *call)
{
	struct host_child *child = free_place(h);
	const char *id = driver_request_guest(&call->request);
	struct err error = {0};
	int r;

	if (!child) {
		err_set(&error, ERR_UNAVAILABLE, NULL, "%d calls are under way already",
			HOST_CALLS_MAX);
		send_failure(h, call->serial, &error);
		return;
	}
	*child = (struct host_child){
		.serial = call->serial, .call = call->request.call, .id = id ? strdup(id) : NULL};
	r = start_child(h, child, &call->request);
	if (r < 0) {
		err_errno(&error, r, "cannot fork for a call");
		send_failure(h, call->serial, &error);
		free(child->id);
	}
}

static void serve(struct host *h)
{
	struct message_call call;
	struct err error = {0};
	int r = wire_receive(h->socket, &h->message, MSG_DONTWAIT);

	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		h->ended = true;
		return;
	}
	r = message_decode_call(h->message.text, &call, &error);
	if (r == 0)
		r = message_call_take_fds(&call, h->message.fds, h->message.fds_count, &error);
	if (r < 0)
		send_failure(h, call.serial, &error);
	else if (h->driver->ops->call_mode == DRIVER_CALL_FORK)
		run_forked(h, &call);
	else
		run_inline(h, &call);
	message_call_finish(&call);
	wire_message_close_fds(&h->message);
}

/* --- Children -------------------------------------------------------------------------------- */

static void relay(struct host *h, struct host_child *child)
{
	while (wire_receive(child->channel, &h->message, MSG_DONTWAIT) > 0) {
		wire_message_close_fds(&h->message);
		child->relayed = true;
		if (!child->cleaning)
			send_text(h, h->message.text);
	}
}

static void describe_end(const struct host_child *child, struct err *error)
{
	if (child->late)
		err_set(error, ERR_TIMEOUT, NULL, "the driver did not finish %s in time",
			driver_call_to_string(child->call));
	else
		err_set(error, ERR_DRIVER, NULL, "the driver died in %s",
			driver_call_to_string(child->call));
}

static bool begin_cleaning(struct host *h, struct host_child *child)
{
	struct driver_request kill = {.call = DRIVER_CALL_KILL, .id = child->id};

	child->cleaning = true;
	return start_child(h, child, &kill) == 0;
}

static void end_child(struct host *h, struct host_child *child)
{
	AUTOFREE char *id = NULL;
	bool whole;

	relay(h, child);
	whole = host_child_reap(child);
	if (!child->cleaning && !whole) {
		describe_end(child, &child->failed);
		if (child->call == DRIVER_CALL_START && begin_cleaning(h, child))
			return;
	}
	if (child->cleaning || !whole)
		send_failure(h, child->serial, &child->failed);
	id = TAKE_PTR(child->id);
	if (driver_call_changes(child->call))
		look(h, id);
}

static void cut_late_children(struct host *h)
{
	int64_t now = clock_monotonic_ns();

	for (size_t i = 0; i < HOST_CALLS_MAX; i++) {
		struct host_child *c = &h->children[i];

		if (c->pid != 0 && c->deadline_ns != 0 && c->deadline_ns <= now)
			host_child_cut(c);
	}
}

static int next_timeout_ms(const struct host *h)
{
	int64_t next = INT64_MAX, now = clock_monotonic_ns();

	for (size_t i = 0; i < HOST_CALLS_MAX; i++) {
		const struct host_child *c = &h->children[i];

		if (c->pid != 0 && c->deadline_ns != 0 && c->deadline_ns < next)
			next = c->deadline_ns;
	}
	if (next == INT64_MAX)
		return -1;
	next = next > now ? (next - now) / 1000000 + 1 : 0;
	return next > 60000 ? 60000 : (int)next;
}

/* --- The loop -------------------------------------------------------------------------------- */

#define POLL_OWN 2

static size_t collect(const struct host *h, struct pollfd *p)
{
	size_t n = 0;

	p[n++] = (struct pollfd){.fd = h->socket, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = h->watch, .events = POLLIN};
	for (size_t i = 0; i < HOST_CALLS_MAX; i++) {
		const struct host_child *c = &h->children[i];

		p[n++] = (struct pollfd){.fd = c->pid ? c->channel : -1, .events = POLLIN};
		p[n++] = (struct pollfd){.fd = c->pid ? c->pidfd : -1, .events = POLLIN};
	}
	return n;
}

static void turn(struct host *h)
{
	struct pollfd p[POLL_OWN + 2 * HOST_CALLS_MAX];
	size_t n = collect(h, p);

	if (poll(p, n, next_timeout_ms(h)) < 0)
		return;
	for (size_t i = 0; i < HOST_CALLS_MAX; i++) {
		struct host_child *c = &h->children[i];

		if (p[POLL_OWN + 2 * i + 1].revents)
			end_child(h, c);
		else if (p[POLL_OWN + 2 * i].revents)
			relay(h, c);
	}
	cut_late_children(h);
	if (p[1].revents)
		look(h, NULL);
	if (p[0].revents)
		serve(h);
}

static int open_driver(
	struct host *h, const struct driver_ops *ops, const char *hello_text, struct err *err)
{
	struct message_hello hello;
	int r = driver_ops_check(ops, err);

	if (r == 0)
		r = message_decode_hello(hello_text, &hello, err);
	if (r < 0)
		return r;
	r = ops->open(&hello.config, &h->driver, err);
	message_hello_finish(&hello);
	if (r == 0 && ops->watch_fd) {
		h->watch = ops->watch_fd(h->driver, err);
		r = h->watch < 0 ? h->watch : 0;
	}
	return r;
}

static int greet(struct host *h, const struct driver_ops *ops)
{
	AUTOFREE char *welcome = NULL;
	struct err error = {0};
	int r = wire_receive(h->socket, &h->message, 0);

	if (r <= 0)
		return -EPIPE;
	wire_message_close_fds(&h->message);
	r = open_driver(h, ops, h->message.text, &error);
	if (r < 0)
		log_error("driver.open_failed", "error=%s", LOG_Q(error.message));
	welcome = message_encode_welcome(ops, r < 0 ? &error : NULL);
	send_text(h, welcome);
	return r;
}

int driver_host_main(const struct driver_ops *ops, int argc, char **argv)
{
	struct host h = {.socket = WIRE_FD, .watch = -1};
	int r;

	if (argc > 1 || !packet_is_socket(WIRE_FD)) {
		fprintf(stderr, "%s %s: a driver of corpusd, which starts it itself\n", argv[0],
			CORPUS_VERSION);
		return 2;
	}
	log_init(argv[0], LOG_LEVEL_INFO);
	process_raise_files();
	signal(SIGPIPE, SIG_IGN);
	fcntl(WIRE_FD, F_SETFD, FD_CLOEXEC);
	r = greet(&h, ops);
	while (r == 0 && !h.ended)
		turn(&h);
	if (h.driver)
		ops->close(h.driver);
	for (size_t i = 0; i < HOST_CALLS_MAX; i++)
		free(h.children[i].id); /* what is under way goes on without us */
	wire_message_finish(&h.message);
	return r < 0;
}
