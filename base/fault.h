/* Fault points: places where a test can make the process die, wait or fail on demand. They exist
 * only in builds with CORPUS_FAULTS; elsewhere they are nothing at all.
 *
 * The environment variable CORPUS_FAULT holds rules `point=action[@n]` separated by commas:
 * `action` is `kill` (SIGKILL to oneself), `wait:MS` or `fail` (fault_point returns true); with
 * `@n` only the n-th passage (from 1) of the point in this process acts. A point is a name with
 * dots, "ops.guest.create.volume.before"; a point may end in `*` to match all that begin so. A rule
 * that is not understood aborts the process. */
#pragma once

#include <stdbool.h>

#ifdef CORPUS_FAULTS
/* True when the caller should behave as if what follows had failed. */
bool fault_point(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#else
#define fault_point(...) false
#endif
