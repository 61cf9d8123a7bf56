/* The entries of an archive become files. Every parent directory is opened beneath the root without
 * following a link, and every file is made anew: an entry can neither reach outside nor change what
 * an earlier one made. */
#include "storage/unpack/extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "storage/unpack/path.h"

#define XATTR_VALUE_MAX 65536
#define LINK_MAX_	4095

/* An entry on its way. */
struct item {
	struct archive *archive;
	struct archive_entry *entry;
	struct path path;
};

static int refuse(struct err *err, const struct item *item, const char *why)
{
	return err_set(err, ERR_INVALID, NULL, "the entry %s %s", SHOWN(item->path.text), why);
}

/* What a failed call on the entry means. */
static int fail(struct err *err, const struct item *item, int errnum)
{
	const char *name = SHOWN(item->path.text);

	switch (errnum) {
	case EEXIST: return err_set(err, ERR_INVALID, NULL, "the entry %s appears twice", name);
	case ELOOP:
		return err_set(
			err, ERR_INVALID, NULL, "the entry %s leads through a symbolic link", name);
	case ENOTDIR:
		return err_set(err, ERR_INVALID, NULL,
			"the entry %s leads through what is not a directory", name);
	case EDQUOT:
	case EFBIG:
		return err_set(err, ERR_TOO_LARGE, NULL,
			"the archive unpacks to more than an image may hold, at %s", name);
	case ENAMETOOLONG:
	case EMLINK:
	case EINVAL:
	case E2BIG:
	case ERANGE: return refuse(err, item, strerror(errnum));
	default: return err_errno(err, errnum, "cannot make %s", name);
	}
}

/* --- Parents --------------------------------------------------------------------------------- */

static int open_beneath(const struct extract *x, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, x->root, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Archives may leave directories out: those are made as tar does. */
static int make_parents(const struct extract *x, const char *path)
{
	AUTOCLOSE int dir = open_beneath(x, "", O_PATH | O_DIRECTORY);
	AUTOFREE char *copy = strdup(path);
	char *save = NULL;

	if (dir < 0 || !copy)
		return dir < 0 ? dir : -ENOMEM;
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		int next;

		if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
			return -errno;
		next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		fd_close(dir);
		dir = next;
	}
	return 0;
}

/* The directory that holds `path`; the caller does not close it. */
static int open_parent(struct extract *x, const struct path *path)
{
	AUTOFREE char *parent = strndup(path->text, path->parent_length);
	int fd, r;

	if (!parent)
		return -ENOMEM;
	if (x->parent_path && strcmp(x->parent_path, parent) == 0)
		return x->parent;
	fd = open_beneath(x, parent, O_PATH | O_DIRECTORY);
	if (fd == -ENOENT) {
		r = make_parents(x, parent);
		if (r < 0)
			return r;
		fd = open_beneath(x, parent, O_PATH | O_DIRECTORY);
	}
	if (fd < 0)
		return fd;
	fd_close(x->parent);
	free(x->parent_path);
	x->parent = fd;
	x->parent_path = TAKE_PTR(parent);
	return fd;
}

/* --- Metadata -------------------------------------------------------------------------------- */

static struct timespec mtime_of(struct archive_entry *entry)
{
	return (struct timespec){
		.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};
}

/* Capabilities of programs, and what users may set. Labels of security modules, which belong to
 * the machine that the archive was made on, are left out. */
static bool is_wanted_xattr(const char *name)
{
	return strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0;
}

static int set_xattrs(struct extract *x, const struct item *item, int fd, struct err *err)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(item->entry);
	while (archive_entry_xattr_next(item->entry, &name, &value, &size) == ARCHIVE_OK) {
		if (!is_wanted_xattr(name))
			continue;
		x->size += size;
		if (size > XATTR_VALUE_MAX || x->size > x->limits.size)
			return fail(err, item, EFBIG);
		if (fsetxattr(fd, name, value, size, 0) < 0)
			return errno == EOPNOTSUPP || errno == ENOSPC
				       ? refuse(err, item,
						 "has extended attributes that cannot "
						 "be stored")
				       : fail(err, item, errno);
	}
	return 0;
}

