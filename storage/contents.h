/* What a disk holds, by its beginning. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All that is looked at lies in these first bytes. */
#define CONTENTS_HEAD 131072

struct contents {
	const char *what; /* "an XFS file system" */
	bool ext4;	  /* or ext2, ext3: the disk as a whole, without partitions */
	uint32_t block_size;
	uint64_t blocks, free_blocks; /* of ext4 */
};

/* Pure; `size` is the disk's. */
struct contents contents_of(const uint8_t *head, size_t length, uint64_t size);
