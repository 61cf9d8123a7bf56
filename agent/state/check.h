/* Opening the file for writing: makes, checks and migrates it. Inside agent/state/ only. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

struct err;

/* Opens state.db at `path`; `mark` is how many durable commits it must hold. *ret_durable is how
 * many it does hold. SQLITE_DAMAGED when it cannot be trusted: it is then as it was before. */
int check_open(
	const char *path, int64_t mark, sqlite3 **ret, int64_t *ret_durable, struct err *err);
