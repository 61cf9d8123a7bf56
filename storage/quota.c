/* Quota groups by ioctl, and their live figures from sysfs. */
#include "storage/quota.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/btrfs.h"
#include "storage/tree.h"

/* Linux 6.7, newer than the headers of Debian 12. */
#define CTL_ENABLE_SIMPLE  4
#define STATUS_SIMPLE_MODE (1ULL << 3)

#define FIGURE_MAX 64

/* --- State ----------------------------------------------------------------------------------- */

static int read_status(int fd, uint64_t *ret_flags)
{
	static const struct tree_range range = {.tree = BTRFS_QUOTA_TREE_OBJECTID,
		.type = BTRFS_QGROUP_STATUS_KEY,
		.max_offset = UINT64_MAX};
	struct btrfs_qgroup_status_item item;
	int r = tree_find(fd, &range, &item, sizeof(item));

	/* Without quotas there is no tree. */
	if (r == -ENOENT)
		r = 0;
	if (r < 0)
		return r;
	*ret_flags = r == 0 ? 0 : le64toh(item.flags);
	return 0;
}

static int read_mode(int fd, enum quota_mode *ret)
{
	uint64_t flags;
	int r = read_status(fd, &flags);

	if (r < 0)
		return r;
	if (flags & STATUS_SIMPLE_MODE)
		*ret = QUOTA_SIMPLE;
	else
		*ret = flags & BTRFS_QGROUP_STATUS_FLAG_ON ? QUOTA_CLASSIC : QUOTA_OFF;
	return 0;
}

static int enable(int fd, bool want_simple)
{
	struct btrfs_ioctl_quota_ctl_args args = {.cmd = CTL_ENABLE_SIMPLE};

	if (want_simple && ioctl(fd, BTRFS_IOC_QUOTA_CTL, &args) == 0)
		return 0;
	args = (struct btrfs_ioctl_quota_ctl_args){.cmd = BTRFS_QUOTA_CTL_ENABLE};
	if (ioctl(fd, BTRFS_IOC_QUOTA_CTL, &args) < 0)
		return -errno;
	return ioctl(fd, BTRFS_IOC_QUOTA_RESCAN_WAIT) < 0 ? -errno : 0;
}

/* A kernel since 6.1 may stop counting when a large subvolume is deleted, and mark all figures as
 * not to be trusted, to save the time. We prefer the time. Older kernels have no such file. */
static void never_skip_counting(const struct quota *quota)
{
	char path[128];

	if (quota->mode == QUOTA_CLASSIC &&
		file_path(path, sizeof(path), "%s/drop_subtree_threshold", quota->sysfs) == 0)
		file_write(path, "8");
}

int quota_open(struct quota *quota, int fd, bool want_simple)
{
	uint8_t fsid[BTRFS_FSID_SIZE_];
	char text[BTRFS_FSID_TEXT];
	int r = read_mode(fd, &quota->mode);

	if (r == 0 && quota->mode == QUOTA_OFF) {
		r = enable(fd, want_simple);
		if (r == 0)
			r = read_mode(fd, &quota->mode);
	}
	if (r == 0)
		r = btrfs_fsid(fd, fsid);
	if (r < 0)
		return r;
	btrfs_fsid_format(fsid, text);
	quota->fd = fd;
	snprintf(quota->sysfs, sizeof(quota->sysfs), "/sys/fs/btrfs/%s/qgroups", text);
	never_skip_counting(quota);
	return quota->mode == QUOTA_OFF ? -ENOTSUP : 0;
}

int quota_repair(const struct quota *quota)
{
	struct btrfs_ioctl_quota_rescan_args args = {0};
	uint64_t flags;
	int r = read_status(quota->fd, &flags);

	if (r < 0)
		return r;
	if (!(flags & BTRFS_QGROUP_STATUS_FLAG_INCONSISTENT) ||
		(flags & BTRFS_QGROUP_STATUS_FLAG_RESCAN) || quota->mode == QUOTA_SIMPLE)
		return 0;
	if (ioctl(quota->fd, BTRFS_IOC_QUOTA_RESCAN, &args) < 0)
		return errno == EINPROGRESS ? 0 : -errno;
	return 1;
}

/* --- Groups ---------------------------------------------------------------------------------- */

int quota_set_limit(const struct quota *quota, uint64_t subvolume, uint64_t limit)
{
	struct btrfs_ioctl_qgroup_limit_args args = {.qgroupid = subvolume,
		.lim = {.flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = limit}};

	return ioctl(quota->fd, BTRFS_IOC_QGROUP_LIMIT, &args) < 0 ? -errno : 0;
}

