/* Starting machines; used inside drivers/kvm only. */
#pragma once

#include "drivers/kvm/guest.h"

struct err;

/* What can be known of a guest's facts before anything is made. */
int start_check(const struct driver_guest *guest, struct err *err);

/* Waits for an earlier start to come to its end, and ends what is neither running nor stopped: a
 * libvirtd that was killed may leave that. */
int start_settle(struct kvm_guest *guest, struct err *err);

/* Starts a guest that guest_connect has filled and that does not run: defines its domain anew, and
 * creates it, or has it go on from its memory (save.h). When it fails it does not run. */
int kvm_guest_start(struct kvm_guest *guest, bool from_memory, struct err *err);

/* Of what libvirt says when QEMU does not start, the part that says why; points into `message`.
 * Pure. */
const char *start_cause(const char *message);
