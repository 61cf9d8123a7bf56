/* What a driver's listener was last told of a guest, so that it hears of changes only; used inside
 * drivers/watch only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/driver.h"

struct told {
	char id[GUEST_ID_LEN + 1];
	enum guest_state state;
	pid_t pid;
};

/* `anyway`: also when nothing changed. `event` may be NULL: take note, tell nobody. */
void told_status(struct told *told, const struct driver_status *status, bool anyway,
	driver_event_fn event, void *data);

/* The same, of a state that has no process: what is gone is STOPPED, what nobody can be asked of is
 * UNKNOWN. */
void told_state(
	struct told *told, enum guest_state state, bool anyway, driver_event_fn event, void *data);
