/* Images of disks. What is sent is either the disk itself, written as it comes with holes where
 * there are zeros, or an archive of parts, which the confined helper unpacks into a directory that
 * is gone again before anything is checked. */
#include "storage/image_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/disk_check.h"
#include "storage/pool.h"
#include "storage/source.h"

#define PARTS "parts"

/* What zeros are looked for in: a hole of less is worth nothing. */
#define HOLE 4096

DEFINE_CLEANUP(char **, names_free)

/* --- The disk itself ------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static size_t block_at(const struct source *source, size_t at)
{
	return source->used - at < HOLE ? source->used - at : HOLE;
}

/* Writes the chunk but for its zeros; it stands at `offset` of the disk. */
static int write_chunk(int fd, const struct source *source, uint64_t offset)
{
	size_t at = 0;

	while (at < source->used) {
		size_t begin = at;

		while (at < source->used && !is_zero(source->chunk + at, block_at(source, at)))
			at += block_at(source, at);
		if (at > begin &&
			(lseek(fd, (off_t)(offset + begin), SEEK_SET) < 0 ||
				file_write_all(fd, source->chunk + begin, at - begin) < 0))
			return -errno;
		if (at < source->used)
			at += block_at(source, at);
	}
	return 0;
}

static int write_disk(int fd, struct source *source, struct err *err)
{
	uint64_t offset = 0;
	int r = 0;

	while (r == 0 && source->used) {
		r = write_chunk(fd, source, offset);
		if (r < 0)
			return err_errno(err, r, "cannot write the disk");
		offset += source->used;
		source->sent = source->used;
		r = source_fill(source, err);
	}
	if (r == 0 && ftruncate(fd, (off_t)offset) < 0)
		return err_errno(err, errno, "cannot write the disk");
	return r;
}

static int take_disk(const struct storage *s, int dir, struct source *source, struct err *err)
{
	AUTOCLOSE int fd =
		openat(dir, IMAGE_BASE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, errno, "cannot write the disk");
	/* Tables take a little beside the data. */
	source->max = s->image_max_size + s->image_max_size / 8;
	return write_disk(fd, source, err);
}

/* --- An archive of parts --------------------------------------------------------------------- */

static const struct part {
	const char *name, *becomes;
} g_parts[] = {
	{"disk.qcow2", IMAGE_BASE},
	{"disk.raw", IMAGE_BASE},
	{"kernel", IMAGE_KERNEL},
	{"initrd", IMAGE_INITRD},
	{"cmdline", "cmdline"},
};

static const struct part *part_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_parts); i++)
		if (strcmp(g_parts[i].name, name) == 0)
			return &g_parts[i];
	return NULL;
}

