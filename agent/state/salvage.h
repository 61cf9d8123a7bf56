/* Salvage: what can be read of a damaged state.db goes into a new one. Inside agent/state/ only. */
#pragma once

#include <stdint.h>

struct err;

/* Replaces the file; the damaged one and its log are kept as PATH.damaged-TIME and
 * PATH.damaged-TIME-wal. `mark` is the count of durable commits that the new one begins with. */
int salvage_run(const char *path, int64_t mark, struct err *err);

/* Finishes a replacement that a crash interrupted: to be called before the file is opened. */
int salvage_finish(const char *path, struct err *err);