/* A figure of a group; may be negative for a moment, which is as good as nothing. */
static int read_live(const struct quota *quota, uint64_t subvolume, const char *name, uint64_t *ret)
{
	char path[128], text[FIGURE_MAX];
	ssize_t n;
	int r = file_path(path, sizeof(path), "%s/0_%llu/%s", quota->sysfs,
		(unsigned long long)subvolume, name);
	AUTOCLOSE int fd = r == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return r < 0 ? r : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (parse_u64(text, UINT64_MAX, ret) < 0)
		*ret = 0;
	return 0;
}

static int read_pending(const struct quota *quota, uint64_t subvolume, uint64_t *ret)
{
	static const char *const names[] = {"rsv_data", "rsv_meta_pertrans", "rsv_meta_prealloc"};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t figure = 0;
		int r = read_live(quota, subvolume, names[i], &figure);

		if (r < 0)
			return r;
		sum += figure;
	}
	*ret = sum;
	return 0;
}

static int read_item(
	const struct quota *quota, uint64_t subvolume, uint32_t type, void *item, size_t size)
{
	/* The key of a group is (0, type, group). */
	const struct tree_range range = {.tree = BTRFS_QUOTA_TREE_OBJECTID,
		.type = type,
		.min_offset = subvolume,
		.max_offset = subvolume};
	int r = tree_find(quota->fd, &range, item, size);

	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int quota_read(const struct quota *quota, uint64_t subvolume, struct quota_figures *ret)
{
	struct btrfs_qgroup_limit_item limit;
	struct btrfs_qgroup_info_item info;
	struct quota_figures figures;
	int r = read_item(quota, subvolume, BTRFS_QGROUP_LIMIT_KEY, &limit, sizeof(limit));

	if (r < 0)
		return r;
	figures.limit = le64toh(limit.flags) & BTRFS_QGROUP_LIMIT_MAX_RFER ? le64toh(limit.max_rfer)
									   : UINT64_MAX;
	r = read_live(quota, subvolume, "referenced", &figures.used);
	if (r == 0)
		r = read_pending(quota, subvolume, &figures.pending);
	if (r == -ENOENT) {
		/* No sysfs here: commit, then the tree's figures are the live ones. */
		r = btrfs_commit(quota->fd);
		if (r == 0)
			r = read_item(quota, subvolume, BTRFS_QGROUP_INFO_KEY, &info, sizeof(info));
		figures.used = r == 0 ? le64toh(info.rfer) : 0;
		figures.pending = 0;
	}
	if (r < 0)
		return r;
	*ret = figures;
	return 0;
}

int quota_remove(const struct quota *quota, uint64_t subvolume)
{
	struct btrfs_ioctl_qgroup_create_args args = {.create = 0, .qgroupid = subvolume};

	if (ioctl(quota->fd, BTRFS_IOC_QGROUP_CREATE, &args) == 0)
		return 0;
	return errno == ENOENT || errno == EBUSY ? 0 : -errno;
}

static int subvolume_exists(int fd, uint64_t subvolume)
{
	const struct tree_range range = {.tree = BTRFS_ROOT_TREE_OBJECTID,
		.type = BTRFS_ROOT_ITEM_KEY,
		.min_object = subvolume,
		.max_object = subvolume,
		.max_offset = UINT64_MAX};
	struct btrfs_root_item item;

	return tree_find(fd, &range, &item, sizeof(item));
}

int quota_sweep(const struct quota *quota)
{
	static const struct tree_range range = {.tree = BTRFS_QUOTA_TREE_OBJECTID,
		.type = BTRFS_QGROUP_INFO_KEY,
		.max_offset = UINT64_MAX};
	CLEANUP(tree_walk_finish) struct tree_walk walk = {.fd = quota->fd, .range = range};
	struct btrfs_qgroup_info_item info;
	struct tree_item found;
	int r;

	while ((r = tree_walk_next(&walk, &found)) > 0) {
		tree_item_copy(&found, &info, sizeof(info));
		/* The upper 16 bits are the level; groups of levels are not ours. One that still
		 * counts something is needed still: to remove it would spoil the accounting. */
		if (found.offset < BTRFS_FIRST_FREE_OBJECTID || found.offset >> 48 || info.rfer ||
			info.excl)
			continue;
		r = subvolume_exists(quota->fd, found.offset);
		if (r == 0)
			r = quota_remove(quota, found.offset);
		if (r < 0)
			return r;
	}
	return r;
}
