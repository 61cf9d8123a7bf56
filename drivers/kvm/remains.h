/* What libvirt leaves behind of our machines; used inside drivers/kvm only. */
#pragma once

/* Control groups of a machine that has ended: where no systemd keeps them, a libvirtd that was not
 * there at its end does not remove them later. */
void remains_remove_groups(const char *id);

/* QEMU's own log, which libvirt never removes, and what became of it by rotation. */
void remains_remove_logs(const char *id);
