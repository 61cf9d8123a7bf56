/* A driver's process, seen from the agent: starts it on first need, sends calls, hands replies and
 * events to the event loop, and keeps it alive.
 *
 * All functions are called on the loop's thread and never block. Replies arrive as callbacks from
 * the loop. A process that dies, or does not answer within a call's deadline, is killed and started
 * again, with growing pauses while it keeps dying (held back at most 30 s); the calls it had in
 * hand end with ERR_UNAVAILABLE, and the caller decides whether to repeat them. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "drivers/driver.h"

struct err;
struct driver_client;

enum driver_call {
	DRIVER_CALL_PROBE,
	DRIVER_CALL_CREATE,
	DRIVER_CALL_START,
	DRIVER_CALL_STOP,
	DRIVER_CALL_KILL,
	DRIVER_CALL_DESTROY,
	DRIVER_CALL_STATUS,
	DRIVER_CALL_LIST,
	DRIVER_CALL_SET_LIMITS,
	DRIVER_CALL_FREEZE,
	DRIVER_CALL_THAW,
	DRIVER_CALL_EXEC,
	DRIVER_CALL_MAX_,
};

const char *driver_call_to_string(enum driver_call call); /* "create", … */

struct driver_client_config {
	const char *name;    /* "lxc" */
	const char *program; /* path of corpus-driver-lxc */
	struct driver_config driver;
};

/* Arguments of a call; only those that the call knows are read. Copied before return. */
struct driver_request {
	enum driver_call call;
	const char *id;			   /* all but probe, create, list */
	const struct driver_guest *guest;  /* create */
	const struct guest_limits *limits; /* set_limits */
	const struct driver_exec *exec;	   /* exec; its descriptors are duplicated */
	uint64_t timeout_ms;		   /* stop: how long to ask before killing */
	uint64_t deadline_ms;		   /* 0: the contract's own, plus a margin */
};

/* Result of a call; valid during the callback. */
struct driver_reply {
	int result;			      /* 0 or a negative errno */
	struct err error;		      /* when result < 0 */
	const struct driver_info *info;	      /* probe */
	const struct driver_status *statuses; /* start, status: one; list: all */
	size_t statuses_count;
	int exec_status; /* exec: wait status */
};

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
 * before this returns. Failure here (no callback then) means no process could be had:
 * ERR_UNAVAILABLE. */
int driver_client_call(struct driver_client *client, const struct driver_request *request,
	driver_reply_fn reply, void *data, struct err *err);

/* Pid of the process, 0 while there is none: shown to operators, used by tests. */
pid_t driver_client_pid(const struct driver_client *client);
