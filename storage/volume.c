/* Volumes: writable clones of images, with a limit. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/btrfs.h"
#include "storage/pool.h"

#define MIB (1ULL << 20)

/* btrfs reserves room for its trees ahead of every change: in less than this nothing works. */
#define VOLUME_LEAST (16 * MIB)

/* --- Limits ---------------------------------------------------------------------------------- */

struct volume {
	int fd;
	uint64_t subvolume;
	uint64_t base; /* bytes charged for the image that are not the guest's own */
};

static void volume_finish(struct volume *volume)
{
	volume->fd = fd_close(volume->fd);
}

/* Under classic quotas a clone is charged with all of its image from the start. That is given on
 * top of its size, so that a size means the same under both: room for what the guest writes. */
static int read_base(const struct storage *s, struct volume *volume, struct err *err)
{
	struct image image;

	if (s->quota.mode == QUOTA_SIMPLE)
		return 0;
	return image_meta_read(volume->fd, &image, &volume->base, err);
}

static int volume_open(const struct storage *s, const char *id, struct volume *ret, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r;

	volume.fd = openat(s->volumes, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (volume.fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no volume %s", id);
	if (volume.fd < 0)
		return err_errno(err, errno, "cannot open volume %s", id);
	r = btrfs_subvolume_id(volume.fd, &volume.subvolume);
	if (r < 0)
		return err_errno(err, r, "cannot identify volume %s", id);
	r = read_base(s, &volume, err);
	if (r < 0)
		return r;
	*ret = volume;
	volume.fd = -1;
	return 0;
}

static int set_limit(
	const struct storage *s, const struct volume *volume, uint64_t size, struct err *err)
{
	int r = quota_set_limit(&s->quota, volume->subvolume, size + volume->base);

	return r < 0 ? err_errno(err, r, "cannot set the limit") : 0;
}

/* With `exact`, what was freed a moment ago is not counted any more; what was written a moment ago
 * always is. */
static int read_usage(const struct storage *s, const struct volume *volume, bool exact,
	struct volume_usage *ret, struct err *err)
{
	struct quota_figures figures = {0};
	uint64_t used;
	int r = exact ? btrfs_commit(s->root) : 0;

	if (r == 0)
		r = quota_read(&s->quota, volume->subvolume, &figures);
	if (r < 0)
		return err_errno(err, r, "cannot read the usage");
	used = figures.used + figures.pending;
	ret->used = used > volume->base ? used - volume->base : 0;
	ret->size = figures.limit == UINT64_MAX ? 0 : figures.limit - volume->base;
	return 0;
}

uint64_t volume_least(const struct volume_usage *usage)
{
	uint64_t least = (usage->used + MIB - 1) & ~(MIB - 1);

	return least > VOLUME_LEAST ? least : VOLUME_LEAST;
}

static int check_size(struct storage *s, uint64_t size, struct err *err)
{
	uint64_t most;
	int r = pool_most(s, &most, err);

	if (r < 0)
		return r;
	if (size > most)
		return err_set(err, ERR_NO_ROOM, "storage.size",
			"%s is more than the pool can ever hold (%s)", FMT_SIZE(size),
			FMT_SIZE(most));
	if (size < VOLUME_LEAST)
		return err_set(err, ERR_INVALID, "storage.size",
			"the least possible size is %llu bytes (%s)",
			(unsigned long long)VOLUME_LEAST, FMT_SIZE(VOLUME_LEAST));
	return 0;
}

/* The figures at hand are an upper bound, so where the size fits them, it fits. Only else it is
 * worth a commit to learn what was freed lately. */
static int check_fits(const struct storage *s, const struct volume *volume, uint64_t size,
	uint64_t *ret_least, struct err *err)
{
	struct volume_usage usage = {0};
	int r = read_usage(s, volume, false, &usage, err);

	if (r == 0 && size < usage.size && size < volume_least(&usage))
		r = read_usage(s, volume, true, &usage, err);
	if (r < 0)
		return r;
	if (ret_least)
		*ret_least = volume_least(&usage);
	if (size >= usage.size || size >= volume_least(&usage))
		return 0;
	return err_set(err, ERR_INVALID, "storage.size",
		"%s are in use: the least possible size is %llu bytes (%s)", FMT_SIZE(usage.used),
		(unsigned long long)volume_least(&usage), FMT_SIZE(volume_least(&usage)));
}

int volume_resize(struct storage *storage, const char *id, uint64_t size, uint64_t *ret_least,
	struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = volume_open(storage, id, &volume, err);
	if (r == 0)
		r = check_size(storage, size, err);
	if (r == 0)
		r = check_fits(storage, &volume, size, ret_least, err);
	if (r == 0)
		r = set_limit(storage, &volume, size, err);
	return r;
}

int volume_usage(struct storage *storage, const char *id, bool exact, struct volume_usage *ret,
	struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct volume_usage usage = {0};
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = volume_open(storage, id, &volume, err);
	if (r == 0)
		r = read_usage(storage, &volume, exact, &usage, err);
	if (r == 0)
		*ret = usage;
	return r;
}

/* --- Life ------------------------------------------------------------------------------------ */

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
	r = btrfs_subvolume_snapshot(source, s->volumes, id);
	if (r < 0 && r != -EEXIST)
		return err_errno(err, r, "cannot clone image %s", image);
	fault_point("storage.volume.cloned");
	return r == 0;
}

int volume_create(
	struct storage *storage, const char *id, const char *image, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = name_check_image(image, "image", err);
	if (r == 0)
		r = check_size(storage, size, err);
	if (r == 0)
		r = clone_image(storage, id, image, err);
	if (r >= 0)
		r = volume_open(storage, id, &volume, err);
	if (r >= 0)
		r = set_limit(storage, &volume, size, err);
	return r;
}

int volume_destroy(struct storage *storage, const char *id, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	r = pool_delete(storage, storage->volumes, id);
	return r < 0 ? err_errno(err, r, "cannot delete volume %s", id) : 0;
}

int volume_rootfs(const struct storage *storage, const char *id, char *buf, size_t size)
{
	return file_path(buf, size, "%s/volumes/%s/rootfs", storage->path, id);
}

/* --- List ------------------------------------------------------------------------------------ */

struct id_list {
	char **ids;
	size_t count;
};

static void id_list_finish(struct id_list *list)
{
	for (size_t i = 0; list->ids && i < list->count; i++)
		free(list->ids[i]);
	free(list->ids);
}

static int id_list_add(struct id_list *list, const char *id)
{
	char **grown = realloc(list->ids, (list->count + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->ids = grown;
	list->ids[list->count] = id ? strdup(id) : NULL;
	if (id && !list->ids[list->count])
		return -ENOMEM;
	if (id)
		list->ids[++list->count] = NULL;
	return 0;
}

int volume_list(struct storage *storage, char ***ret, struct err *err)
{
	CLEANUP(id_list_finish) struct id_list list = {0};
	AUTOCLOSE int fd = openat(storage->root, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return err_errno(err, errno, "cannot read the volumes of %s", storage->path);
	fd = -1;
	r = id_list_add(&list, NULL);
	while (r == 0 && (entry = readdir(dir)))
		if (name_check_id(entry->d_name, GUEST_ID_LEN, NULL, NULL) == 0)
			r = id_list_add(&list, entry->d_name);
	if (r < 0)
		return err_errno(err, r, "cannot list volumes");
	*ret = TAKE_PTR(list.ids);
	return 0;
}
