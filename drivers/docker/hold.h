/* A container that is held still while its data and its layer are copied; used inside
 * drivers/docker only. A file in run_dir says that it is; it is written first and removed last, and
 * watched over: after HOLD_S the container goes on, whatever became of who held it. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

#define HOLD_S 30

/* One that is frozen already stays so. ERR_ILLEGAL_STATE when it does not run. */
int hold_begin(struct docker_guest *guest, struct err *err);

/* Not held is success. */
int hold_end(struct docker_guest *guest, struct err *err);
