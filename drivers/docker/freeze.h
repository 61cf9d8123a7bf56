/* Containers that stand still; used inside drivers/docker only. */
#pragma once

#include <stdbool.h>

#include "drivers/docker/guest.h"

struct err;

/* Freezes or thaws what guest_look has seen of it; that it is so already is success. Where dockerd
 * goes on denying what is, it is done without dockerd. */
int freeze_set(struct docker_guest *guest, bool frozen, struct err *err);

/* Waits, for some seconds at the most, until dockerd says of it what is. */
int freeze_settle(struct docker_guest *guest, struct err *err);
