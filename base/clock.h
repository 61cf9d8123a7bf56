/* Time, through one seam. */
#pragma once

#include <stdint.h>

/* Nanoseconds on the monotonic clock. */
int64_t clock_monotonic_ns(void);

/* Milliseconds since the epoch. */
int64_t clock_realtime_ms(void);
