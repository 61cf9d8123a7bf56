/* Sees changes of guests by libvirt's events; used inside drivers/kvm only. */
#pragma once

#include "drivers/kvm/instance.h"

struct err;
struct remote;

/* The watch of all guests, see drivers/watch/remote.h. */
int events_watch(struct kvm *kvm, struct remote **ret, struct err *err);
