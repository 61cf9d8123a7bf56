/* Ending machines; used inside drivers/kvm only. */
#pragma once

#include <stdint.h>

#include "drivers/kvm/guest.h"

struct err;

/* Whether QEMU may write what it still holds of the disk's tables. Where the disk goes, too, there
 * is no use in that; and libvirt, which hears of it, then waits for 0.2 s. */
enum stop_how { STOP_WRITE, STOP_DISCARD };

/* Asks the guest to shut down (0: does not), waits so long for it, then ends it. Of one that does
 * not run it clears up. */
int kvm_guest_end(struct kvm_guest *guest, enum stop_how how, uint64_t timeout_ms, struct err *err);

/* What of a domain goes with it. */
#define STOP_FORGET                                                                                \
	(VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |               \
		VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)

/* Removes its domain, which does not run, from libvirt's memory, and its log. */
int stop_undefine(struct kvm_guest *guest, struct err *err);

/* Notes that an end from now on is our doing, and not the guest's; takes that back. */
int stop_mark(const struct kvm_guest *guest, struct err *err);
void stop_unmark(const struct kvm_guest *guest);

/* Removes what a run leaves in the driver's directories. */
int stop_clear(const struct kvm_guest *guest, struct err *err);
