/* The KVM driver: machines by way of libvirt. docs/kvm.md says what it does to a host. */
#pragma once

#include "drivers/driver.h"

extern const struct driver_ops kvm_driver_ops;
