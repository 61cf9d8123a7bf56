/* The loop file: a sparse file that holds the pool's file system, and the loop device that makes a
 * block device of it. The device is found again by the file it is made of, and detaches itself when
 * its last user is gone, so that neither a crash nor a release leaves one behind. */
#pragma once

#include <stdint.h>

struct err;

/* What is written at the start of the file system; see loop_identify. */
struct loop_identity {
	uint8_t fsid[16];
	uint64_t incompat; /* features without which a kernel must not mount it */
};

/* Makes the file of `size` bytes with an empty file system, atomically, when it does not exist. */
int loop_make(const char *file, uint64_t size, struct err *err);

/* Reads the file system's identity; ERR_CONFLICT when the file holds something else than btrfs. */
int loop_identify(const char *file, struct loop_identity *ret, struct err *err);

/* A descriptor of the loop device of the file, attached if it was not; its path goes to
 * `ret_device`. Unless mounted before the descriptor is closed, it detaches again. */
#define LOOP_DEVICE_MAX 32
int loop_attach(const char *file, char ret_device[static LOOP_DEVICE_MAX], struct err *err);

/* Enlarges the file to `size` bytes, and tells the device. */
int loop_grow(const char *file, uint64_t size, struct err *err);
