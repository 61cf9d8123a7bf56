/* Subordinate ids (subuid(5)): which ids root may give to guests, by the text of /etc/subuid or
 * /etc/subgid. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct subid_range {
	uint64_t base, count;
};

/* Root's next range at or after *p, by name or number; moves *p behind it. */
bool subid_next(const char **p, struct subid_range *ret);

/* Whether all of base…base+count lies in the range. */
bool subid_holds(const struct subid_range *range, uint32_t base, uint32_t count);
