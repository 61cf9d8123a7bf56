/* The mark: a small file beside state.db that holds the number of the last durable commit. A log
 * that was cut short looks to SQLite like one that was never longer; the mark tells that something
 * is missing. It is written after the commit is on disk and is not synced itself: it may lag behind
 * but is never ahead. Its descriptor also holds the lock that keeps a second agent out. Inside
 * agent/state/ only. */
#pragma once

#include <stdint.h>

struct err;

/* Opens or makes PATH-mark and locks it; ERR_CONFLICT when another process holds it. The number is
 * 0 when it is not known. */
int mark_open(const char *path, int *ret_fd, int64_t *ret_durable, struct err *err);

/* Failure is of no consequence. */
void mark_write(int fd, int64_t durable);
