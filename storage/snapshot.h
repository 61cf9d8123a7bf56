/* Snapshots of a volume, as far as volumes and restores need them. */
#pragma once

#include "storage/volume.h"

/* ERR_NOT_FOUND. */
int snapshot_open(
	struct storage *s, const char *id, const char *name, struct volume *ret, struct err *err);

/* All of a guest's, and their directory. */
int snapshot_delete_all(struct storage *s, const char *id, struct err *err);
