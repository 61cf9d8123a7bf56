/* What a subvolume holds of what was written since some transaction.
 *
 * The kernel passes over all blocks of the subvolume's tree that are older, so this takes time in
 * proportion to what was changed, not to what is there. */
#include "storage/written.h"

#include <linux/btrfs_tree.h>
#include <string.h>

#include "base/cleanup.h"
#include "storage/tree.h"

/* Blocks of trees are half full at the least, but for a few. */
#define TREE_BYTES(items) (2 * (items))

struct extent {
	uint64_t start, size;
};

struct extents {
	struct extent *all;
	size_t count, room;
};

static void extents_finish(struct extents *extents)
{
	free(extents->all);
}

static int add(struct extents *extents, const struct extent *extent)
{
	if (extents->count == extents->room) {
		size_t room = extents->room ? extents->room * 2 : 256;
		struct extent *grown = realloc(extents->all, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		extents->all = grown;
		extents->room = room;
	}
	extents->all[extents->count++] = *extent;
	return 0;
}

/* A file's piece in an extent of its own; holes have none, small files lie in the tree. */
static int add_item(struct extents *extents, const struct tree_item *item, uint64_t since)
{
	struct btrfs_file_extent_item piece;
	struct extent extent;

	tree_item_copy(item, &piece, sizeof(piece));
	if (piece.type == BTRFS_FILE_EXTENT_INLINE || le64toh(piece.generation) <= since)
		return 0;
	extent.start = le64toh(piece.disk_bytenr);
	extent.size = le64toh(piece.disk_num_bytes);
	return extent.start ? add(extents, &extent) : 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = ((const struct extent *)a)->start,
		 right = ((const struct extent *)b)->start;

	return left < right ? -1 : left > right;
}

/* Many pieces may lie in one extent, and files may share it. */
static uint64_t sum(struct extents *extents)
{
	uint64_t bytes = 0;

	if (extents->count)
		qsort(extents->all, extents->count, sizeof(*extents->all), compare);
	for (size_t i = 0; i < extents->count; i++)
		if (i == 0 || extents->all[i].start != extents->all[i - 1].start)
			bytes += extents->all[i].size;
	return bytes;
}

int written_bytes(int fd, uint64_t since, uint64_t *ret)
{
	CLEANUP(tree_walk_finish)
	struct tree_walk walk = {.fd = fd,
		.range = {.type = BTRFS_EXTENT_DATA_KEY,
			.max_object = UINT64_MAX,
			.max_offset = UINT64_MAX,
			.since = since}};
	CLEANUP(extents_finish) struct extents extents = {0};
	struct tree_item item;
	int r;

	while ((r = tree_walk_next(&walk, &item)) > 0) {
		r = add_item(&extents, &item, since);
		if (r < 0)
			return r;
	}
	if (r == 0)
		*ret = sum(&extents) + TREE_BYTES(walk.seen);
	return r;
}
