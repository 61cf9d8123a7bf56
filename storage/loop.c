/* The loop file and its device, by ioctls of loop(4). */
#include "storage/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"

#define MKFS_TIMEOUT_MS 120000
#define ATTACH_TRIES	16

/* On-disk format: the superblock lies at 64 KiB; these are offsets in it. */
#define SUPER_OFFSET   65536
#define SUPER_FSID     0x20
#define SUPER_MAGIC    0x40
#define SUPER_INCOMPAT 0xbc
#define SUPER_USED     (SUPER_INCOMPAT + 8)

/* A file of that name is a complete file system or it is not there: made beside it and renamed. */
static int make_new(const char *temporary, uint64_t size, struct err *err)
{
	const char *argv[] = {"mkfs.btrfs", "--quiet", "--force", "--label", "corpus", "--features",
		"no-holes", "--runtime-features", "free-space-tree", temporary, NULL};
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = MKFS_TIMEOUT_MS};
	AUTOCLOSE int fd =
		open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(err, errno, "cannot make %s", temporary);
	r = process_run(&options, err);
	if (r < 0)
		return r;
	if (fsync(fd) < 0)
		return err_errno(err, errno, "cannot write %s", temporary);
	return 0;
}

int loop_make(const char *file, uint64_t size, struct err *err)
{
	AUTOFREE char *temporary = NULL;
	int r;

	if (access(file, F_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return err_errno(err, errno, "cannot look at %s", file);
	if (asprintf(&temporary, "%s.new", file) < 0)
		return err_errno(err, ENOMEM, "cannot make %s", file);
	r = make_new(temporary, size, err);
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	fault_point("storage.open.made");
	if (rename(temporary, file) < 0)
		return err_errno(err, errno, "cannot make %s", file);
	return 0;
}

int loop_identify(const char *file, struct loop_identity *ret, struct err *err)
{
	AUTOCLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t super[SUPER_USED];

	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", file);
	if (pread(fd, super, sizeof(super), SUPER_OFFSET) != (ssize_t)sizeof(super) ||
		memcmp(super + SUPER_MAGIC, "_BHRfS_M", 8) != 0)
		return err_set(err, ERR_CONFLICT, NULL,
			"%s exists and does not hold a btrfs file system", file);
	memcpy(ret->fsid, super + SUPER_FSID, sizeof(ret->fsid));
	ret->incompat = 0;
	for (int i = 7; i >= 0; i--)
		ret->incompat = ret->incompat << 8 | super[SUPER_INCOMPAT + i];
	return 0;
}

static int open_device(int number, char path[static LOOP_DEVICE_MAX])
{
	int fd;

	snprintf(path, LOOP_DEVICE_MAX, "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Whether that device is made of the file `st` describes: by inode, since names may differ between
 * mount namespaces. */
static int open_if_of(int number, const struct stat *st, char path[static LOOP_DEVICE_MAX])
{
	struct loop_info64 info;
	AUTOCLOSE int fd = -1;
	char attached[64];

	snprintf(attached, sizeof(attached), "/sys/block/loop%d/loop", number);
	if (access(attached, F_OK) < 0)
		return -ENOENT;
	fd = open_device(number, path);
	if (fd < 0)
		return fd;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return -errno;
	if (info.lo_inode != st->st_ino || info.lo_device != st->st_dev)
		return -ENOENT;
	return TAKE_FD(fd);
}

static int find(const struct stat *st, char path[static LOOP_DEVICE_MAX])
{
	CLEANUP(closedirp) DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	int number;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		int fd;

		if (sscanf(entry->d_name, "loop%d", &number) != 1)
			continue;
		fd = open_if_of(number, st, path);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

static int attach_free(
	int control, int backing, const char *file, char path[static LOOP_DEVICE_MAX])
{
	struct loop_config config = {
		.fd = (uint32_t)backing, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	AUTOCLOSE int fd = -1;

	if (number < 0)
		return -errno;
	fd = open_device(number, path);
	if (fd < 0)
		return fd;
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s", file);
	if (ioctl(fd, LOOP_CONFIGURE, &config) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int loop_attach(const char *file, char ret_device[static LOOP_DEVICE_MAX], struct err *err)
{
	AUTOCLOSE int backing = open(file, O_RDWR | O_CLOEXEC);
	AUTOCLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct stat st;
	int fd;

	if (backing < 0 || fstat(backing, &st) < 0)
		return err_errno(err, errno, "cannot open %s", file);
	if (control < 0)
		return err_errno(err, errno, "cannot open /dev/loop-control");
	fd = find(&st, ret_device);
	/* Somebody else may take the free device that the kernel named before we do. */
	for (int i = 0; i < ATTACH_TRIES && (fd == -ENOENT || fd == -EBUSY); i++)
		fd = attach_free(control, backing, file, ret_device);
	if (fd < 0)
		return err_errno(err, fd, "cannot attach %s to a loop device", file);
	fault_point("storage.open.attached");
	return fd;
}

int loop_grow(const char *file, uint64_t size, struct err *err)
{
	char device[LOOP_DEVICE_MAX];
	AUTOCLOSE int backing = open(file, O_RDWR | O_CLOEXEC);
	AUTOCLOSE int fd = -1;
	struct stat st;

	if (backing < 0 || fstat(backing, &st) < 0)
		return err_errno(err, errno, "cannot open %s", file);
	if ((uint64_t)st.st_size < size && ftruncate(backing, (off_t)size) < 0)
		return err_errno(err, errno, "cannot enlarge %s", file);
	fault_point("storage.grow.file");
	fd = find(&st, device);
	if (fd < 0 || ioctl(fd, LOOP_SET_CAPACITY, 0) < 0)
		return err_errno(err, fd < 0 ? fd : errno, "cannot enlarge the device of %s", file);
	return 0;
}
