/* Items of btrfs's own trees, as the kernel shows them (BTRFS_IOC_TREE_SEARCH_V2). Formats are
 * those of linux/btrfs_tree.h; all functions return 0, 1 or a negative errno. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Items of one type in a tree. */
struct tree_range {
	uint64_t tree; /* 0: of the subvolume that the descriptor lies in */
	uint32_t type;
	uint64_t min_object, max_object;
	uint64_t min_offset, max_offset; /* of the first and of the last object */
	uint64_t since; /* only what lies in blocks written after this transaction, and some more */
};

struct tree_item {
	uint64_t object, offset;
	const void *data; /* valid until the next one is read */
	size_t size;
};

struct tree_walk {
	int fd; /* anywhere in the file system; not owned */
	struct tree_range range;

	uint64_t seen; /* bytes of all items that were read, of other types too */
	struct btrfs_ioctl_search_args_v2 *args; /* of here on NULL and 0 at first */
	size_t at;
	uint32_t left;
};

/* 1 with the next item, 0 at the end. */
int tree_walk_next(struct tree_walk *walk, struct tree_item *ret);
void tree_walk_finish(struct tree_walk *walk);

/* Copies an item's data; what it lacks of `size` becomes zero. */
void tree_item_copy(const struct tree_item *item, void *ret, size_t size);

/* 1 with the first item of a range, 0 when there is none. */
int tree_find(int fd, const struct tree_range *range, void *ret, size_t size);