/* Owner first: a change of owner takes setuid and capabilities away. */
static int set_metadata(struct extract *x, const struct item *item, int fd, struct err *err)
{
	struct timespec times[2] = {mtime_of(item->entry), mtime_of(item->entry)};
	int r;

	if (fchown(fd, (uid_t)archive_entry_uid(item->entry),
		    (gid_t)archive_entry_gid(item->entry)) < 0 ||
		fchmod(fd, archive_entry_perm(item->entry) & 07777) < 0)
		return fail(err, item, errno);
	r = set_xattrs(x, item, fd, err);
	if (r == 0 && futimens(fd, times) < 0)
		return fail(err, item, errno);
	return r;
}

static int check_owner(const struct item *item, struct err *err)
{
	int64_t uid = archive_entry_uid(item->entry), gid = archive_entry_gid(item->entry);

	if (uid < 0 || gid < 0 || uid >= UNPACK_IDS || gid >= UNPACK_IDS)
		return refuse(err, item, "has an owner or group beyond 65535");
	return 0;
}

/* --- Kinds of entries ------------------------------------------------------------------------ */

static int remember_directory(struct extract *x, const struct item *item)
{
	if (x->directories_count == x->directories_room) {
		size_t room = x->directories_room ? x->directories_room * 2 : 256;
		void *grown = realloc(x->directories, room * sizeof(*x->directories));

		if (!grown)
			return -ENOMEM;
		x->directories = grown;
		x->directories_room = room;
	}

	struct extract_directory *d = &x->directories[x->directories_count];

	d->path = strdup(item->path.text);
	d->mtime = mtime_of(item->entry);
	if (!d->path)
		return -ENOMEM;
	x->directories_count++;
	return 0;
}

