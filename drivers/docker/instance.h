/* An instance of the Docker driver, and where it keeps what; used inside drivers/docker only. */
#pragma once

#include "drivers/cgroup/cgroup.h"
#include "drivers/dirs.h"
#include "drivers/driver.h"

struct remote;

#define DOCKER_TITLE "Docker"

struct docker {
	struct driver driver; /* first */
	struct dirs dirs;     /* in `state` ID.json: definitions of guests */
	char *socket;	      /* of dockerd */
	char *registries;     /* a file in Docker's config.json format; NULL: none */
	uint64_t stall_ms;    /* a pull of which nothing is heard for so long is given up */
	uint64_t away_ms;     /* for a dockerd that went away in the middle of a pull */
	size_t layers_most;   /* a layer that would lie on so many is made one with them */
	struct cgroups cgroups;
	struct remote *events; /* NULL: nobody asked for them */
};
