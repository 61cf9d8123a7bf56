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

/* Before and after something for which dockerd itself holds a container that runs, and lets go of
 * it: should dockerd end meanwhile, it goes on when that is there again. One that is held or frozen
 * already stays so. */
int hold_by_dockerd(struct docker_guest *guest, struct err *err);
void hold_by_dockerd_end(struct docker_guest *guest, bool done);

/* It is to stand still from now on: nobody lets it go on, and who was about to has done so. */
int hold_forget(struct docker_guest *guest, struct err *err);
