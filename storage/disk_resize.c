/* Other sizes of a disk whose guest does not run. Larger is the disk alone, its file system grows
 * in the guest. Smaller is first the file system, which e2fsprogs move together, on a view of the
 * disk that qemu-storage-daemon gives them by FUSE: all three confined in one world, since what
 * they read a guest wrote. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/confined.h"
#include "storage/contents.h"
#include "storage/volume.h"
#include "storage/volume_disk.h"

#define MIB (1ULL << 20)

/* resize2fs estimates the least; a little more is sure to hold. */
#define LEAST_MARGIN (16 * MIB)
#define LEAST_FLOOR  (16 * MIB)

/* Statuses of the scripts. */
#define NO_VIEW	    70
#define NOT_CHECKED 71
#define NOT_SHRUNK  72

/* The daemon's view is there when it has a size; and all is written when the daemon has ended. */
#define VIEW(writable)                                                                             \
	"qemu-storage-daemon --blockdev driver=file,node-name=file,filename=/disk.qcow2 "          \
	"--blockdev driver=qcow2,node-name=disk,file=file,discard=unmap "                          \
	"--export type=fuse,id=view,node-name=disk,mountpoint=/view,writable=" writable " &\n"     \
	"daemon=$!\n"                                                                              \
	"until [ -s /view ]; do kill -0 $daemon || exit 70; sleep 0.01; done\n"

static const char LOOK[] = VIEW("off") "head -c 131072 /view\n"
				       "resize2fs -P /view 2>&1 || true\n"
				       "kill $daemon; wait $daemon\n";

/* e2fsck(8): 1 says that what was wrong is right now. */
static const char SHRINK[] = VIEW("on") "e2fsck -f -p /view || [ $? -eq 1 ] || exit 71\n"
					"resize2fs /view \"$1\"K || exit 72\n"
					"kill $daemon; wait $daemon\n";

/* --- What it holds --------------------------------------------------------------------------- */

struct look {
	const struct disk_resize *resize; /* NULL: nobody cancels */
	uint64_t size;			  /* of the disk */
	struct contents contents;
	uint64_t least; /* 0: it cannot be made smaller */
};

static int cancelled(void *data)
{
	const struct disk_resize *resize = *(const struct disk_resize **)data;

	return resize->progress(resize->progress_data, 0);
}

static void let_cancel(struct confined *program, const struct disk_resize **resize)
{
	if (!*resize || !(*resize)->progress)
		return;
	program->cancelled = cancelled;
	program->data = resize;
}

static uint64_t least_of(uint64_t bytes)
{
	uint64_t least = (bytes + bytes / 20 + LEAST_MARGIN + MIB - 1) & ~(MIB - 1);

	return least > LEAST_FLOOR ? least : LEAST_FLOOR;
}

/* Where resize2fs says nothing (of a file system in use it may), what is in use is the least. */
static void take_least(const char *words, struct look *look)
{
	static const char says[] = "minimum size of the filesystem: ";
	const struct contents *contents = &look->contents;
	const char *found = strstr(words, says);
	unsigned long long blocks = contents->blocks - contents->free_blocks;

	if (found)
		sscanf(found + strlen(says), "%llu", &blocks);
	if (blocks > contents->blocks)
		blocks = contents->blocks;
	look->least = least_of(blocks * contents->block_size);
	if (look->least > look->size)
		look->least = look->size;
}

static int take_look(int output, struct look *look, struct err *err)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;
	int r = lseek(output, 0, SEEK_SET) < 0
			? -errno
			: file_read_fd(output, CONTENTS_HEAD + 65536, &text, &size);
	size_t head = size < CONTENTS_HEAD ? size : CONTENTS_HEAD;

	if (r < 0 || !text)
		return err_errno(err, r, "cannot read what the disk holds");
	look->contents = contents_of((const uint8_t *)text, head, look->size);
	if (look->contents.ext4)
		take_least(text + head, look);
	return 0;
}

static int look_at(int dir, int copy, void *data, struct err *err)
{
	struct look *look = data;
	const char *argv[] = {"sh", "-c", LOOK, NULL};
	AUTOCLOSE int output = memfd_create("look", MFD_CLOEXEC);
	struct confined program = {.argv = argv, .fuse = true, .stdout_fd = output};
	int r;

	if (output < 0)
		return err_errno(err, errno, "cannot look at the disk");
	let_cancel(&program, &look->resize);
	r = volume_disk_run(dir, copy, &program, err);
	if (r == 0 && program.status != 0)
		r = err_set(err, ERR_INTERNAL, NULL, "the disk cannot be looked at (status %d)",
			program.status);
	return r < 0 ? r : take_look(output, look, err);
}

