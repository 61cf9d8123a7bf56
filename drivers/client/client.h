/* A driver's process, seen from the agent: starts it on first need, sends calls, hands replies and
 * events to the event loop, and keeps it alive.
 *
 * All functions are called on the loop's thread and never block. Replies arrive as callbacks from
 * the loop. A process that dies, or does not answer within a call's deadline, is killed and started
 * again, with growing pauses while it keeps dying (held back at most 30 s); the calls it had in
 * hand end with ERR_UNAVAILABLE (the one whose deadline passed with ERR_TIMEOUT), and the caller
 * decides whether to repeat them. Calls made during a pause wait for its end where that is within a
 * second, and are refused at once with the time that is left where it is longer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "drivers/driver.h"
#include "drivers/protocol/call.h"

struct err;
struct driver_client;

struct driver_client_config {
	const char *name;    /* "lxc" */
	const char *program; /* path of corpus-driver-lxc */
	struct driver_config driver;
	uint64_t margin_ms; /* for the process's own answer at a deadline; 0: 2 s */
};

/* The reply is valid during the callback. */
typedef void (*driver_reply_fn)(void *data, const struct driver_reply *reply);

/* The process came (up), went (down), or a guest changed. */
struct driver_client_events {
	void (*state)(void *data, bool up);
	driver_event_fn guest;
	void *data;
};

/* Starts nothing yet. `config` is copied. */
int driver_client_create(sd_event *loop, const struct driver_client_config *config,
	const struct driver_client_events *events, struct driver_client **ret, struct err *err);

/* Pending calls end with ERR_CANCELLED before it returns; the process is told to end. Guests run
 * on. Accepts NULL, returns NULL. */
struct driver_client *driver_client_destroy(struct driver_client *client);

/* Sends a call, starting the process if need be. The callback comes later, exactly once, never
 * before this returns; it may make further calls, but not destroy the client. Failure here (no
 * callback then): ERR_UNAVAILABLE when no process can be had now, ERR_INVALID for arguments that
 * the wire cannot carry. */
int driver_client_call(struct driver_client *client, const struct driver_request *request,
	driver_reply_fn reply, void *data, struct err *err);

/* Pid of the process, 0 while there is none: shown to operators, used by tests. */
pid_t driver_client_pid(const struct driver_client *client);
