/* An instance of the Docker driver, and where it keeps what; used inside drivers/docker only. */
#pragma once

#include "drivers/cgroup/cgroup.h"
#include "drivers/driver.h"

struct remote;

#define DOCKER_TITLE "Docker"

struct docker {
	struct driver driver; /* first */
	char *state_dir;      /* ID.json: definitions of guests */
	char *run_dir;
	char *log_dir;
	char *additions_dir; /* NULL: none */
	char *socket;	     /* of dockerd */
	char *registries;    /* a file in Docker's config.json format; NULL: none */
	uint64_t stall_ms;   /* a pull of which nothing is heard for so long is given up */
	struct cgroups cgroups;
	struct remote *events; /* NULL: nobody asked for them */
};
