/* Volumes: writable clones of images and of other volumes, made, deleted and listed. */
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
static int clone_image(struct storage *s, const char *id, const char *image, struct err *err)
{
	AUTOCLOSE int source = -1;
	int r;

	if (faccessat(s->volumes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	source = openat(s->images, image, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "image", "there is no image %s", image);
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

static int limit(struct storage *s, const char *id, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = volume_open_of(s, id, &volume, err);

	return r < 0 ? r : volume_set_limit(s, &volume, size, err);
}

int volume_create(
	struct storage *storage, const char *id, const char *image, uint64_t size, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = name_check_image(image, "image", err);
	if (r == 0)
		r = volume_check_size(storage, size, err);
	if (r == 0)
		r = clone_image(storage, id, image, err);
	return r < 0 ? r : limit(storage, id, size, err);
}

/* --- Clones of volumes ----------------------------------------------------------------------- */

/* Classic quotas charge a copy with all that was copied. That becomes its base, as an image's files
 * are: room that does not count. */
static int rebase(struct storage *s, struct volume *copy, struct err *err)
{
	struct quota_figures figures = {0};
	struct image image;
	int r;

	if (s->quota.mode == QUOTA_SIMPLE)
		return 0;
	r = quota_read(&s->quota, copy->subvolume, &figures);
	if (r < 0)
		return err_errno(err, r, "cannot read the usage");
	r = image_meta_read(copy->fd, &image, NULL, err);
	if (r == 0)
		r = image_meta_rewrite(copy->fd, &image, figures.used, err);
	if (r == 0)
		copy->base = figures.used;
	return r;
}

/* The copy gets its name when its limit is set: one without would count what it copied. */
static int prepare_copy(
	struct storage *s, const char *temporary, const char *id, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume copy = {.fd = -1};
	int r = volume_open(s, s->volumes, temporary, "copy", &copy, err);

	if (r == 0)
		r = rebase(s, &copy, err);
	if (r == 0)
		r = volume_set_limit(s, &copy, size, err);
	fault_point("storage.clone.limited");
	if (r == 0 && renameat2(s->volumes, temporary, s->volumes, id, RENAME_NOREPLACE) < 0)
		r = err_errno(err, errno, "cannot give volume %s its name", id);
	return r;
}

static int clone_volume(struct storage *s, const char *id, const struct volume *source,
	uint64_t size, struct err *err)
{
	char temporary[sizeof(POOL_CLONING) + GUEST_ID_LEN];
	int r = pool_want_room(s, err);

	if (r < 0)
		return r;
	snprintf(temporary, sizeof(temporary), POOL_CLONING "%s", id);
	/* What an attempt before this one left. */
	r = pool_delete(s, s->volumes, temporary);
	if (r == 0)
		r = btrfs_subvolume_snapshot(source->fd, s->volumes, temporary, false);
	if (r < 0)
		return err_errno(err, r, "cannot copy to volume %s", id);
	fault_point("storage.clone.copied");
	r = prepare_copy(s, temporary, id, size, err);
	if (r < 0)
		pool_delete(s, s->volumes, temporary);
	return r;
}

static int check_clone(const char *id, const char *from, const char *snapshot, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = name_check_id(from, GUEST_ID_LEN, "from", err);
	if (r == 0 && snapshot)
		r = name_check_snapshot(snapshot, "snapshot", err);
	return r;
}

int volume_clone(struct storage *storage, const char *id, const char *from, const char *snapshot,
	uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume source = {.fd = -1};
	int r = check_clone(id, from, snapshot, err);

	if (r == 0)
		r = volume_check_size(storage, size, err);
	if (r < 0)
		return r;
	if (faccessat(storage->volumes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return limit(storage, id, size, err);
	r = snapshot ? snapshot_open(storage, from, snapshot, &source, err)
		     : volume_open_of(storage, from, &source, err);
	return r < 0 ? r : clone_volume(storage, id, &source, size, err);
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

int volume_rootfs(const struct storage *storage, const char *id, char *buf, size_t size)
{
	return file_path(buf, size, "%s/volumes/%s/rootfs", storage->path, id);
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
