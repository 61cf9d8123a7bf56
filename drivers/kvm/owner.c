/* Whom QEMU runs as, and that it can use a guest's files. */
#include "drivers/kvm/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/xpath.h"

#define LABEL "/capabilities/host/secmodel[model='dac']/baselabel[1]"

void owner_of(const char *capabilities, struct owner *ret)
{
	CLEANUP(xpath_close) struct xpath xml = {0};
	AUTOFREE char *label = NULL;
	unsigned uid, gid;

	*ret = (struct owner){0};
	xpath_open(&xml, capabilities);
	label = xpath_text(&xml, LABEL);
	if (!label || sscanf(label, "+%u:+%u", &uid, &gid) != 2)
		return;
	*ret = (struct owner){.known = true, .uid = uid, .gid = gid};
}

const char *owner_label(char buf[static OWNER_LABEL_MAX], const struct owner *owner)
{
	snprintf(buf, OWNER_LABEL_MAX, "+%u:+%u", owner->uid, owner->gid);
	return buf;
}

/* --- Files ------------------------------------------------------------------------------------ */

enum use { READ, WRITE, WRITE_LATER }; /* the last: it need not be there yet */

static int open_file(const char *field, const char *path, struct stat *st, struct err *err)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, st) < 0)
		return err_set(err, ERR_DRIVER, field, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_DRIVER, field, "%s is not a file", path);
	return TAKE_FD(fd);
}

/* Of what it only reads QEMU is not the owner, who could write it all the same. */
static int give(int fd, const struct stat *st, const struct owner *owner, enum use use)
{
	uid_t uid = use == READ ? 0 : owner->uid;
	mode_t mode = use == READ ? 0640 : 0600;

	if ((st->st_uid != uid || st->st_gid != owner->gid) && fchown(fd, uid, owner->gid) < 0)
		return -errno;
	return (st->st_mode & 07777) != mode && fchmod(fd, mode) < 0 ? -errno : 0;
}

int owner_give(const struct owner *owner, const struct driver_disk *d, struct err *err)
{
	const struct {
		const char *field, *path;
		enum use use;
	} files[] = {
		{"disk.path", d->path, WRITE},
		{"disk.base", d->base, READ},
		{"disk.kernel", d->kernel, READ},
		{"disk.initrd", d->initrd, READ},
		{"disk.seed", d->seed, READ},
		{"disk.nvram", d->nvram, WRITE_LATER},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = files[i].path;
		struct stat st;
		int r;

		if (!path)
			continue;

		AUTOCLOSE int fd = open_file(files[i].field, path, &st, err);

		if (fd == -ENOENT && files[i].use == WRITE_LATER)
			continue;
		if (fd == -ENOENT)
			return err_set(err, ERR_DRIVER, files[i].field, "there is no %s", path);
		if (fd < 0)
			return fd;
		r = owner->known ? give(fd, &st, owner, files[i].use) : 0;
		if (r < 0)
			return err_errno(err, r, "cannot let QEMU use %s", path);
	}
	return 0;
}

static bool has_sums(int fd)
{
	struct statfs fs;
	int flags = 0;

	return fstatfs(fd, &fs) == 0 && fs.f_type == BTRFS_SUPER_MAGIC &&
	       (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & FS_NOCOW_FL));
}

bool owner_direct_io(const char *path)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && !has_sums(fd);
}
