/* Whether guests can run below this dockerd; used inside drivers/docker only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "drivers/docker/instance.h"

/* Fills version, usable, problem and notice. */
void probe_host(const struct docker *docker, struct driver_info *ret);

/* The same of what dockerd answers about itself (GET /info) in version 1.`version` of its API.
 * Pure. */
void probe_judge(const json_t *info, unsigned version, struct driver_info *ret);

/* Whether that dockerd has a feature of security ("userns"). Pure. */
bool probe_has_security(const json_t *info, const char *name);

/* Whether dockerd, as it says itself (GET /info), takes sizes of layers and does nothing about
 * them: where images are in containerd's store, which is what Docker 29 begins with. Pure. */
bool probe_ignores_sizes(const json_t *info);
