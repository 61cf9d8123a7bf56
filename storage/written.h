/* What a subvolume holds of what was written since some transaction. */
#pragma once

#include <stdint.h>

/* Bytes that were written after transaction `since` and that the subvolume in which fd lies still
 * holds: extents, each counted once, and an upper estimate of the blocks of its tree. What is in
 * memory only is not counted. Returns 0 or a negative errno. */
int written_bytes(int fd, uint64_t since, uint64_t *ret);
