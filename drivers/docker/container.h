/* What Docker is told to make a container of: functions of their input; used inside drivers/docker
 * only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "drivers/driver.h"

struct err;

struct container_plan {
	const struct driver_guest *guest;
	const char *from;	 /* what it is made from: the image, or a layer that was kept */
	const json_t *config;	 /* Config of the image that it began as */
	const json_t *variables; /* Config.Env of what it is made from */
	char *const *data;	 /* see data_paths() */
	const char *gate;	 /* path of corpus-gate on the node */
	const char *gate_dir;	 /* what it sees as GATE_DIR */
	const char *agent;	 /* labels: see define.h */
	const char *definition;
	bool bounded;		 /* its layer has a size */
	const json_t *additions; /* see merge.h; NULL: none */
};

/* The body of "create a container" (Engine API 1.40 and later), a new reference. ERR_INVALID when
 * there is no program to run, or with the field of what cannot be said. */
int container_render(const struct container_plan *plan, json_t **ret, struct err *err);

/* What the guest runs: entry point and command, by its facts and its image's Config; a new
 * reference to a list. */
json_t *container_program(const struct driver_container *container, const json_t *config);

/* All that is fixed when a container is made, as a text to compare: 16 hexadecimal digits. */
#define CONTAINER_DEFINITION_MAX 17
int container_definition(const struct driver_guest *guest, const char *gate, const char *gate_dir,
	const json_t *additions, char ret[static CONTAINER_DEFINITION_MAX], struct err *err);

/* The limits that dockerd applies, into HostConfig. "None" is not in it. */
int container_limits(const struct guest_limits *limits, json_t *host);
