/* What a guest has on the node: where its files are, and which facts make a machine; used inside
 * drivers/kvm only. libvirt's XML is rendered anew from its definition at each start. */
#pragma once

#include "drivers/kvm/instance.h"

#define KVM_TITLE "KVM"

/* Refuses facts that no machine can be made of. */
int define_check(const struct driver_guest *guest, struct err *err);

/* Removes the definition, and what else the driver keeps in its directories. */
int define_remove(const struct kvm_paths *paths, struct err *err);
