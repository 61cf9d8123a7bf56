/* Whom QEMU runs as, and that it can use a guest's files: libvirt would give them to it at each
 * start and take them back at each end, which a crash cuts short; used inside drivers/kvm only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/driver.h"

struct err;

struct owner {
	bool known; /* false: libvirt says nothing of it */
	uid_t uid;
	gid_t gid;
};

/* By libvirt's capabilities (libvirt.org/formatcaps): the label of the security model "dac". Pure.
 */
void owner_of(const char *capabilities, struct owner *ret);

/* "+64055:+64055" */
#define OWNER_LABEL_MAX 32
const char *owner_label(char buf[static OWNER_LABEL_MAX], const struct owner *owner);

/* Gives what the guest writes to the owner, and lets it read the rest. ERR_DRIVER, with the field
 * of struct driver_disk, for a file that is not there or is none. */
int owner_give(const struct owner *owner, const struct driver_disk *disk, struct err *err);

/* Whether the file can be read and written past the node's cache, and should be: btrfs keeps sums
 * of what it writes, which come out wrong when the guest changes memory that is being written. */
bool owner_direct_io(const char *path);
