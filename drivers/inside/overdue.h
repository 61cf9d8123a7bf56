/* What was begun and has to be undone in time, whatever becomes of who began it: a file says that
 * it is still so, and a process that belongs to no call watches over that file. */
#pragma once

#include <stdint.h>

struct err;

/* Undoes it and removes the file; -ENOENT: there is nothing left to undo. */
typedef int (*overdue_fn)(void *data);

/* Starts one, which ends when the file is gone. If it is still there after so long, `undo` is
 * called until that succeeds, or ten minutes long. Several for one file do no harm. */
int overdue_watch(const char *path, int64_t ms, const char *name, overdue_fn undo, void *data,
	struct err *err) __attribute__((nonnull(1, 3, 4)));
