/* Disks of volumes. Whatever else an overlay's header says after a guest broke out into its QEMU:
 * it is only ever read and changed by programs that see it and its base, and nothing more.
 *
 * An overlay is not copied on write by the file system (FS_NOCOW_FL) but after a snapshot: else
 * each block that a guest writes anew would leave a piece of an extent behind that counts, and one
 * day the guest could not write although its disk is not full. */
#include "storage/volume_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/parse.h"
#include "base/random.h"
#include "storage/confined.h"
#include "storage/image_disk.h"
#include "storage/pool.h"
#include "storage/qcow2.h"

#define DISK   "disk.qcow2"
#define MEMORY "memory"
/* Copies on their way, or to be looked at. */
#define COPY_PREFIX ".disk."
#define COPY	    COPY_PREFIX "new"

#define MIB	   (1ULL << 20)
#define SECTOR	   512
#define TIMEOUT_MS 600000

/* Bytes that QEMU locks of what it has open, for what it does and for what it lets others do
 * (block/file-posix.c, RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE). */
#define QEMU_LOCKS_START  100
#define QEMU_LOCKS_LENGTH 200

DEFINE_CLEANUP(char **, names_free)

bool volume_disk_is(int dir)
{
	return faccessat(dir, IMAGE_BASE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_part(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* --- Sizes ----------------------------------------------------------------------------------- */

static int read_size(int fd, uint64_t *ret)
{
	uint8_t head[128];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n < 0 ? -errno : qcow2_size(head, (size_t)n, ret);
}

int volume_disk_usage(int dir, struct volume_usage *ret)
{
	AUTOCLOSE int fd = open_part(dir, DISK, O_RDONLY);
	struct volume_usage usage = {0};
	struct stat st = {0};
	int r = fd < 0 ? fd : read_size(fd, &usage.size);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	usage.used = (uint64_t)st.st_blocks * 512;
	*ret = usage;
	return 0;
}

uint64_t volume_disk_room(int dir, uint64_t size)
{
	struct stat st;
	uint64_t memory = fstatat(dir, MEMORY, &st, AT_SYMLINK_NOFOLLOW) == 0
				  ? (uint64_t)st.st_blocks * 512
				  : 0;

	return size + size / 8 + 128 * MIB + memory;
}

/* --- Programs -------------------------------------------------------------------------------- */

int volume_disk_run(int dir, int disk, struct confined *program, struct err *err)
{
	AUTOCLOSE int base = open_part(dir, IMAGE_BASE, O_RDONLY);
	struct confined_file files[] = {
		{.fd = disk, .name = DISK, .writable = true}, {.fd = base, .name = IMAGE_BASE}};
	int r;

	if (base < 0)
		return err_errno(err, base, "cannot open the disk's base");
	program->files = files;
	program->files_count = ARRAY_SIZE(files);
	program->file_max = INT64_MAX;
	program->timeout_ms = TIMEOUT_MS;
	r = confined_run(program, err);
	program->files = NULL;
	program->files_count = 0;
	return r;
}

int volume_disk_qemu_img(int dir, int disk, const char *const *argv, struct err *err)
{
	struct confined program = {.argv = argv, .stdout_fd = -1};
	int r = confined_want(argv[0], "qemu-utils", err);

	if (r == 0)
		r = volume_disk_run(dir, disk, &program, err);
	if (r == 0 && program.status != 0)
		r = err_set(err, ERR_INTERNAL, NULL, "qemu-img %s failed (status %d): %s", argv[1],
			program.status, program.output);
	return r;
}

/* --- The copy that becomes the disk ---------------------------------------------------------- */

static bool is_copy(const char *name)
{
	return strncmp(name, COPY_PREFIX, strlen(COPY_PREFIX)) == 0;
}

int volume_disk_settle(int dir)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(dir, is_copy, &names);

	for (char **name = names; r == 0 && *name; name++)
		if (unlinkat(dir, *name, 0) < 0 && errno != ENOENT)
			r = -errno;
	return r;
}

static int make_file(int dir, const char *name)
{
	int flags = FS_NOCOW_FL, fd;

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = open_part(dir, name, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	/* Elsewhere than on btrfs there is no such thing, and no need of it. */
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
	return fd;
}

/* Shares all with the disk. */
static int make_copy(int dir, const char *name, struct stat *ret_disk)
{
	AUTOCLOSE int disk = open_part(dir, DISK, O_RDONLY);
	AUTOCLOSE int copy = disk < 0 ? disk : make_file(dir, name);

	if (copy < 0)
		return copy;
	if (fstat(disk, ret_disk) < 0 || ioctl(copy, FICLONE, disk) < 0) {
		int r = -errno;

		unlinkat(dir, name, 0);
		return r;
	}
	fault_point("storage.disk.copied");
	return TAKE_FD(copy);
}

/* It belongs to whom the disk belonged before; a new one is root's. */
static int put_in_place(int dir, int copy, const struct stat *before)
{
	uid_t uid = before ? before->st_uid : 0;
	gid_t gid = before ? before->st_gid : 0;
	mode_t mode = before ? before->st_mode & 07777 : 0600;

	if (fchown(copy, uid, gid) < 0 || fchmod(copy, mode) < 0 || fsync(copy) < 0)
		return -errno;
	fault_point("storage.disk.made");
	return renameat(dir, COPY, dir, DISK) < 0 ? -errno : 0;
}

static int change_copy(int dir, int copy, const struct stat *before,
	int (*change)(int dir, int copy, void *data, struct err *err), void *data, struct err *err)
{
	int r = change(dir, copy, data, err);

	if (r == 0) {
		r = put_in_place(dir, copy, before);
		if (r < 0)
			err_errno(err, r, "cannot put the disk in its place");
	}
	if (r < 0)
		unlinkat(dir, COPY, 0);
	return r;
}

int volume_disk_want_idle(int dir, struct err *err)
{
	AUTOCLOSE int fd = open_part(dir, DISK, O_RDONLY);
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = QEMU_LOCKS_START,
		.l_len = QEMU_LOCKS_LENGTH};

	/* One that is not there nobody has open. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return err_errno(err, fd < 0 ? fd : errno, "cannot look at the disk's locks");
	if (lock.l_type == F_UNLCK)
		return 0;
	return err_set(err, ERR_CONFLICT, NULL, "the disk is in use: its machine runs still");
}

int volume_disk_change(int dir, volume_disk_fn change, void *data, struct err *err)
{
	struct stat st;
	AUTOCLOSE int copy = -1;
	int r = volume_disk_want_idle(dir, err);

	if (r < 0)
		return r;
	copy = make_copy(dir, COPY, &st);
	if (copy < 0)
		return err_errno(err, copy, "cannot copy the disk");
	return change_copy(dir, copy, &st, change, data, err);
}

int volume_disk_look(int dir, volume_disk_fn look, void *data, struct err *err)
{
	char name[sizeof(COPY_PREFIX) + 16], random[17];
	AUTOCLOSE int copy = -1;
	struct stat st;
	int r;

	random_hex(random, 16);
	snprintf(name, sizeof(name), COPY_PREFIX "%s", random);
	copy = make_copy(dir, name, &st);
	if (copy < 0)
		return err_errno(err, copy, "cannot copy the disk");
	r = look(dir, copy, data, err);
	unlinkat(dir, name, 0);
	return r;
}

/* --- Making, growing ------------------------------------------------------------------------- */

static int create(int dir, int copy, void *data, struct err *err)
{
	const char *const *argv = data;

	return volume_disk_qemu_img(dir, copy, argv, err);
}

static int make_new(int dir, const struct image_disk *base, uint64_t size, struct err *err)
{
	char bytes[24];
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F",
		disk_format_to_string(base->format), "-b", IMAGE_BASE, DISK, bytes, NULL};
	AUTOCLOSE int copy = make_file(dir, COPY);

	if (copy < 0)
		return err_errno(err, copy, "cannot make the disk");
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	return change_copy(dir, copy, NULL, create, argv, err);
}

static int too_small(uint64_t least, struct err *err)
{
	return err_set(err, ERR_INVALID, "storage.size",
		"the disk has %s: the least possible size is %llu bytes (%s)", FMT_SIZE(least),
		(unsigned long long)least, FMT_SIZE(least));
}

static int check_size(uint64_t size, struct err *err)
{
	if (size % SECTOR == 0)
		return 0;
	return err_set(
		err, ERR_INVALID, "storage.size", "the size of a disk is a multiple of 512 bytes");
}

static int grow(int dir, int copy, void *data, struct err *err)
{
	const uint64_t *size = data;
	char bytes[24];
	const char *argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", DISK, bytes, NULL};

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)*size);
	return volume_disk_qemu_img(dir, copy, argv, err);
}

int volume_disk_fit(int dir, uint64_t size, struct err *err)
{
	struct volume_usage usage = {0};
	int r = volume_disk_usage(dir, &usage);

	if (r < 0)
		return err_errno(err, r, "cannot read the disk's size");
	if (usage.size == size)
		return 0;
	if (usage.size > size)
		return too_small(usage.size, err);
	r = check_size(size, err);
	return r < 0 ? r : volume_disk_change(dir, grow, &size, err);
}

int volume_disk_check(const struct image_disk *base, uint64_t size, struct err *err)
{
	return size < base->size ? too_small(base->size, err) : check_size(size, err);
}

int volume_disk_make(int dir, const struct image_disk *base, uint64_t size, struct err *err)
{
	int r = volume_disk_check(base, size, err);

	if (r < 0)
		return r;
	if (faccessat(dir, DISK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return volume_disk_fit(dir, size, err);
	return make_new(dir, base, size, err);
}