static int take_part(int parts, int dir, const char *name, struct image *image, struct err *err)
{
	const struct part *part = part_of(name);
	struct stat st;

	if (!part)
		return err_set(err, ERR_INVALID, NULL,
			"the archive holds %s: a disk's holds disk.qcow2 or disk.raw, kernel, "
			"initrd "
			"and cmdline, and nothing else",
			name);
	if (fstatat(parts, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, errno, "cannot look at %s", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(
			err, ERR_INVALID, NULL, "%s in the archive is not a file of its own", name);
	if (part == &g_parts[0])
		image->disk.format = DISK_QCOW2;
	if (part == &g_parts[1])
		image->disk.format = DISK_RAW;
	if (renameat2(parts, name, dir, part->becomes, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return err_set(
			err, ERR_INVALID, NULL, "the archive holds both disk.qcow2 and disk.raw");
	return err_errno(err, errno, "cannot keep %s", name);
}

static bool is_entry(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int take_parts(int parts, int dir, struct image *image, struct err *err)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(parts, is_entry, &names);

	if (r < 0)
		return err_errno(err, r, "cannot read what was unpacked");
	for (char **name = names; r == 0 && *name; name++)
		r = take_part(parts, dir, *name, image, err);
	return r;
}

static int take_archive(
	struct storage *s, int dir, struct source *source, struct image *image, struct err *err)
{
	AUTOCLOSE int parts = -1;
	struct unpack_result result;
	int r;

	if (mkdirat(dir, PARTS, 0700) == 0)
		parts = openat(dir, PARTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parts < 0)
		return err_errno(err, errno, "cannot begin the import");
	r = unpacker_run(s, source, parts, &result, err);
	if (r == 0)
		r = take_parts(parts, dir, image, err);
	if (r == 0 && unlinkat(dir, PARTS, AT_REMOVEDIR) < 0)
		r = err_errno(err, errno, "cannot end the unpacking");
	return r;
}

/* --- What it is ------------------------------------------------------------------------------ */

/* Yields 1 for an archive, 0 for a disk, whose format is set then. */
static int recognise(const struct source *source, struct image *image, struct err *err)
{
	const enum disk_format *format = source->of->format;
	enum disk_look look = disk_look(source->chunk, source->used);

	if (format) {
		image->disk.format = *format;
		return 0;
	}
	if (look == DISK_LOOKS_PACKED)
		return 1;
	image->disk.format = DISK_QCOW2;
	if (look == DISK_LOOKS_QCOW2)
		return 0;
	if (look == DISK_LOOKS_FOREIGN)
		return disk_check_raw(source->chunk, source->used, err);
	return err_set(err, ERR_INVALID, "format",
		"this is neither a qcow2 disk nor an archive with one: if it is a raw disk, say so "
		"(format)");
}

static int read_cmdline(int dir, struct image_disk *disk, struct err *err)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;
	int r = file_read_at(dir, "cmdline", DISK_CMDLINE_MAX + 1, &text, &size);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EFBIG)
		return err_errno(err, r, "cannot read cmdline");
	while (r == 0 && size && (text[size - 1] == '\n' || text[size - 1] == ' '))
		text[--size] = '\0';
	if (r == -EFBIG || size > DISK_CMDLINE_MAX)
		return err_set(err, ERR_INVALID, NULL,
			"cmdline in the archive is longer than %d bytes", DISK_CMDLINE_MAX);
	for (size_t i = 0; i < size; i++)
		if (text[i] < ' ' || text[i] > '~')
			return err_set(err, ERR_INVALID, NULL,
				"cmdline in the archive is not one line of printable ASCII");
	memcpy(disk->cmdline, text, size + 1);
	return unlinkat(dir, "cmdline", 0) < 0 ? err_errno(err, errno, "cannot keep cmdline") : 0;
}

/* Nobody writes it from here on, and everybody who gets as far may read it. */
static int settle_part(int dir, const char *name, struct image *image, struct err *err)
{
	AUTOCLOSE int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fchown(fd, 0, 0) < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0 ||
		fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot keep %s", name);
	image->size += (uint64_t)st.st_blocks * 512;
	image->entries++;
	return 1;
}

/* What is there decides how it boots. */
static int settle_parts(int dir, enum disk_boot boot, struct image *image, struct err *err)
{
	struct image_disk *disk = &image->disk;
	int base = settle_part(dir, IMAGE_BASE, image, err);
	int kernel = base < 0 ? base : settle_part(dir, IMAGE_KERNEL, image, err);
	int initrd = kernel < 0 ? kernel : settle_part(dir, IMAGE_INITRD, image, err);

	if (initrd < 0)
		return initrd;
	if (!base)
		return err_set(err, ERR_INVALID, NULL,
			"the archive holds neither disk.qcow2 nor disk.raw");
	disk->boot = kernel ? DISK_BOOT_KERNEL : boot;
	disk->initrd = initrd;
	if (kernel)
		return 0;
	if (initrd || disk->cmdline[0])
		return err_set(err, ERR_INVALID, NULL,
			"the archive holds initrd or cmdline, and no kernel that they are for");
	if (boot == DISK_BOOT_KERNEL)
		return err_set(err, ERR_INVALID, "boot", "there is no kernel beside this disk");
	return 0;
}

static int check(const struct storage *s, int dir, struct image_disk *disk, struct source *source,
	struct err *err)
{
	AUTOCLOSE int fd = openat(dir, IMAGE_BASE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? err_errno(err, errno, "cannot open the disk")
		       : disk_check(fd, disk->format, source, &disk->size, err);

	if (r < 0)
		return r;
	if (disk->size > s->image_max_size)
		return err_set(err, ERR_TOO_LARGE, "size",
			"the disk has %s as the guest sees it, an image may have %s at most",
			FMT_SIZE(disk->size), FMT_SIZE(s->image_max_size));
	return 0;
}

int image_disk_fill(struct storage *storage, int dir, struct source *source, struct image *image,
	struct err *err)
{
	int r = source_fill(source, err);

	if (r == 0)
		r = recognise(source, image, err);
	if (r >= 0)
		r = r ? take_archive(storage, dir, source, image, err)
		      : take_disk(storage, dir, source, err);
	if (r == 0)
		r = source_end(source, image->sha256, err);
	if (r == 0)
		r = read_cmdline(dir, &image->disk, err);
	if (r == 0)
		r = settle_parts(dir, source->of->boot, image, err);
	return r < 0 ? r : check(storage, dir, &image->disk, source, err);
}
