/* Volumes: writable clones of images, made, deleted and listed. */
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/btrfs.h"
#include "storage/snapshot.h"
#include "storage/volume.h"

/* 1 when it was made, 0 when it was there already. */
static int clone_image(
	struct storage *s, const char *id, enum image_kind kind, const char *image, struct err *err)
{
	AUTOCLOSE int source = -1;
	int r;

	if (faccessat(s->volumes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	source = openat(s->images[kind], image, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "image", "there is no image %s of the kind %s",
			image, image_kind_to_string(kind));
	if (source < 0)
		return err_errno(err, errno, "cannot open image %s", image);
	r = pool_want_room(s, err);
	if (r < 0)
		return r;
	r = btrfs_subvolume_snapshot(source, s->volumes, id, false);
	if (r < 0 && r != -EEXIST)
		return err_errno(err, r, "cannot clone image %s", image);
	fault_point("storage.volume.cloned");
	return r == 0;
}

static int read_disk(
	const struct storage *s, const char *id, struct image_disk *ret, struct err *err)
{
	AUTOCLOSE int fd = openat(s->volumes, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct image image;
	int r;

	if (fd < 0)
		return err_errno(err, errno, "cannot open volume %s", id);
	r = image_meta_read(fd, &image, NULL, err);
	if (r == 0)
		*ret = image.disk;
	return r;
}

int volume_create(struct storage *storage, const char *id, enum image_kind kind, const char *image,
	uint64_t size, struct image_disk *ret_disk, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = name_check_image(image, "image", err);
	if (r == 0)
		r = volume_check_size(storage, size, err);
	if (r == 0)
		r = clone_image(storage, id, kind, image, err);
	if (r >= 0)
		r = volume_apply_size(storage, id, size, err);
	return r < 0 || !ret_disk ? r : read_disk(storage, id, ret_disk, err);
}

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
};

int volume_path(const struct storage *storage, const char *id, enum volume_part part, char *buf,
	size_t size)
{
	return file_path(buf, size, "%s/volumes/%s/%s", storage->path, id, PARTS[part]);
}

static bool is_id(const char *name)
{
	return name_check_id(name, GUEST_ID_LEN, NULL, NULL) == 0;
}

int volume_list(struct storage *storage, char ***ret, struct err *err)
{
	AUTOCLOSE int fd = openat(storage->root, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : names_read(fd, is_id, ret);

	return r < 0 ? err_errno(err, r, "cannot read the volumes of %s", storage->path) : 0;
}
