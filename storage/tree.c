/* Search in btrfs's trees. */
#include "storage/tree.h"

#include <linux/btrfs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"

/* Of the items that one call returns: no item is larger than a block, and no block than this. */
#define BUFFER 65536

/* What each item takes in its block beside its data. */
#define ITEM_HEADER 25

static int begin(struct tree_walk *walk)
{
	walk->args = malloc(sizeof(*walk->args) + BUFFER);
	if (!walk->args)
		return -ENOMEM;
	walk->args->key = (struct btrfs_ioctl_search_key){.tree_id = walk->range.tree,
		.min_type = walk->range.type,
		.max_type = walk->range.type,
		.min_objectid = walk->range.min_object,
		.max_objectid = walk->range.max_object,
		.min_offset = walk->range.min_offset,
		.max_offset = walk->range.max_offset,
		.min_transid = walk->range.since ? walk->range.since + 1 : 0,
		.max_transid = UINT64_MAX};
	return 0;
}

static int fill(struct tree_walk *walk)
{
	walk->args->key.nr_items = UINT32_MAX;
	walk->args->buf_size = BUFFER;
	if (ioctl(walk->fd, BTRFS_IOC_TREE_SEARCH_V2, walk->args) < 0)
		return -errno;
	walk->left = walk->args->key.nr_items;
	walk->at = 0;
	return walk->left > 0;
}

/* Continue after the key that was seen last; the kernel returns what fits its buffer. */
static void advance(struct tree_walk *walk, const struct btrfs_ioctl_search_header *seen)
{
	struct btrfs_ioctl_search_key *key = &walk->args->key;

	key->min_objectid = seen->objectid;
	key->min_type = seen->type;
	key->min_offset = seen->offset + 1;
	if (key->min_offset == 0)
		key->min_type++;
	if (key->min_type > UINT8_MAX) {
		key->min_objectid++;
		key->min_type = 0;
	}
}

int tree_walk_next(struct tree_walk *walk, struct tree_item *ret)
{
	struct btrfs_ioctl_search_header header;
	int r = walk->args ? 0 : begin(walk);

	if (r < 0)
		return r;
	/* The kernel's range is one over the whole key, so types in between come along. */
	do {
		const char *buf = (const char *)walk->args->buf;

		if (walk->left == 0) {
			r = fill(walk);
			if (r <= 0)
				return r;
		}
		memcpy(&header, buf + walk->at, sizeof(header));
		walk->at += sizeof(header);
		*ret = (struct tree_item){.object = header.objectid,
			.offset = header.offset,
			.data = buf + walk->at,
			.size = header.len};
		walk->at += header.len;
		walk->left--;
		walk->seen += header.len + ITEM_HEADER;
		advance(walk, &header);
	} while (header.type != walk->range.type);
	return 1;
}

void tree_walk_finish(struct tree_walk *walk)
{
	free(walk->args);
	walk->args = NULL;
}

void tree_item_copy(const struct tree_item *item, void *ret, size_t size)
{
	memset(ret, 0, size);
	memcpy(ret, item->data, item->size < size ? item->size : size);
}

int tree_find(int fd, const struct tree_range *range, void *ret, size_t size)
{
	CLEANUP(tree_walk_finish) struct tree_walk walk = {.fd = fd, .range = *range};
	struct tree_item item;
	int r = tree_walk_next(&walk, &item);

	if (r > 0)
		tree_item_copy(&item, ret, size);
	return r;
}
