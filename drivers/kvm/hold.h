/* A machine that is held still while its files are copied; used inside drivers/kvm only.
 *
 * A file in its run directory says that it is held, and what was done for that; it is written first
 * and removed last. A process of its own watches that file, and releases the machine when it is
 * still there after HOLD_S. */
#pragma once

#include <stdbool.h>

#include "drivers/kvm/guest.h"

struct err;

#define HOLD_S 30

/* *ret_rest: its file systems are at rest. A machine that is frozen is held as it is. */
int hold_begin(struct kvm_guest *guest, bool *ret_rest, struct err *err);

/* Not held is success. */
int hold_end(struct kvm_guest *guest, struct err *err);
