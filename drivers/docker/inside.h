/* A guest as those see it who work inside of it: commands, consoles, files, figures, limits. Filled
 * by who has found its container (guest.h); used inside drivers/docker only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "drivers/docker/instance.h"

struct docker_paths;
struct engine;
struct err;

struct inside {
	const struct docker *docker;
	const struct docker_paths *paths;
	const struct driver_guest *guest;
	struct engine *engine;
	const json_t *info;    /* of its container, as dockerd describes it; borrowed */
	const char *container; /* its id; NULL: the guest has none, and never ran */
	pid_t pid; /* of its init as the node sees it; 0: it does not run, or waits at the gate */
};

/* ERR_ILLEGAL_STATE for one that does not run. */
int inside_running(const struct inside *in, struct err *err);

/* Its root as the guest sees it, O_PATH; -1 with *err when it has ended meanwhile. */
int inside_root(const struct inside *in, struct err *err);
