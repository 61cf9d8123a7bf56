/* Sees changes of guests by dockerd's events, from a process of its own (drivers/watch/remote.h);
 * used inside drivers/docker only. */
#pragma once

#include "drivers/docker/instance.h"

struct err;
struct remote;

int events_watch(struct docker *docker, struct remote **ret, struct err *err);
