/* Disks for machines that tests run: each guest's own, in the node's folder. What they boot is a
 * boot sector: there in half a second, says "up" on its console, and waits. */
#pragma once

#include "kvm_node.h"

#define KVM_MACHINE_UP "up\n"

/* ROOTFS_PLAIN ends by the power button, ROOTFS_STUBBORN does not, ROOTFS_NO_INIT cannot be
 * started: its disk is not what it says; ROOTFS_SLOW is as plain, they all take a while to boot.
 * Lives as long as the process. */
const struct driver_disk *kvm_machine_disk(const char *id, enum rootfs_kind kind);

/* Waits until one that boots a real image has come up, by a word that waits so long. Emulated on a
 * machine that is busy, a kernel has been seen to stand still while it booted: once that is
 * forgiven, and it is started anew. */
#define KVM_MACHINE_BOOT_MS 120000
void kvm_machine_await(bool (*comes_up)(void), void (*start_anew)(void));

/* Above and on a real image, for what needs commands: kvm_node_image. */
const struct driver_disk *kvm_machine_disk_on_image(const char *id);
