/* The process that holds the connection which events of guests come by, see drivers/watch/remote.h:
 * it connects, looks at all guests, then at those that events and the host name; when the
 * connection is lost it says so and connects again, after growing pauses. It may block: nobody
 * waits for it. What blocks for too long ends the process, and the host starts another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "drivers/driver.h"

struct source_ops {
	/* Connects; from then on events come or wait. Five seconds are given to it. */
	bool (*open)(void *data);
	/* Calls source_look for what events tell of, and source_take_order whenever `orders` is
	 * readable, until the connection is lost. */
	void (*serve)(void *data);
	/* Also after an open that failed. */
	void (*close)(void *data);
	/* What a guest is now, UNKNOWN when nobody says; false when it is not defined.
	 * Five seconds are given to it. */
	bool (*look)(void *data, const char *id, struct driver_status *ret);
	/* All that are defined; nothing but their ids is looked at, nobody needs to be asked. */
	int (*list)(void *data, struct driver_status **ret, size_t *ret_count);
};

/* The process's ends of its pipes to the host. */
struct source {
	int reports, orders;
	const struct source_ops *ops;
	void *data;
};

/* Works until the host ends, or what blocks has to. `data` goes to `ops`. */
void source_run(struct source *source, const struct source_ops *ops, void *data)
	__attribute__((noreturn));

/* An event named this guest: tells the host what it is now. */
void source_look(const struct source *source, const char *id);

/* Reads an order of the host and does it. Waits for one if there is none. */
void source_take_order(const struct source *source);
