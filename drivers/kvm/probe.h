/* Whether machines can run here; used inside drivers/kvm only. */
#pragma once

#include "drivers/kvm/instance.h"

/* Fills version, acceleration, usable, problem and notice. */
void probe_host(const struct kvm *kvm, struct driver_info *ret);