static int want_programs(struct err *err)
{
	static const char *const programs[][2] = {
		{"qemu-storage-daemon", "qemu-system-common"},
		{"e2fsck", "e2fsprogs"},
		{"resize2fs", "e2fsprogs"},
		{"/dev/fuse", "the kernel's module fuse"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(programs); i++)
		r = confined_want(programs[i][0], programs[i][1], err);
	return r;
}

static int look(int dir, struct look *ret, struct err *err)
{
	struct volume_usage usage = {0};
	int r = want_programs(err);

	if (r < 0)
		return r;
	r = volume_disk_usage(dir, &usage);
	if (r < 0)
		return err_errno(err, r, "cannot read the disk's size");
	ret->size = usage.size;
	return volume_disk_look(dir, look_at, ret, err);
}

/* --- Smaller --------------------------------------------------------------------------------- */

static int judge_shrink(const struct confined *program, struct err *err)
{
	if (program->status == 0)
		return 0;
	if (program->status == NOT_CHECKED)
		return err_set(err, ERR_CONFLICT, NULL,
			"the file system has errors that e2fsck does not repair by itself, repair "
			"it in the guest first: %s",
			program->output);
	if (program->status == NOT_SHRUNK)
		return err_set(err, ERR_INVALID, "storage.size",
			"the file system could not be made so small: %s", program->output);
	return err_set(err, ERR_INTERNAL, NULL,
		"the disk could not be made smaller (status %d): %s", program->status,
		program->output);
}

static int shrink(int dir, int copy, void *data, struct err *err)
{
	const struct disk_resize *resize = *(const struct disk_resize **)data;
	char kib[24], bytes[24];
	const char *argv[] = {"sh", "-c", SHRINK, "sh", kib, NULL};
	const char *cut[] = {
		"qemu-img", "resize", "-q", "--shrink", "-f", "qcow2", "disk.qcow2", bytes, NULL};
	struct confined program = {.argv = argv, .fuse = true, .stdout_fd = -1};
	int r;

	snprintf(kib, sizeof(kib), "%llu", (unsigned long long)resize->size / 1024);
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)resize->size);
	let_cancel(&program, &resize);
	r = volume_disk_run(dir, copy, &program, err);
	if (r == 0)
		r = judge_shrink(&program, err);
	return r < 0 ? r : volume_disk_qemu_img(dir, copy, cut, err);
}

static int check_look(const struct look *found, uint64_t size, struct err *err)
{
	if (!found->contents.ext4)
		return err_set(err, ERR_UNSUPPORTED, "storage.size",
			"the disk holds %s: only one that is a whole ext4 file system can be made "
			"smaller; the least possible size is %llu bytes (%s)",
			found->contents.what, (unsigned long long)found->size,
			FMT_SIZE(found->size));
	if (size < found->least)
		return err_set(err, ERR_INVALID, "storage.size",
			"the file system on the disk needs more: the least possible size is %llu "
			"bytes (%s)",
			(unsigned long long)found->least, FMT_SIZE(found->least));
	if (size % 1024)
		return err_set(err, ERR_INVALID, "storage.size",
			"the size of a disk that is made smaller is a multiple of 1 KiB");
	return 0;
}

/* What moves is written anew, before what it was is let go. */
static int check_room(struct storage *s, const struct look *found, uint64_t size, struct err *err)
{
	uint64_t used =
		(found->contents.blocks - found->contents.free_blocks) * found->contents.block_size;
	uint64_t moved = used < found->size - size ? used : found->size - size;
	struct storage_space space;
	int r = pool_want_room(s, err);

	if (r == 0)
		r = storage_space(s, &space, err);
	if (r == 0 && moved > space.free)
		return err_set(err, ERR_NO_ROOM, NULL,
			"making the disk smaller may take %s for a while, and the pool has %s",
			FMT_SIZE(moved), FMT_SIZE(space.free));
	return r;
}

static int make_smaller(struct storage *s, const char *id, int dir,
	const struct disk_resize *resize, uint64_t *ret_least, struct err *err)
{
	struct look found = {.resize = resize};
	int r = look(dir, &found, err), limited;

	if (r < 0)
		return r;
	*ret_least = found.contents.ext4 ? found.least : found.size;
	r = check_look(&found, resize->size, err);
	if (r == 0)
		r = check_room(s, &found, resize->size, err);
	if (r == 0)
		r = volume_apply_size(s, id, 2 * found.size, err);
	if (r < 0)
		return r;
	r = volume_disk_change(dir, shrink, &resize, err);
	limited = volume_apply_size(s, id, found.size, r < 0 ? NULL : err);
	return r < 0 ? r : limited;
}

/* --- From outside ---------------------------------------------------------------------------- */

static int open_disk(const struct storage *s, const char *id, struct volume *ret, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = volume_open_of(s, id, ret, err);
	if (r == 0 && !volume_disk_is(ret->fd))
		r = err_set(err, ERR_UNSUPPORTED, NULL, "volume %s holds no disk", id);
	return r;
}

int volume_resize_disk(struct storage *storage, const char *id, const struct disk_resize *resize,
	uint64_t *ret_least, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct volume_usage usage = {0};
	uint64_t least = 0;
	int r = open_disk(storage, id, &volume, err);

	if (r == 0)
		r = volume_check_size(storage, resize->size, err);
	if (r < 0)
		return r;
	r = volume_disk_usage(volume.fd, &usage);
	if (r < 0)
		return err_errno(err, r, "cannot read the disk's size");
	if (resize->size < usage.size)
		r = make_smaller(storage, id, volume.fd, resize, &least, err);
	else
		r = volume_disk_fit(volume.fd, resize->size, err);
	if (ret_least && least)
		*ret_least = least;
	return r;
}

int volume_disk_least(struct storage *storage, const char *id, uint64_t *ret_least, char *reason,
	size_t reason_size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct look found = {0};
	int r = open_disk(storage, id, &volume, err);

	if (r == 0)
		r = look(volume.fd, &found, err);
	if (r < 0)
		return r;
	*ret_least = found.least;
	snprintf(reason, reason_size, "%s%s", found.contents.ext4 ? "" : "the disk holds ",
		found.contents.ext4 ? "" : found.contents.what);
	return 0;
}
