/* The header of a qcow2 disk, as far as it is to be judged before anything else reads it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

/* What of a file's beginning holds the header with its extensions: those of disks that QEMU makes
 * take a few hundred bytes. */
#define QCOW2_HEADER_MAX 65536

struct qcow2 {
	uint64_t size; /* bytes, as the guest sees it */
	uint32_t cluster_size;
};

/* Judges the first `length` bytes (all there are, up to QCOW2_HEADER_MAX) of a file of `file_size`
 * bytes: ERR_INVALID (format) for what is not a qcow2, refers to another file, is encrypted, marked
 * as damaged, needs features that are not known here, or whose figures cannot be true. Pure. */
int qcow2_parse(
	const uint8_t *data, size_t length, uint64_t file_size, struct qcow2 *ret, struct err *err);

/* The virtual size of one that we made ourselves, whatever else its header says; -EINVAL. */
int qcow2_size(const uint8_t *data, size_t length, uint64_t *ret);
