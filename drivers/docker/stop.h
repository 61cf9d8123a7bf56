/* Ending containers; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Asks it to end, waits so long, and kills it; with 0 at once. Afterwards nothing of it runs and
 * its link is gone. */
int stop_run(struct docker_guest *g, uint64_t timeout_ms, struct err *err);

/* Removes the link of one that has ended by itself: the kernel does when all of its network is
 * gone, which takes a while. */
void stop_clear(struct docker_guest *g);

/* That it was us who ended the run is forgotten: another one has begun. */
void stop_unmark(const struct docker_guest *g);
