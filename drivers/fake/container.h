/* Guests of the fake driver that are containers: their layers, which are trees of ours; used inside
 * drivers/fake only. What a container has in its root lies in STATE_DIR/roots/ID, what is kept of
 * that in STATE_DIR/kept/ID/NAME, and what a restore put aside in STATE_DIR/aside/ID. */
#pragma once

#include "drivers/driver.h"

struct err;
struct fake;

/* Makes its root, unless it is there: that of another one's kept layer, of the pattern that all are
 * made of (machine.h), or an empty one. */
int container_make(const struct fake *f, const struct driver_guest *guest, struct err *err);

int container_layer(const struct fake *f, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err);

/* Removes all that was kept, or is aside. */
int container_remove(const struct fake *f, const char *id, struct err *err);
