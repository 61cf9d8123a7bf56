/* Whether LXC guests can run here; used inside drivers/lxc only. */
#pragma once

#include "drivers/lxc/instance.h"

/* root's first range of subordinate ids in the text of /etc/subuid or /etc/subgid (subuid(5)).
 * False when it has none. */
bool probe_first_range(const char *text, uint32_t *ret_base, uint32_t *ret_count);

/* Whether root may use all of base…base+count by that text. */
bool probe_has_range(const char *text, uint32_t base, uint32_t count);

/* Fills version, usable and problem. */
void probe_host(const struct lxc *lxc, struct driver_info *ret);
