/* What was told last. */
#include "drivers/watch/told.h"

#include <string.h>

void told_status(struct told *t, const struct driver_status *status, bool anyway,
	driver_event_fn event, void *data)
{
	bool changed = t->state != status->state || t->pid != status->pid;

	t->state = status->state;
	t->pid = status->pid;
	if ((changed || anyway) && event)
		event(data, status);
}

void told_state(
	struct told *t, enum guest_state state, bool anyway, driver_event_fn event, void *data)
{
	struct driver_status status = {.state = state, .exit_status = -1};

	memcpy(status.id, t->id, sizeof(status.id));
	told_status(t, &status, anyway, event, data);
}
