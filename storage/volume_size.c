/* Sizes of volumes: limits, what is used of them, and how they are moved. */
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/btrfs.h"
#include "storage/volume.h"
#include "storage/volume_disk.h"

#define MIB (1ULL << 20)

/* btrfs reserves room for its trees ahead of every change: in less than this nothing works. */
#define VOLUME_LEAST (16 * MIB)

/* --- Limits ---------------------------------------------------------------------------------- */

void volume_finish(struct volume *volume)
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

int volume_open(const struct storage *s, int parent, const char *name, const char *what,
	struct volume *ret, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r;

	volume.fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (volume.fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no %s", what);
	if (volume.fd < 0)
		return err_errno(err, errno, "cannot open %s", what);
	r = btrfs_subvolume_id(volume.fd, &volume.subvolume);
	if (r < 0)
		return err_errno(err, r, "cannot identify %s", what);
	r = read_base(s, &volume, err);
	if (r < 0)
		return r;
	*ret = volume;
	volume.fd = -1;
	return 0;
}

int volume_open_of(const struct storage *s, const char *id, struct volume *ret, struct err *err)
{
	char what[GUEST_ID_LEN + 8];
	int r;

	snprintf(what, sizeof(what), "volume %s", id);
	r = volume_open(s, s->volumes, id, what, ret, err);
	if (r < 0 || s->quota.mode != QUOTA_SIMPLE)
		return r;
	r = account_read(s, id, &ret->account);
	return r < 0 ? err_errno(err, r, "cannot read the account of %s", what) : 0;
}

int volume_set_limit(
	const struct storage *s, const struct volume *volume, uint64_t size, struct err *err)
{
	int r = quota_set_limit(&s->quota, volume->subvolume, size + volume->base);

	return r < 0 ? err_errno(err, r, "cannot set the limit") : 0;
}

static int charged_as_used(
	const struct volume *volume, const struct quota_figures *figures, struct volume_usage *ret)
{
	uint64_t charged = figures->used + figures->pending;

	ret->used = charged > volume->base ? charged - volume->base : 0;
	ret->size = figures->limit == UINT64_MAX ? 0 : figures->limit - volume->base;
	return 0;
}

int volume_read_usage(const struct storage *s, const struct volume *volume, enum usage_how how,
	struct volume_usage *ret, struct err *err)
{
	struct quota_figures figures = {0};
	int r = how == USAGE_EXACT ? btrfs_commit(s->root) : 0;

	if (r == 0)
		r = quota_read(&s->quota, volume->subvolume, &figures);
	if (r == 0)
		r = volume->account.kept ? account_usage(volume, &figures, how != USAGE_CHEAP, ret)
					 : charged_as_used(volume, &figures, ret);
	return r < 0 ? err_errno(err, r, "cannot read the usage") : 0;
}

uint64_t volume_least(const struct volume_usage *usage)
{
	uint64_t least = (usage->used + MIB - 1) & ~(MIB - 1);

	return least > VOLUME_LEAST ? least : VOLUME_LEAST;
}

int volume_check_size(struct storage *s, uint64_t size, struct err *err)
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
	int r = volume_read_usage(s, volume, USAGE_CAREFUL, &usage, err);

	if (r == 0 && size < usage.size && size < volume_least(&usage))
		r = volume_read_usage(s, volume, USAGE_EXACT, &usage, err);
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

static int apply_size(const struct storage *s, int directory, struct volume *volume, uint64_t size,
	struct err *err)
{
	int r;

	if (volume_disk_is(volume->fd))
		size = volume_disk_room(volume->fd, size);
	if (!volume->account.kept)
		return volume_set_limit(s, volume, size, err);
	r = account_set_size(s, directory, volume, size);
	return r < 0 ? err_errno(err, r, "cannot set the limit") : 0;
}

/* The volume, and its account held where there is one, that both may be changed. */
static int open_to_change(const struct storage *s, const char *id, struct volume *ret,
	int *ret_directory, struct err *err)
{
	AUTOCLOSE int directory = account_hold(s, id, ACCOUNT_IF_THERE);
	int r;

	if (directory < 0 && directory != -ENOENT)
		return err_errno(err, directory, "cannot hold snapshots/%s", id);
	r = volume_open_of(s, id, ret, err);
	if (r == 0)
		*ret_directory = TAKE_FD(directory);
	return r;
}

int volume_apply_size(const struct storage *s, const char *id, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	AUTOCLOSE int directory = -1;
	int r = open_to_change(s, id, &volume, &directory, err);

	return r < 0 ? r : apply_size(s, directory, &volume, size, err);
}

/* The same for a size that somebody asks for. */
static int open_for_size(struct storage *s, const char *id, uint64_t size, struct volume *ret,
	int *ret_directory, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = open_to_change(s, id, ret, ret_directory, err);
	return r < 0 ? r : volume_check_size(s, size, err);
}

int volume_resize(struct storage *storage, const char *id, uint64_t size, uint64_t *ret_least,
	struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	AUTOCLOSE int directory = -1;
	int r = open_for_size(storage, id, size, &volume, &directory, err);

	if (r == 0 && volume_disk_is(volume.fd))
		r = err_set(err, ERR_UNSUPPORTED, NULL,
			"volume %s holds a disk, which has a size of its own", id);
	if (r == 0)
		r = check_fits(storage, &volume, size, ret_least, err);
	return r < 0 ? r : apply_size(storage, directory, &volume, size, err);
}

int volume_make_room(struct storage *storage, const char *id, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	AUTOCLOSE int directory = -1;
	int r = open_for_size(storage, id, size, &volume, &directory, err);

	if (r == 0 && !volume_disk_is(volume.fd))
		r = err_set(err, ERR_UNSUPPORTED, NULL, "volume %s holds no disk", id);
	return r < 0 ? r : apply_size(storage, directory, &volume, size, err);
}

static int read_usage(const struct storage *s, const struct volume *volume, bool exact,
	struct volume_usage *ret, struct err *err)
{
	int r;

	if (!volume_disk_is(volume->fd))
		return volume_read_usage(s, volume, exact ? USAGE_EXACT : USAGE_CHEAP, ret, err);
	r = volume_disk_usage(volume->fd, ret);
	return r < 0 ? err_errno(err, r, "cannot read the usage") : 0;
}

int volume_usage(struct storage *storage, const char *id, bool exact, struct volume_usage *ret,
	struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct volume_usage usage = {0};
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = volume_open_of(storage, id, &volume, err);
	if (r == 0)
		r = read_usage(storage, &volume, exact, &usage, err);
	if (r < 0)
		return r;
	/* What is over it for a moment is nothing that a caller could do anything with. */
	if (usage.size && usage.used > usage.size)
		usage.used = usage.size;
	*ret = usage;
	return 0;
}
