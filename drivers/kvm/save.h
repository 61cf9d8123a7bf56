/* The memory of machines in files, and machines that go on from there; used inside drivers/kvm
 * only.
 *
 * Beside driver_disk.memory there are two more, so that a crash at any point leaves what can be
 * gone on from. `memory.new` is being written; it is whole once libvirt says so in its first bytes,
 * and the machine ends with it, so a whole one of a machine that does not run becomes `memory`.
 * From that a machine goes on standing still, and before it moves it is renamed to `memory.going`,
 * which is of no use from then on, whatever becomes of the machine. */
#pragma once

#include "drivers/driver.h"
#include "drivers/kvm/guest.h"

struct err;

/* As driver_ops.save. */
int kvm_save(struct driver *driver, const char *id, struct err *err);

/* For starts, of a guest that guest_connect has filled, running or not: what a crash has left of an
 * earlier save or start is finished or removed. *ret_memory: it does not run, and has memory to go
 * on from. */
int save_settle(struct kvm_guest *guest, bool *ret_memory, struct err *err);

/* Has it go on from there. ERR_DRIVER when it cannot: then it does not run, and nothing is lost. */
int save_restore(struct kvm_guest *guest, struct err *err);
