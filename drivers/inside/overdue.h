/* What was begun and has to be undone in time, whatever becomes of who began it: a file, the note,
 * says that it is still so, and a process that belongs to no call watches over that note. Whoever
 * undoes it has the note's lock meanwhile, so that nobody takes away the note of what was begun
 * anew since then: a note that was replaced by another one is gone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

/* Undoes it and removes the note. */
typedef int (*overdue_fn)(void *data, struct err *err);

/* Starts one for the note at `path`, which ends when the one that is there now is gone. If it is
 * still there after so long, `undo` is called until that succeeds, or ten minutes long. Several for
 * one note do no harm. */
int overdue_watch(const char *path, int64_t ms, const char *name, overdue_fn undo, void *data,
	struct err *err) __attribute__((nonnull(1, 3, 4)));

/* The note that is there now, to be closed by the caller. -ENOENT. */
int overdue_open(const char *path) __attribute__((nonnull));

/* Whether that note is there still, once whoever was about to undo it has: if not, what was begun
 * meanwhile is watched over by nobody. */
bool overdue_is_noted(int note);

/* Undoes it now, after whoever is about to; 0 when there is no note. */
int overdue_end(const char *path, overdue_fn undo, void *data, struct err *err)
	__attribute__((nonnull(1, 2)));
