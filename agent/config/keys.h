/* The table of all keys. Inside agent/config/, and for the test that holds the example against it.
 */
#pragma once

#include "agent/config/settings.h"

/* The keys at the top; ends with an unnamed one. */
extern const struct key CONFIG_KEYS[];

/* Keys of the entries of `drivers` and of `access`. */
extern const struct key DRIVER_KEYS[];
extern const struct key ACCESS_KEYS[];
