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

/* Linux 6.7, newer than the headers of Debian 12. */
#define CTL_ENABLE_SIMPLE  4
#define STATUS_SIMPLE_MODE (1ULL << 3)

#define FIGURE_MAX 64

/* --- Search in the kernel's trees ------------------------------------------------------------ */

struct search {
	struct btrfs_ioctl_search_args args;
	size_t at; /* offset of the next item in args.buf */
	uint32_t left;
	bool last;
};

static void search_init(struct search *s, uint64_t tree, uint32_t type, uint64_t from, uint64_t to)
{
	memset(s, 0, sizeof(*s));
	s->args.key = (struct btrfs_ioctl_search_key){.tree_id = tree,
		.min_type = type,
		.max_type = type,
		.min_objectid = from,
		.max_objectid = to,
		.max_offset = UINT64_MAX,
		.max_transid = UINT64_MAX,
		.nr_items = UINT32_MAX};
}

static int search_fill(struct search *s, int fd)
{
	s->args.key.nr_items = UINT32_MAX;
	if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, &s->args) < 0)
		return -errno;
	s->left = s->args.key.nr_items;
	s->at = 0;
	s->last = s->left == 0;
	return 0;
}

/* Continue after the key that was seen last; the kernel returns what fits its buffer. */
static void search_advance(struct search *s, const struct btrfs_ioctl_search_header *seen)
{
	s->args.key.min_objectid = seen->objectid;
	s->args.key.min_type = seen->type;
	s->args.key.min_offset = seen->offset + 1;
	if (s->args.key.min_offset == 0)
		s->args.key.min_objectid++;
}

/* 1 with an item, 0 at the end, or a negative errno. The kernel's range is one over the whole key,
 * so types in between come along and are passed over. */
static int search_next(struct search *s, int fd, struct btrfs_ioctl_search_header *ret_header,
	void *ret_item, size_t size)
{
	for (;;) {
		uint32_t type = s->args.key.max_type;

		if (s->left == 0 && !s->last) {
			int r = search_fill(s, fd);

			if (r < 0)
				return r;
		}
		if (s->left == 0)
			return 0;
		memcpy(ret_header, s->args.buf + s->at, sizeof(*ret_header));
		s->at += sizeof(*ret_header);
		memset(ret_item, 0, size);
		memcpy(ret_item, s->args.buf + s->at,
			ret_header->len < size ? ret_header->len : size);
		s->at += ret_header->len;
		s->left--;
		search_advance(s, ret_header);
		if (ret_header->type == type)
			return 1;
	}
}

/* --- State ----------------------------------------------------------------------------------- */

static int read_status(int fd, uint64_t *ret_flags)
{
	struct btrfs_qgroup_status_item item;
	struct btrfs_ioctl_search_header header;
	struct search s;
	int r;

	search_init(&s, BTRFS_QUOTA_TREE_OBJECTID, BTRFS_QGROUP_STATUS_KEY, 0, 0);
	r = search_next(&s, fd, &header, &item, sizeof(item));
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
	struct btrfs_ioctl_search_header header;
	struct search s;
	int r;

	/* The key of a group is (0, type, group). */
	search_init(&s, BTRFS_QUOTA_TREE_OBJECTID, type, 0, 0);
	s.args.key.min_offset = s.args.key.max_offset = subvolume;
	r = search_next(&s, quota->fd, &header, item, size);
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
	struct btrfs_ioctl_search_header header;
	struct btrfs_root_item item;
	struct search s;

	search_init(&s, BTRFS_ROOT_TREE_OBJECTID, BTRFS_ROOT_ITEM_KEY, subvolume, subvolume);
	return search_next(&s, fd, &header, &item, sizeof(item));
}

int quota_sweep(const struct quota *quota)
{
	struct btrfs_qgroup_info_item info;
	struct btrfs_ioctl_search_header header;
	struct search s;
	int r;

	search_init(&s, BTRFS_QUOTA_TREE_OBJECTID, BTRFS_QGROUP_INFO_KEY, 0, 0);
	while ((r = search_next(&s, quota->fd, &header, &info, sizeof(info))) > 0) {
		/* The upper 16 bits are the level; groups of levels are not ours. One that still
		 * counts something is needed still: to remove it would spoil the accounting. */
		if (header.offset < BTRFS_FIRST_FREE_OBJECTID || header.offset >> 48 || info.rfer ||
			info.excl)
			continue;
		r = subvolume_exists(quota->fd, header.offset);
		if (r == 0)
			r = quota_remove(quota, header.offset);
		if (r < 0)
			return r;
	}
	return r;
}
