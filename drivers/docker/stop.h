/* Ending containers; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Asks it to end, waits so long, and kills it; with 0 at once. Afterwards nothing of it runs and
 * its link is gone. */
int stop_run(struct docker_guest *g, uint64_t timeout_ms, struct err *err);

/* That it was us who ended the run is forgotten: another one has begun. */
void stop_unmark(const struct docker_guest *g);
