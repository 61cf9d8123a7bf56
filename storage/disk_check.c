/* Whether a disk is what it is said to be: first by its beginning, which is judged here; a qcow2
 * then by qemu-img, which follows all its tables and is confined while it does. */
#include "storage/disk_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "storage/confined.h"
#include "storage/qcow2.h"
#include "storage/source.h"

#define SECTOR	   512
#define TIMEOUT_MS 600000

/* qemu-img(1), check: clusters that nothing refers to take room and do no harm. */
#define CHECK_DAMAGED 2
#define CHECK_LEAKS   3

/* --- By its beginning ------------------------------------------------------------------------ */

static const struct magic {
	size_t at;
	const char *bytes;
	size_t length;
	enum disk_look look;
	const char *name;
} g_magics[] = {
	{0, "QFI\xfb", 4, DISK_LOOKS_QCOW2, "a qcow2 disk"},
	{0, "KDMV", 4, DISK_LOOKS_FOREIGN, "a VMDK disk"},
	{0, "COWD", 4, DISK_LOOKS_FOREIGN, "a VMDK disk"},
	{0, "# Disk Descriptor", 17, DISK_LOOKS_FOREIGN, "a VMDK disk's description"},
	{64, "\x7f\x10\xda\xbe", 4, DISK_LOOKS_FOREIGN, "a VDI disk"},
	{0, "vhdxfile", 8, DISK_LOOKS_FOREIGN, "a VHDX disk"},
	{0, "conectix", 8, DISK_LOOKS_FOREIGN, "a VHD disk"},
	{0, "QED\0", 4, DISK_LOOKS_FOREIGN, "a QED disk"},
	{0, "WithoutFreeSpace", 16, DISK_LOOKS_FOREIGN, "a Parallels disk"},
	{0, "WithouFreSpacExt", 16, DISK_LOOKS_FOREIGN, "a Parallels disk"},
	{0, "Bochs Virtual HD Image", 22, DISK_LOOKS_FOREIGN, "a Bochs disk"},
	{0, "LUKS\xba\xbe", 6, DISK_LOOKS_FOREIGN, "an encrypted disk (LUKS)"},
	{0, "PK\x03\x04", 4, DISK_LOOKS_FOREIGN, "a zip archive"},
	{0, "\x1f\x8b", 2, DISK_LOOKS_PACKED, "something compressed with gzip"},
	{0,
		"\xfd"
		"7zXZ\0",
		6, DISK_LOOKS_PACKED, "something compressed with xz"},
	{0, "\x28\xb5\x2f\xfd", 4, DISK_LOOKS_PACKED, "something compressed with zstd"},
	{0, "BZh", 3, DISK_LOOKS_PACKED, "something compressed with bzip2"},
	{0, "\x04\x22\x4d\x18", 4, DISK_LOOKS_PACKED, "something compressed with lz4"},
	{0, "\x5d\0\0", 3, DISK_LOOKS_PACKED, "something compressed with lzma"},
	{257, "ustar", 5, DISK_LOOKS_PACKED, "a tar archive"},
};

static const struct magic *magic_of(const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_magics); i++) {
		const struct magic *magic = &g_magics[i];

		if (magic->at + magic->length <= length &&
			memcmp(data + magic->at, magic->bytes, magic->length) == 0)
			return magic;
	}
	return NULL;
}

enum disk_look disk_look(const uint8_t *data, size_t length)
{
	const struct magic *magic = magic_of(data, length);

	return magic ? magic->look : DISK_LOOKS_RAW;
}

int disk_check_raw(const uint8_t *data, size_t length, struct err *err)
{
	const struct magic *magic = magic_of(data, length);

	if (!magic)
		return 0;
	if (magic->look == DISK_LOOKS_FOREIGN)
		return err_set(err, ERR_INVALID, "format",
			"this is %s: make a qcow2 disk of it with qemu-img convert -O qcow2",
			magic->name);
	return err_set(err, ERR_INVALID, "format", "this is %s and not a raw disk", magic->name);
}

/* --- As a whole ------------------------------------------------------------------------------ */

struct candidate {
	int fd;
	uint64_t file_size;
	size_t length; /* of the beginning */
	uint8_t head[QCOW2_HEADER_MAX];
};

static int check_raw(const struct candidate *disk, struct err *err)
{
	if (disk->file_size == 0)
		return err_set(err, ERR_INVALID, NULL, "the disk is empty");
	if (disk->file_size % SECTOR)
		return err_set(err, ERR_INVALID, "format",
			"this has %llu bytes, which is not a multiple of 512: it is not a raw "
			"disk, or cut short",
			(unsigned long long)disk->file_size);
	return disk_check_raw(disk->head, disk->length, err);
}

static int cancelled(void *data)
{
	return source_progress(data, NULL);
}

static int judge(const struct confined *check, struct err *err)
{
	if (check->status == 0 || check->status == CHECK_LEAKS)
		return 0;
	if (check->status == CHECK_DAMAGED)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk is damaged, qemu-img check -r all may repair it: %s",
			check->output);
	return err_set(err, ERR_INVALID, "format",
		"qemu-img cannot check this qcow2 disk (status %d): %s", check->status,
		check->output);
}

/* With the format said, a header of ours approved and nothing else in sight: qemu-img has no file
 * to follow it to. */
static int check_tables(int fd, struct source *source, struct err *err)
{
	const char *argv[] = {"qemu-img", "check", "-q", "-f", "qcow2", "disk", NULL};
	struct confined_file file = {.fd = fd, .name = "disk"};
	struct confined check = {.argv = argv,
		.files = &file,
		.files_count = 1,
		.timeout_ms = TIMEOUT_MS,
		.stdout_fd = -1,
		.cancelled = cancelled,
		.data = source};
	int r = confined_want("qemu-img", "qemu-utils", err);

	if (r == 0)
		r = confined_run(&check, err);
	return r < 0 ? r : judge(&check, err);
}

static int check_qcow2(
	const struct candidate *disk, struct source *source, uint64_t *ret_size, struct err *err)
{
	struct qcow2 qcow2;
	int r = qcow2_parse(disk->head, disk->length, disk->file_size, &qcow2, err);

	if (r == 0)
		r = check_tables(disk->fd, source, err);
	if (r == 0)
		*ret_size = qcow2.size;
	return r;
}

static int read_head(struct candidate *disk)
{
	struct stat st;
	ssize_t n = pread(disk->fd, disk->head, sizeof(disk->head), 0);

	if (n < 0 || fstat(disk->fd, &st) < 0)
		return -errno;
	disk->length = (size_t)n;
	disk->file_size = (uint64_t)st.st_size;
	return 0;
}

int disk_check(
	int fd, enum disk_format format, struct source *source, uint64_t *ret_size, struct err *err)
{
	AUTOFREE struct candidate *disk = calloc(1, sizeof(*disk));
	int r;

	if (!disk)
		return err_errno(err, ENOMEM, "cannot check the disk");
	disk->fd = fd;
	r = read_head(disk);
	if (r < 0)
		return err_errno(err, r, "cannot read the disk");
	if (format == DISK_QCOW2)
		return check_qcow2(disk, source, ret_size, err);
	r = check_raw(disk, err);
	if (r == 0)
		*ret_size = disk->file_size;
	return r;
}
