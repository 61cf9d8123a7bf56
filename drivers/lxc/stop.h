/* Ending guests, and clearing up what a crash or a failed start left of one; used inside
 * drivers/lxc only. All of it works without liblxc: a guest whose monitor is in any state ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/definition.h"
#include "drivers/lxc/instance.h"

/* Sends `signal` to its init and gives it up to timeout_ms to end, then kills all that runs of the
 * guest, and clears up. */
int lxc_guest_end(const struct lxc *lxc, const struct definition *definition,
	const struct lxc_paths *paths, int signal, uint64_t timeout_ms, struct err *err);

/* Kills what runs of a guest that does not run as a whole, and removes its link, its control groups
 * and its run files. */
int lxc_guest_clear(const struct lxc *lxc, const struct definition *definition,
	const struct lxc_paths *paths, struct err *err);
