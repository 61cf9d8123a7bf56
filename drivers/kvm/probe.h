/* Whether machines can run here; used inside drivers/kvm only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "drivers/kvm/instance.h"

/* Fills version, acceleration, usable, problem and notice. */
void probe_host(const struct kvm *kvm, struct driver_info *ret);

/* Whether libvirt offers machines that KVM carries, by its capabilities
 * (libvirt.org/formatcaps). Pure. */
bool probe_offers_kvm(const char *capabilities);

/* Whether machines are accelerated: KVM works, and libvirt offers it. `reason` gets why not, as
 * part of a sentence. `capabilities` NULL: libvirt could not be asked. */
bool probe_accelerated(
	const struct kvm *kvm, const char *capabilities, char *reason, size_t reason_size);
