/* Volumes: writable clones of images, made, deleted and listed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/btrfs.h"
#include "storage/snapshot.h"
#include "storage/volume.h"
#include "storage/volume_disk.h"

static int clone_image(struct storage *s, const char *id, enum image_kind kind, const char *name,
	uint64_t size, struct err *err)
{
	AUTOCLOSE int source = -1;
	struct image image;
	int r;

	source = image_open(s, kind, name, &image, err);
	r = source < 0 ? source : 0;
	if (r == 0 && kind == IMAGE_DISK)
		r = volume_disk_check(&image.disk, size, err);
	if (r == 0)
		r = pool_want_room(s, err);
	if (r < 0)
		return r;
	r = btrfs_subvolume_snapshot(source, s->volumes, id, false);
	if (r < 0 && r != -EEXIST)
		return err_errno(err, r, "cannot clone image %s", name);
	fault_point("storage.volume.cloned");
	return 0;
}

/* An empty one gets its name when it is whole. */
static int make_empty(struct storage *s, const char *id, const char *image, struct err *err)
{
	char temporary[sizeof(POOL_CLONING) + GUEST_ID_LEN];
	struct image meta = {.kind = IMAGE_OCI, .created_ms = clock_realtime_ms()};
	AUTOCLOSE int fd = -1;
	int r = pool_want_room(s, err);

	if (r < 0)
		return r;
	snprintf(temporary, sizeof(temporary), POOL_CLONING "%s", id);
	snprintf(meta.name, sizeof(meta.name), "%s", image);
	r = pool_delete(s, s->volumes, temporary);
	if (r == 0)
		r = btrfs_subvolume_create(s->volumes, temporary);
	fault_point("storage.volume.empty");
	if (r == 0)
		fd = openat(s->volumes, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && (fd < 0 || mkdirat(fd, "data", 0755) < 0))
		r = -errno;
	if (r < 0)
		return err_errno(err, r, "cannot make volume %s", id);
	r = image_meta_write(fd, &meta, 0, err);
	if (r == 0 && renameat2(s->volumes, temporary, s->volumes, id, RENAME_NOREPLACE) < 0)
		r = err_errno(err, errno, "cannot give volume %s its name", id);
	return r;
}

static int make_volume(struct storage *s, const char *id, enum image_kind kind, const char *image,
	uint64_t size, struct err *err)
{
	if (faccessat(s->volumes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return kind == IMAGE_OCI ? make_empty(s, id, image, err)
				 : clone_image(s, id, kind, image, size, err);
}

/* What of it lies beside its files: a disk, and who gets as far as that. */
static int finish_clone(const struct storage *s, const char *id, uint64_t size,
	struct image_disk *ret_disk, struct err *err)
{
	AUTOCLOSE int fd = openat(s->volumes, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct image image;
	int r;

	if (fd < 0)
		return err_errno(err, errno, "cannot open volume %s", id);
	r = image_meta_read(fd, &image, NULL, err);
	if (r == 0)
		r = volume_protect(fd);
	if (r == 0 && image.kind == IMAGE_DISK)
		r = volume_disk_make(fd, &image.disk, size, err);
	if (r == 0 && ret_disk)
		*ret_disk = image.disk;
	return r;
}

int volume_create(struct storage *storage, const char *id, enum image_kind kind, const char *image,
	uint64_t size, struct image_disk *ret_disk, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = kind == IMAGE_OCI ? name_check_reference(image, "image", err)
				      : name_check_image(image, "image", err);
	if (r == 0)
		r = volume_check_size(storage, size, err);
	if (r == 0)
		r = make_volume(storage, id, kind, image, size, err);
	if (r == 0)
		r = volume_apply_size(storage, id, size, err);
	return r < 0 ? r : finish_clone(storage, id, size, ret_disk, err);
}

DEFINE_CLEANUP(char **, names_free)

/* --- End and list ---------------------------------------------------------------------------- */

/* The volume itself goes last: as long as anything is left, volume_list tells of it. */
int volume_destroy(struct storage *storage, const char *id, struct err *err)
{
	char temporary[sizeof(POOL_CLONING) + GUEST_ID_LEN];
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	snprintf(temporary, sizeof(temporary), POOL_CLONING "%s", id);
	r = snapshot_delete_all(storage, id, err);
	if (r == 0)
		r = snapshot_restore_finish(storage, id, err);
	if (r < 0)
		return r;
	r = pool_delete(storage, storage->volumes, temporary);
	if (r == 0)
		r = pool_delete(storage, storage->volumes, id);
	return r < 0 ? err_errno(err, r, "cannot delete volume %s", id) : 0;
}

static const char *const PARTS[] = {
	[VOLUME_ROOTFS] = "rootfs",
	[VOLUME_BASE] = "base",
	[VOLUME_DISK] = "disk.qcow2",
	[VOLUME_KERNEL] = "kernel",
	[VOLUME_INITRD] = "initrd",
	[VOLUME_NVRAM] = "nvram",
	[VOLUME_SEED] = "seed.iso",
	[VOLUME_MEMORY] = "memory",
	[VOLUME_DATA] = "data",
};

int volume_path(const struct storage *storage, const char *id, enum volume_part part, char *buf,
	size_t size)
{
	return file_path(buf, size, "%s/volumes/%s/%s", storage->path, id, PARTS[part]);
}

/* Room that QEMU needs beside the disk for as long as it lies there. */
int volume_remove(struct storage *storage, const char *id, enum volume_part part, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0 && part != VOLUME_SEED && part != VOLUME_MEMORY)
		r = err_set(
			err, ERR_INVALID, NULL, "a guest\'s %s is not to be removed", PARTS[part]);
	if (r == 0)
		r = volume_open_of(storage, id, &volume, err);
	if (r == 0 && unlinkat(volume.fd, PARTS[part], 0) < 0 && errno != ENOENT)
		r = err_errno(err, errno, "cannot remove %s of volume %s", PARTS[part], id);
	return r;
}

/* --- Who reaches it -------------------------------------------------------------------------- */

/* The user that QEMU runs as gets to a guest\'s disk, by its name. To a tree nobody gets but root:
 * there may be files of any owner and mode in it. */
int volume_protect(int fd)
{
	return fchmod(fd, volume_disk_is(fd) ? 0711 : 0700) < 0 ? -errno : 0;
}

static bool is_id(const char *name)
{
	return name_check_id(name, GUEST_ID_LEN, NULL, NULL) == 0;
}

static bool is_volume(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int volume_settle_all(const struct storage *s)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(s->volumes, is_volume, &names);

	for (char **name = names; r == 0 && *name; name++) {
		AUTOCLOSE int fd =
			openat(s->volumes, *name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		r = fd < 0 ? -errno : volume_protect(fd);
		if (r == 0)
			r = volume_disk_settle(fd);
	}
	return r;
}

int volume_list(struct storage *storage, char ***ret, struct err *err)
{
	AUTOCLOSE int fd = openat(storage->root, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : names_read(fd, is_id, ret);

	return r < 0 ? err_errno(err, r, "cannot read the volumes of %s", storage->path) : 0;
}
