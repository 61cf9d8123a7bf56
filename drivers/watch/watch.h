/* Watches the processes of guests by pidfd, for drivers whose guests are processes of this machine:
 * it keeps what was last known of each guest and tells the driver's listener what has changed. The
 * driver says, cheaply, what a guest is now and which processes to wait for. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/driver.h"

struct err;
struct watch;

#define WATCH_PIDS 2

struct watch_look {
	struct driver_status status;
	pid_t pids[WATCH_PIDS]; /* whose end changes the status; 0: none */
	bool settling; /* it is on its way to another state that no process's end will tell: it is
			  looked at again every few milliseconds */
};

/* What a guest is now. False when it is not defined. */
typedef bool (*watch_look_fn)(void *data, const char *id, struct watch_look *ret);

int watch_create(watch_look_fn look, void *data, struct watch **ret, struct err *err);
/* Accepts NULL, returns NULL. */
struct watch *watch_free(struct watch *watch);

/* Readable when watch_dispatch has something to do. */
int watch_fd(const struct watch *watch);

/* As driver_ops.watch_dispatch; `event` may be NULL: take note, tell nobody. */
void watch_dispatch(struct watch *watch, const char *id, driver_event_fn event, void *data);

/* In a forked process that lives on and watches nobody: closes what it has inherited of the watch,
 * two descriptors for each guest. Accepts NULL. */
void watch_leave(const struct watch *watch);
