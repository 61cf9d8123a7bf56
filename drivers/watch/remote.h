/* Watches guests that somebody else runs and tells of by events (libvirtd, a container engine): a
 * process of its own holds the one connection that events come by, so that whatever happens to
 * that, the driver's host never waits. This is the host's half: it starts the process again when it
 * ends, and keeps what was last told of each guest. While nobody can be asked, guests are UNKNOWN.
 * What the process does is in drivers/watch/source.h. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

struct err;
struct remote;
struct source;

struct remote_ops {
	/* In the process: prepares, and calls source_run; should that be impossible it returns. It
	 * has nothing open but the standard descriptors and the source's; SIGPIPE is ignored. */
	void (*run)(void *data, struct source *source);
	/* In the host: whether the guest is defined, without asking anybody. */
	bool (*defined)(void *data, const char *id);
};

int remote_create(const struct remote_ops *ops, void *data, struct remote **ret, struct err *err);
/* Accepts NULL, returns NULL. */
struct remote *remote_free(struct remote *remote);

/* Readable when remote_dispatch has something to do. */
int remote_fd(const struct remote *remote);

/* As driver_ops.watch_dispatch. */
void remote_dispatch(struct remote *remote, const char *id, driver_event_fn event, void *data);
