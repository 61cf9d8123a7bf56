/* Files of containers: driver_ops.file. Of one that runs they are reached as the guest itself sees
 * them; of one that does not by dockerd, which does not remove any: ERR_ILLEGAL_STATE. */
#pragma once

#include "drivers/docker/inside.h"

struct err;

int docker_file(const struct inside *in, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err);

/* --- Used by file.c only ---------------------------------------------------------------------- */

/* visit_fn of a guest that does not run: `data` is a struct inside. */
int file_stopped(
	void *data, const struct driver_file *file, struct driver_file_info *ret, struct err *err);
