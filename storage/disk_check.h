/* Whether a disk is what it is said to be. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/image.h"

struct err;
struct source;

/* What the first bytes of something look like; all but raw disks show what they are. */
enum disk_look {
	DISK_LOOKS_RAW, /* or like nothing */
	DISK_LOOKS_QCOW2,
	DISK_LOOKS_PACKED,  /* a tar archive, or something compressed */
	DISK_LOOKS_FOREIGN, /* a disk of another format */
};
enum disk_look disk_look(const uint8_t *data, size_t length);

/* ERR_INVALID (format) for a disk that begins as one of another format does, or an archive: whoever
 * reads such a one as raw lets its guest choose what it is taken for next time. */
int disk_check_raw(const uint8_t *data, size_t length, struct err *err);

/* Checks the disk in `fd`, a qcow2 also by a confined qemu-img, while `source` is told of progress
 * and may cancel it. Its size as the guest sees it goes to `ret_size`. */
int disk_check(int fd, enum disk_format format, struct source *source, uint64_t *ret_size,
	struct err *err);
