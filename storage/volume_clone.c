/* Clones of volumes: a guest's, or a snapshot's, for another guest. */
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "storage/btrfs.h"
#include "storage/snapshot.h"
#include "storage/volume.h"
#include "storage/volume_disk.h"

struct clone {
	const char *id, *from;
	const char *snapshot; /* NULL: the volume as it is */
	uint64_t size;
	char temporary[sizeof(POOL_CLONING) + GUEST_ID_LEN];
};

/* Classic quotas charge a copy with all that was copied. That becomes its base, as an image's files
 * are: room that does not count. */
static int rebase(struct storage *s, struct volume *copy, struct err *err)
{
	struct quota_figures figures = {0};
	struct image image;
	int r;

	if (s->quota.mode == QUOTA_SIMPLE)
		return 0;
	/* It has its source's limit, which may be reached already. */
	r = quota_set_limit(&s->quota, copy->subvolume, UINT64_MAX);
	if (r == 0)
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

/* It is another machine: what the first one had in its memory, and was told at its first start, is
 * not its own. */
static int settle_disk(
	const struct storage *s, const struct volume *copy, uint64_t size, struct err *err)
{
	static const char *const others[] = {"memory", "seed.iso"};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (unlinkat(copy->fd, others[i], 0) < 0 && errno != ENOENT)
			return err_errno(err, errno, "cannot remove %s", others[i]);
	r = volume_set_limit(s, copy, volume_disk_room(copy->fd, size), err);
	return r < 0 ? r : volume_disk_fit(copy->fd, size, err);
}

/* The copy gets its name when its limit is set: one without would count what it copied. */
static int prepare(struct storage *s, const struct clone *clone, struct err *err)
{
	CLEANUP(volume_finish) struct volume copy = {.fd = -1};
	int dir = s->volumes, r = volume_open(s, dir, clone->temporary, "copy", &copy, err);

	if (r == 0)
		r = rebase(s, &copy, err);
	if (r == 0)
		r = volume_disk_is(copy.fd) ? settle_disk(s, &copy, clone->size, err)
					    : volume_set_limit(s, &copy, clone->size, err);
	fault_point("storage.clone.limited");
	if (r == 0 && renameat2(dir, clone->temporary, dir, clone->id, RENAME_NOREPLACE) < 0)
		r = err_errno(err, errno, "cannot give volume %s its name", clone->id);
	return r;
}

static int copy_from(
	struct storage *s, const struct clone *clone, const struct volume *source, struct err *err)
{
	/* What an attempt before this one left. */
	int r = pool_delete(s, s->volumes, clone->temporary);

	if (r == 0)
		r = btrfs_subvolume_snapshot(source->fd, s->volumes, clone->temporary, false);
	if (r < 0)
		return err_errno(err, r, "cannot copy volume %s", clone->from);
	fault_point("storage.clone.copied");
	r = prepare(s, clone, err);
	if (r < 0)
		pool_delete(s, s->volumes, clone->temporary);
	return r;
}

/* The guest stays charged with what its clones hold: its account says that there are some. */
static int open_up(struct storage *s, const struct clone *clone, int directory, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = volume_open_of(s, clone->from, &volume, err);

	if (r < 0)
		return r;
	volume.account.cloned = 1;
	r = account_open_up(s, directory, &volume);
	return r < 0 ? err_errno(err, r, "cannot limit volume %s", clone->from) : 0;
}

static int make(struct storage *s, const struct clone *clone, int directory, struct err *err)
{
	CLEANUP(volume_finish) struct volume source = {.fd = -1};
	int r = pool_want_room(s, err);

	if (r < 0)
		return r;
	r = clone->snapshot ? snapshot_open(s, clone->from, clone->snapshot, &source, err)
			    : volume_open_of(s, clone->from, &source, err);
	if (r == 0)
		r = open_up(s, clone, directory, err);
	return r < 0 ? r : copy_from(s, clone, &source, err);
}

static int make_held(struct storage *s, const struct clone *clone, struct err *err)
{
	AUTOCLOSE int directory = account_hold(s, clone->from, ACCOUNT_MAKE);
	int r, settled;

	if (directory < 0)
		return err_errno(err, directory, "cannot hold snapshots/%s", clone->from);
	r = make(s, clone, directory, err);
	settled = account_settle(s, directory, clone->from, false);
	if (r == 0 && settled < 0)
		return err_errno(err, settled, "cannot limit volume %s", clone->from);
	return r;
}

static int check(struct storage *s, const struct clone *clone, struct err *err)
{
	int r = name_check_id(clone->id, GUEST_ID_LEN, "id", err);

	if (r == 0)
		r = name_check_id(clone->from, GUEST_ID_LEN, "from", err);
	if (r == 0 && clone->snapshot)
		r = name_check_snapshot(clone->snapshot, "snapshot", err);
	return r < 0 ? r : volume_check_size(s, clone->size, err);
}

int volume_clone(struct storage *storage, const char *id, const char *from, const char *snapshot,
	uint64_t size, struct err *err)
{
	struct clone clone = {.id = id, .from = from, .snapshot = snapshot, .size = size};
	int r = check(storage, &clone, err);

	if (r < 0)
		return r;
	if (faccessat(storage->volumes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return volume_apply_size(storage, id, size, err);
	snprintf(clone.temporary, sizeof(clone.temporary), POOL_CLONING "%s", id);
	return make_held(storage, &clone, err);
}
