/* What the guests are that the driver has, by one connection; used inside drivers/kvm only. */
#pragma once

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stddef.h>

#include "drivers/kvm/instance.h"

struct err;

/* One guest; without a connection, or with one that fails, it is UNKNOWN. False when it is not
 * defined. */
bool look_one(struct kvm *kvm, virConnectPtr conn, const char *id, struct driver_status *ret);

/* All that are defined; the caller frees *ret. */
int look_all(struct kvm *kvm, virConnectPtr conn, struct driver_status **ret, size_t *ret_count,
	struct err *err);
