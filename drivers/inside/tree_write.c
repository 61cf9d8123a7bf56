/* Writing a file of a guest: its bytes go into a file without a name, which takes the place of the
 * old one by a rename when all have come. A transfer cut off anywhere leaves the old file, and
 * nothing beside it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/random.h"
#include "drivers/inside/tree_internal.h"

#define TEMPORARY_DIGITS 16

/* Where the bytes go until all are there. */
struct draft {
	int parent; /* the directory */
	int fd;
	char name[TEMPORARY_DIGITS + 16]; /* empty while it has none */
};

static void name_draft(struct draft *d)
{
	char random[TEMPORARY_DIGITS + 1];

	random_hex(random, TEMPORARY_DIGITS);
	snprintf(d->name, sizeof(d->name), ".corpus-%s", random);
}

static void draft_finish(struct draft *d)
{
	if (d->name[0])
		unlinkat(d->parent, d->name, 0);
	d->fd = fd_close(d->fd);
}

/* Not every file system has files without a name. */
static int draft_open(struct draft *d)
{
	d->fd = openat(d->parent, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (d->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return d->fd < 0 ? -errno : 0;
	name_draft(d);
	d->fd = openat(d->parent, d->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (d->fd >= 0)
		return 0;
	d->name[0] = '\0';
	return -errno;
}

/* A link can only be made where nothing has the name yet, so it gets one of its own first. */
static int draft_place(struct draft *d, const struct tree *tree, const char *name)
{
	char number[16];

	if (!d->name[0]) {
		snprintf(number, sizeof(number), "%d", d->fd);
		name_draft(d);
		if (linkat(tree->self, number, d->parent, d->name, AT_SYMLINK_FOLLOW) < 0) {
			d->name[0] = '\0';
			return -errno;
		}
	}
	fault_point("driver.inside.write.linked");
	if (renameat(d->parent, d->name, d->parent, name) < 0)
		return -errno;
	d->name[0] = '\0';
	return 0;
}

int tree_replaces(struct driver_file *f, const struct stat *old, struct err *err)
{
	bool replaces = old && S_ISREG(old->st_mode);

	if (old && S_ISDIR(old->st_mode))
		return tree_fail(err, EISDIR, f->path);
	if (old && !replaces && !S_ISLNK(old->st_mode))
		return tree_not_regular(err, f->path);
	if (f->mode < 0)
		f->mode = replaces ? old->st_mode & 01777 : 0644;
	if (f->uid < 0)
		f->uid = replaces ? old->st_uid : 0;
	if (f->gid < 0)
		f->gid = replaces ? old->st_gid : 0;
	return 0;
}

/* Whether the sender says that this was all; there is no more to come either way. */
static int await_word(int whole_fd, struct err *err)
{
	char word;
	ssize_t n;

	if (whole_fd <= 0)
		return 0;
	do
		n = read(whole_fd, &word, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0
		      : err_set(err, ERR_CANCELLED, NULL,
				"the transfer was cut off: nothing was changed");
}

int tree_check_whole(const struct driver_file *file, uint64_t size, struct err *err)
{
	if (size < file->size)
		return err_set(err, ERR_INVALID, NULL,
			"the transfer was cut off after %" PRIu64 " of %" PRIu64
			" bytes: nothing was changed",
			size, file->size);
	return await_word(file->whole_fd, err);
}

int tree_take_whole(const struct driver_file *file, int fd, uint64_t *ret_size, struct err *err)
{
	int64_t n = tree_copy(file->fd, fd, UINT64_MAX, file->path, err);

	if (n < 0)
		return -EIO;
	*ret_size = (uint64_t)n;
	return tree_check_whole(file, (uint64_t)n, err);
}

static int fill(int fd, const struct driver_file *file, struct err *err)
{
	uint64_t size;
	int r = tree_take_whole(file, fd, &size, err);

	if (r < 0)
		return r;
	if (fchown(fd, (uid_t)file->uid, (gid_t)file->gid) < 0 ||
		fchmod(fd, (mode_t)file->mode) < 0)
		return tree_fail(err, errno, file->path);
	return 0;
}

int tree_write(const struct tree *tree, const struct driver_file *asked, struct err *err)
{
	char name[TREE_NAME_MAX + 1];
	AUTOCLOSE int parent = tree_parent(tree, asked->path, name, err);
	CLEANUP(draft_finish) struct draft draft = {.parent = parent, .fd = -1};
	struct driver_file file = *asked;
	struct stat old;
	bool exists;
	int r;

	if (parent < 0)
		return parent;
	exists = fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	r = tree_replaces(&file, exists ? &old : NULL, err);
	if (r < 0)
		return r;
	r = draft_open(&draft);
	if (r < 0)
		return tree_fail(err, -r, file.path);
	r = fill(draft.fd, &file, err);
	if (r < 0)
		return r;
	r = draft_place(&draft, tree, name);
	return r < 0 ? tree_fail(err, -r, file.path) : 0;
}
