/* Counters of the guests' links on a bridge. */
#pragma once

#include "net/net.h"

/* As net_stats. */
int stats_gather(
	const char *bridge, struct net_guest_stats **ret, size_t *ret_count, struct err *err);
