/* One boot of something small under QEMU, from its beginning to its end; used by accel.c only. */
#pragma once

#include <stddef.h>

#include "drivers/kvm/accel.h"

/* What boot.S is, byte for byte: the end of a machine's firmware. */
extern const char corpus_kvm_boot[];
extern const uint32_t corpus_kvm_boot_size; /* 0: nothing, on this kind of processor */

/* Boots `size` bytes as the end of a firmware, and fills works, reason and inconclusive. QEMU runs
 * as somebody unprivileged where we are root, and is gone afterwards, whatever it did. */
void accel_boot(
	const struct accel_host *host, const char *code, size_t size, struct accel_finding *ret);
