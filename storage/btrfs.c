/* btrfs by libbtrfsutil and ioctls. Everything goes by descriptor and name, never by a path from
 * the root, so it works wherever the pool is mounted. */
#include "storage/btrfs.h"

#include <btrfsutil.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "storage/tree.h"

DEFINE_CLEANUP(struct btrfs_util_subvolume_iterator *, btrfs_util_destroy_subvolume_iterator)

bool btrfs_is(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == BTRFS_SUPER_MAGIC;
}

int btrfs_fsid(int fd, uint8_t ret[static BTRFS_FSID_SIZE_])
{
	struct btrfs_ioctl_fs_info_args info = {0};

	if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return -errno;
	memcpy(ret, info.fsid, BTRFS_FSID_SIZE_);
	return 0;
}

void btrfs_fsid_format(
	const uint8_t fsid[static BTRFS_FSID_SIZE_], char buf[static BTRFS_FSID_TEXT])
{
	size_t used = 0;

	for (size_t i = 0; i < BTRFS_FSID_SIZE_; i++) {
		const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";

		used += (size_t)snprintf(
			buf + used, BTRFS_FSID_TEXT - used, "%s%02x", dash, fsid[i]);
	}
}

int btrfs_subvolume_id(int fd, uint64_t *ret)
{
	return btrfs_util_subvolume_id_fd(fd, ret) == BTRFS_UTIL_OK ? 0 : -errno;
}

int btrfs_subvolume_create(int parent, const char *name)
{
	return btrfs_util_create_subvolume_fd(parent, name, 0, NULL, NULL) == BTRFS_UTIL_OK
		       ? 0
		       : -errno;
}

int btrfs_subvolume_snapshot(int source, int parent, const char *name, bool read_only)
{
	struct btrfs_ioctl_vol_args_v2 args = {
		.fd = source, .flags = read_only ? BTRFS_SUBVOL_RDONLY : 0};
	size_t length = strlen(name);

	if (length > BTRFS_SUBVOL_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(args.name, name, length);
	return ioctl(parent, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0 ? -errno : 0;
}

int btrfs_subvolume_set_read_only(int fd, bool read_only)
{
	return btrfs_util_set_subvolume_read_only_fd(fd, read_only) == BTRFS_UTIL_OK ? 0 : -errno;
}

/* By number, since a path below a guest's root is a path that the guest chose. */
static int delete_nested(
	int fd, uint64_t id, void (*deleted)(void *data, uint64_t subvolume), void *data)
{
	CLEANUP(btrfs_util_destroy_subvolume_iteratorp)
	struct btrfs_util_subvolume_iterator *iterator = NULL;
	enum btrfs_util_error r;

	if (btrfs_util_create_subvolume_iterator_fd(
		    fd, id, BTRFS_UTIL_SUBVOLUME_ITERATOR_POST_ORDER, &iterator) != BTRFS_UTIL_OK)
		return -errno;
	for (;;) {
		uint64_t nested;

		r = btrfs_util_subvolume_iterator_next(iterator, NULL, &nested);
		if (r == BTRFS_UTIL_ERROR_STOP_ITERATION)
			return 0;
		if (r != BTRFS_UTIL_OK ||
			btrfs_util_delete_subvolume_by_id_fd(fd, nested) != BTRFS_UTIL_OK)
			return -errno;
		deleted(data, nested);
	}
}

int btrfs_subvolume_delete(
	int parent, const char *name, void (*deleted)(void *data, uint64_t subvolume), void *data)
{
	AUTOCLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t id;
	int r;

	if (fd < 0)
		return -errno;
	r = btrfs_subvolume_id(fd, &id);
	if (r == 0)
		r = delete_nested(fd, id, deleted, data);
	if (r < 0)
		return r;
	if (btrfs_util_delete_subvolume_fd(parent, name, 0) != BTRFS_UTIL_OK)
		return -errno;
	fd = fd_close(fd);
	deleted(data, id);
	return 0;
}

int btrfs_subvolume_made(int fd, uint64_t *ret)
{
	struct btrfs_util_subvolume_info info;

	if (btrfs_util_subvolume_info_fd(fd, 0, &info) != BTRFS_UTIL_OK)
		return -errno;
	*ret = info.otransid;
	return 0;
}

int btrfs_subvolume_changed(int fd, uint64_t *ret)
{
	struct btrfs_util_subvolume_info info;

	if (btrfs_util_subvolume_info_fd(fd, 0, &info) != BTRFS_UTIL_OK)
		return -errno;
	*ret = info.generation;
	return 0;
}

int btrfs_is_cleaning(int fd)
{
	static const struct tree_range range = {.tree = BTRFS_ROOT_TREE_OBJECTID,
		.type = BTRFS_ORPHAN_ITEM_KEY,
		.min_object = BTRFS_ORPHAN_OBJECTID,
		.max_object = BTRFS_ORPHAN_OBJECTID,
		.max_offset = UINT64_MAX};
	char item;

	return tree_find(fd, &range, &item, sizeof(item));
}

int btrfs_commit(int fd)
{
	uint64_t transaction;

	if (btrfs_util_start_sync_fd(fd, &transaction) != BTRFS_UTIL_OK ||
		btrfs_util_wait_sync_fd(fd, transaction) != BTRFS_UTIL_OK)
		return -errno;
	return 0;
}

int btrfs_grow(int fd)
{
	struct btrfs_ioctl_vol_args args = {.name = "1:max"};

	return ioctl(fd, BTRFS_IOC_RESIZE, &args) < 0 ? -errno : 0;
}