/* The only kind that may appear twice: the later one's metadata counts. */
static int make_directory(struct extract *x, const struct item *item, int parent, struct err *err)
{
	const char *name = *item->path.base ? item->path.base : ".";
	AUTOCLOSE int fd = -1;
	int r;

	if (*item->path.base && mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return fail(err, item, errno);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(err, item, errno == ENOTDIR || errno == ELOOP ? EEXIST : errno);
	r = set_metadata(x, item, fd, err);
	if (r == 0 && remember_directory(x, item) < 0)
		r = fail(err, item, ENOMEM);
	return r;
}

static int write_block(int fd, const void *data, size_t size, int64_t offset)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = pwrite(fd, p, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}

/* What is not written is a hole, which reads as zeros: disks are mostly that. */
static bool is_zero(const void *data, size_t size)
{
	const char *bytes = data;

	return size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static int write_data(struct extract *x, const struct item *item, int fd, struct err *err)
{
	const void *data;
	int64_t offset;
	size_t size;
	int r;

	while ((r = archive_read_data_block(item->archive, &data, &size, &offset)) == ARCHIVE_OK) {
		x->size += size;
		if (x->size > x->limits.size)
			return fail(err, item, EFBIG);
		r = is_zero(data, size) ? 0 : write_block(fd, data, size, offset);
		if (r < 0)
			return fail(err, item, -r);
	}
	if (r != ARCHIVE_EOF)
		return err_set(err, ERR_INVALID, NULL,
			"the archive is damaged or cut short at %s: %s", SHOWN(item->path.text),
			SHOWN(archive_error_string(item->archive)));
	/* A file may end in a hole. */
	if (ftruncate(fd, archive_entry_size(item->entry)) < 0)
		return fail(err, item, errno);
	return 0;
}

static int make_file(struct extract *x, const struct item *item, int parent, struct err *err)
{
	int64_t size = archive_entry_size(item->entry);
	AUTOCLOSE int fd = -1;
	int r;

	if (size < 0 || (uint64_t)size > x->limits.size)
		return fail(err, item, EFBIG);
	fd = openat(parent, item->path.base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		return fail(err, item, errno);
	r = write_data(x, item, fd, err);
	return r < 0 ? r : set_metadata(x, item, fd, err);
}

/* Where it points is the guest's business: neither we nor later entries follow it. */
static int make_symlink(struct extract *x, const struct item *item, int parent, struct err *err)
{
	const char *target = archive_entry_symlink(item->entry);
	struct timespec times[2] = {mtime_of(item->entry), mtime_of(item->entry)};

	(void)x;
	if (!target || !*target || strlen(target) > LINK_MAX_)
		return refuse(err, item, "is a symbolic link to nowhere");
	if (symlinkat(target, parent, item->path.base) < 0 ||
		fchownat(parent, item->path.base, (uid_t)archive_entry_uid(item->entry),
			(gid_t)archive_entry_gid(item->entry), AT_SYMLINK_NOFOLLOW) < 0 ||
		utimensat(parent, item->path.base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(err, item, errno);
	return 0;
}

static int make_hard_link(struct extract *x, const struct item *item, struct err *err)
{
	AUTOFREE char *parent = NULL;
	AUTOCLOSE int from = -1;
	struct path target;
	struct stat st;
	int to, r = path_parse(archive_entry_hardlink(item->entry), &target, err);

	if (r < 0) {
		err_prefix(err, "%s is a hard link", SHOWN(item->path.text));
		return r;
	}
	parent = strndup(target.text, target.parent_length);
	if (!parent)
		return fail(err, item, ENOMEM);
	from = open_beneath(x, parent, O_PATH | O_DIRECTORY);
	if (from < 0 || fstatat(from, target.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return from == -ELOOP ? fail(err, item, ELOOP)
				      : refuse(err, item, "is a hard link to what is not there");
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return refuse(err, item, "is a hard link to what is not a file");
	to = open_parent(x, &item->path);
	if (to < 0)
		return fail(err, item, -to);
	if (linkat(from, target.base, to, item->path.base, 0) < 0)
		return fail(err, item, errno);
	return 0;
}

static const struct kind {
	mode_t type;
	const char *refused; /* NULL: made by */
	int (*make)(struct extract *x, const struct item *item, int parent, struct err *err);
} g_kinds[] = {
	{AE_IFREG, NULL, make_file},
	{AE_IFDIR, NULL, make_directory},
	{AE_IFLNK, NULL, make_symlink},
	{AE_IFCHR, "is a character device", NULL},
	{AE_IFBLK, "is a block device", NULL},
	{AE_IFIFO, "is a FIFO", NULL},
	{AE_IFSOCK, "is a socket", NULL},
};

static const struct kind *kind_of(struct archive_entry *entry)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_kinds); i++)
		if (g_kinds[i].type == archive_entry_filetype(entry))
			return &g_kinds[i];
	return NULL;
}

/* --- From outside ---------------------------------------------------------------------------- */

int extract_init(struct extract *x, const struct extract_limits *limits, struct err *err)
{
	*x = (struct extract){.limits = *limits, .parent = -1};
	x->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return x->root < 0 ? err_errno(err, errno, "cannot open the target") : 0;
}

void extract_finish(struct extract *x)
{
	x->root = fd_close(x->root);
	x->parent = fd_close(x->parent);
	free(x->parent_path);
	for (size_t i = 0; i < x->directories_count; i++)
		free(x->directories[i].path);
	free(x->directories);
}

int extract_entry(
	struct extract *x, struct archive *archive, struct archive_entry *entry, struct err *err)
{
	struct item item = {.archive = archive, .entry = entry};
	const char *name = archive_entry_pathname(entry);
	const struct kind *kind = kind_of(entry);
	int parent, r;

	if (++x->entries > x->limits.entries)
		return err_set(err, ERR_TOO_LARGE, NULL, "the archive has more than %llu entries",
			(unsigned long long)x->limits.entries);
	if (!name || !*name)
		return err_set(err, ERR_INVALID, NULL,
			"entry %llu of the archive has no valid name",
			(unsigned long long)x->entries);
	r = path_parse(name, &item.path, err);
	if (r == 0)
		r = check_owner(&item, err);
	if (r < 0)
		return r;
	if (archive_entry_hardlink(entry))
		return make_hard_link(x, &item, err);
	if (!kind || kind->refused)
		return refuse(err, &item, kind ? kind->refused : "is of an unknown kind");
	if (!item.path.text[0] && kind->type != AE_IFDIR)
		return err_set(err, ERR_INVALID, NULL, "the archive's root is not a directory");
	parent = open_parent(x, &item.path);
	return parent < 0 ? fail(err, &item, -parent) : kind->make(x, &item, parent, err);
}

int extract_end(struct extract *x, struct err *err)
{
	for (size_t i = x->directories_count; i-- > 0;) {
		struct extract_directory *d = &x->directories[i];
		struct timespec times[2] = {d->mtime, d->mtime};
		AUTOCLOSE int fd = open_beneath(x, d->path, O_RDONLY | O_DIRECTORY);

		if (fd < 0 || futimens(fd, times) < 0)
			return err_errno(err, fd < 0 ? fd : errno, "cannot set the time of %s",
				SHOWN(d->path));
	}
	return 0;
}
