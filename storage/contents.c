/* What a disk holds, by its beginning: the superblock of ext4 as
 * Documentation/filesystems/ext4/super.rst has it, the magic numbers of others. */
#include "storage/contents.h"

#include <endian.h>
#include <string.h>

#include "base/cleanup.h"

/* Offsets on the disk; numbers are little-endian. */
#define EXT4_BLOCKS	 0x404
#define EXT4_FREE_BLOCKS 0x40c
#define EXT4_LOG_BLOCK	 0x418
#define EXT4_MAGIC	 0x438
#define EXT4_INCOMPAT	 0x460
#define EXT4_BLOCKS_HIGH 0x550
#define EXT4_FREE_HIGH	 0x558
#define EXT4_END	 0x800
#define EXT4_LOG_MAX	 6
#define EXT4_INCOMPAT_64 0x80
#define EXT4_MAGIC_VALUE 0xef53

static const struct {
	size_t at;
	const char *bytes;
	size_t length;
	const char *what;
} g_others[] = {
	{512, "EFI PART", 8, "partitions (GPT)"},
	{0, "XFSB", 4, "an XFS file system"},
	{65536 + 64, "_BHRfS_M", 8, "a btrfs file system"},
	{0, "LUKS\xba\xbe", 6, "an encrypted disk (LUKS)"},
	{512, "LABELONE", 8, "a volume of LVM"},
	{510, "\x55\xaa", 2, "partitions, or a boot sector"},
};

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t count_at(const uint8_t *head, size_t low, size_t high)
{
	bool large = le32(head + EXT4_INCOMPAT) & EXT4_INCOMPAT_64;

	return le32(head + low) | (large ? (uint64_t)le32(head + high) << 32 : 0);
}

static bool is_ext4(const uint8_t *head, size_t length, uint64_t size, struct contents *ret)
{
	uint32_t log_block;

	if (length < EXT4_END || (head[EXT4_MAGIC] | head[EXT4_MAGIC + 1] << 8) != EXT4_MAGIC_VALUE)
		return false;
	log_block = le32(head + EXT4_LOG_BLOCK);
	if (log_block > EXT4_LOG_MAX)
		return false;
	ret->block_size = 1024U << log_block;
	ret->blocks = count_at(head, EXT4_BLOCKS, EXT4_BLOCKS_HIGH);
	ret->free_blocks = count_at(head, EXT4_FREE_BLOCKS, EXT4_FREE_HIGH);
	return ret->blocks > 0 && ret->blocks <= size / ret->block_size &&
	       ret->free_blocks <= ret->blocks;
}

struct contents contents_of(const uint8_t *head, size_t length, uint64_t size)
{
	struct contents contents = {.what = "nothing that is known here"};

	contents.ext4 = is_ext4(head, length, size, &contents);
	if (contents.ext4) {
		contents.what = "an ext4 file system";
		return contents;
	}
	for (size_t i = 0; i < ARRAY_SIZE(g_others); i++)
		if (g_others[i].at + g_others[i].length <= length &&
			memcmp(head + g_others[i].at, g_others[i].bytes, g_others[i].length) == 0)
			return (struct contents){.what = g_others[i].what};
	return (struct contents){.what = contents.what};
}
