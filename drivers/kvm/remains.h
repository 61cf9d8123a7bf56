/* What libvirt leaves behind of our machines; used inside drivers/kvm only. */
#pragma once

#include <libvirt/libvirt.h>

struct kvm;

/* Domains of ours without a guest that do not run: a libvirtd that comes back while a machine is
 * destroyed may keep one. */
void remains_remove_domains(struct kvm *kvm, virConnectPtr conn);

/* Control groups of a machine that has ended: where no systemd keeps them, a libvirtd that was not
 * there at its end does not remove them later. */
void remains_remove_groups(const char *id);

/* QEMU's own log, which libvirt never removes, and what became of it by rotation. */
void remains_remove_logs(const char *id);
