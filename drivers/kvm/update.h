/* Changing a machine while it runs; used inside drivers/kvm only. */
#pragma once

#include "drivers/driver.h"
#include "drivers/kvm/guest.h"

struct err;

/* As driver_ops.update. */
int kvm_update(struct driver *driver, const struct driver_guest *guest, struct err *err);

/* What is no part of a machine's XML, for one that has just been started: what the node cannot
 * do of it is left out. */
void update_after_start(const struct kvm_guest *guest);

/* Gives a machine that has gone on from its memory the time of now, where its agent helps, and what
 * its guest has now. */
void update_after_restore(struct kvm_guest *guest);
