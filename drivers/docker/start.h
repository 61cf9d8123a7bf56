/* Starting containers; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* Starts it, or goes on with one that waits at its gate, until its own program was executed: with
 * its network, names, data and limits. When it fails nothing of it runs. */
int start_run(struct docker_guest *g, struct err *err);
