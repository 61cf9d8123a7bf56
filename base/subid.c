/* Subordinate ids of root. */
#include "base/subid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool subid_next(const char **p, struct subid_range *ret)
{
	while (**p) {
		const char *line = *p, *end = strchrnul(line, '\n');

		*p = *end ? end + 1 : end;
		if (sscanf(line, "root:%" SCNu64 ":%" SCNu64, &ret->base, &ret->count) == 2 ||
			sscanf(line, "0:%" SCNu64 ":%" SCNu64, &ret->base, &ret->count) == 2)
			return true;
	}
	return false;
}

bool subid_holds(const struct subid_range *range, uint32_t base, uint32_t count)
{
	return base >= range->base && (uint64_t)base + count <= range->base + range->count;
}
