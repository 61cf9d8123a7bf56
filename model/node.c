/* The node. */
#include "model/node.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const MODES[] = {
	[NODE_ACTIVE] = "active",
	[NODE_DRAIN] = "drain",
	[NODE_MAINTENANCE] = "maintenance",
};

const char *node_mode_to_string(enum node_mode mode)
{
	return MODES[mode];
}

int node_mode_from_string(const char *text, enum node_mode *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(MODES); i++)
		if (strcmp(MODES[i], text) == 0) {
			*ret = (enum node_mode)i;
			return 0;
		}
	return -EINVAL;
}
