/* Restores: a volume exchanged for a copy of its snapshot, in one step that can be taken back.
 *
 * The copy is made under the name volumes/.replaced-ID and then exchanged with the volume, so that
 * this name stands for what was put aside. Which of the two it stands for after a crash their
 * numbers tell: a subvolume that is made gets a higher one than all that are there. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "storage/btrfs.h"
#include "storage/restore.h"
#include "storage/snapshot.h"
#include "storage/volume_disk.h"
#include "storage/written.h"

DEFINE_CLEANUP(char **, names_free)

struct restore {
	const char *id;
	char aside_name[sizeof(POOL_REPLACED) + GUEST_ID_LEN];
	enum aside {
		ASIDE_NOTHING,
		ASIDE_COPY,   /* a restore that was cut short, or an undo that was */
		ASIDE_VOLUME, /* what the volume was */
	} aside;
};

static int subvolume_of(int parent, const char *name, uint64_t *ret)
{
	AUTOCLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : btrfs_subvolume_id(fd, ret);
}

static int look(struct storage *s, const char *id, struct restore *ret)
{
	struct restore restore = {.id = id};
	uint64_t volume = 0, aside = 0;
	int r;

	snprintf(restore.aside_name, sizeof(restore.aside_name), POOL_REPLACED "%s", id);
	r = subvolume_of(s->volumes, restore.aside_name, &aside);
	if (r == 0) {
		r = subvolume_of(s->volumes, id, &volume);
		restore.aside = r == 0 && aside > volume ? ASIDE_COPY : ASIDE_VOLUME;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = restore;
	return 0;
}

static int begin(struct storage *s, const char *id, struct restore *ret, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	r = look(s, id, ret);
	return r < 0 ? err_errno(err, r, "cannot look at volume %s", id) : 0;
}

static int exchange(struct storage *s, const struct restore *restore)
{
	int dir = s->volumes;

	return renameat2(dir, restore->aside_name, dir, restore->id, RENAME_EXCHANGE) < 0 ? -errno
											  : 0;
}

/* --- Restore --------------------------------------------------------------------------------- */

/* What a guest that filled its volume holds may lie a little above its size. */
#define TOLERANCE 16

/* What the snapshot holds that is the guest's. */
static int read_held(struct storage *s, const struct volume *volume, const struct volume *snapshot,
	uint64_t *ret, struct err *err)
{
	struct volume_usage usage = {0};
	int r;

	if (!volume->account.kept) {
		r = volume_read_usage(s, snapshot, USAGE_CAREFUL, &usage, err);
		*ret = usage.used;
		return r;
	}
	r = written_bytes(snapshot->fd, volume->account.origin, ret);
	return r < 0 ? err_errno(err, r, "cannot measure the snapshot") : 0;
}

static int check_disk_fits(int snapshot, uint64_t size, struct err *err)
{
	struct volume_usage usage;
	int r = volume_disk_usage(snapshot, &usage);

	if (r < 0)
		return err_errno(err, r, "cannot read the size of the snapshot's disk");
	if (usage.size <= size)
		return 0;
	return err_set(err, ERR_INVALID, "storage.size",
		"the snapshot's disk has %s: the guest's size must be %llu bytes (%s) at least",
		FMT_SIZE(usage.size), (unsigned long long)usage.size, FMT_SIZE(usage.size));
}

/* What a snapshot of a disk holds is bounded by the disk's size, and that by the guest's. */
static int check_fits(const struct volume *snapshot, uint64_t held, uint64_t size, struct err *err)
{
	struct volume_usage usage = {.used = held};

	if (volume_disk_is(snapshot->fd))
		return check_disk_fits(snapshot->fd, size, err);
	if (held <= size + size / TOLERANCE)
		return 0;
	return err_set(err, ERR_INVALID, "storage.size",
		"the snapshot holds %s: the guest's size must be %llu bytes (%s) at least",
		FMT_SIZE(held), (unsigned long long)volume_least(&usage),
		FMT_SIZE(volume_least(&usage)));
}

static int limit_copy(
	struct storage *s, const struct restore *restore, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume copy = {.fd = -1};
	int r = volume_open(s, s->volumes, restore->aside_name, "copy", &copy, err);

	if (r < 0 || !volume_disk_is(copy.fd))
		return r < 0 ? r : volume_set_limit(s, &copy, size, err);
	r = volume_set_limit(s, &copy, volume_disk_room(copy.fd, size), err);
	return r < 0 ? r : volume_disk_fit(copy.fd, size, err);
}

static int put_in_place(
	struct storage *s, const struct restore *restore, uint64_t size, struct err *err)
{
	int r = limit_copy(s, restore, size, err);

	if (r == 0) {
		fault_point("storage.restore.limited");
		r = exchange(s, restore);
		if (r < 0)
			err_errno(err, r, "cannot exchange volume %s", restore->id);
	}
	if (r < 0)
		pool_delete(s, s->volumes, restore->aside_name);
	return r;
}

static int restore_volume(struct storage *s, const struct restore *restore,
	const struct volume *snapshot, uint64_t size, struct err *err)
{
	int r = pool_delete(s, s->volumes, restore->aside_name);

	if (r == 0)
		r = btrfs_subvolume_snapshot(snapshot->fd, s->volumes, restore->aside_name, false);
	if (r < 0)
		return err_errno(err, r, "cannot copy the snapshot");
	fault_point("storage.restore.copied");
	r = put_in_place(s, restore, size, err);
	if (r < 0)
		return r;
	fault_point("storage.restore.exchanged");
	r = btrfs_commit(s->root);
	return r < 0 ? err_errno(err, r, "cannot write volume %s to disk", restore->id) : 0;
}

/* The guest's size holds what the snapshot does; its account is told. */
static int prepare(struct storage *s, const struct restore *restore, int directory,
	const struct volume *snapshot, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	uint64_t held = 0;
	int r = volume_open_of(s, restore->id, &volume, err);

	if (r == 0)
		r = volume_disk_want_idle(volume.fd, err);
	if (r == 0)
		r = read_held(s, &volume, snapshot, &held, err);
	if (r == 0)
		r = check_fits(snapshot, held, size, err);
	if (r < 0)
		return r;
	if (volume_disk_is(snapshot->fd))
		size = volume_disk_room(snapshot->fd, size);
	r = account_inherit(directory, &volume, held, size);
	return r < 0 ? err_errno(err, r, "cannot write the account of volume %s", restore->id) : 0;
}

static int restore_of(struct storage *s, const struct restore *restore, const char *name,
	uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume snapshot = {.fd = -1};
	AUTOCLOSE int directory = account_hold(s, restore->id, ACCOUNT_IF_THERE);
	int r;

	if (directory < 0 && directory != -ENOENT)
		return err_errno(err, directory, "cannot hold snapshots/%s", restore->id);
	r = snapshot_open(s, restore->id, name, &snapshot, err);
	if (r == 0)
		r = prepare(s, restore, directory, &snapshot, size, err);
	return r < 0 ? r : restore_volume(s, restore, &snapshot, size, err);
}

int snapshot_restore(
	struct storage *storage, const char *id, const char *name, uint64_t size, struct err *err)
{
	struct restore restore;
	int r = begin(storage, id, &restore, err);

	if (r == 0)
		r = name_check_snapshot(name, "snapshot", err);
	if (r < 0 || restore.aside == ASIDE_VOLUME)
		return r;
	r = volume_check_size(storage, size, err);
	if (r == 0)
		r = pool_want_room(storage, err);
	return r < 0 ? r : restore_of(storage, &restore, name, size, err);
}

/* --- The decision ---------------------------------------------------------------------------- */

static int discard(struct storage *s, const struct restore *restore, struct err *err)
{
	int r = pool_delete(s, s->volumes, restore->aside_name);

	return r < 0 ? err_errno(err, r, "cannot delete what volume %s was", restore->id) : 0;
}

/* What snapshots hold of the volume that comes back was forgotten meanwhile. */
static int open_up(struct storage *s, const char *id, int directory)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = volume_open_of(s, id, &volume, NULL);

	return r == 0 && volume.account.kept ? account_open_up(s, directory, &volume) : r;
}

static int bring_back(struct storage *s, const struct restore *restore)
{
	AUTOCLOSE int directory = account_hold(s, restore->id, ACCOUNT_IF_THERE);
	int r = directory == -ENOENT ? 0 : directory;

	if (r < 0)
		return r;
	if (directory >= 0)
		r = open_up(s, restore->id, directory);
	if (r >= 0)
		r = exchange(s, restore);
	if (r == 0)
		r = btrfs_commit(s->root);
	fault_point("storage.restore.returned");
	if (r == 0 && directory >= 0)
		r = account_settle(s, directory, restore->id, false);
	return r;
}

int snapshot_restore_undo(struct storage *storage, const char *id, struct err *err)
{
	struct restore restore;
	int r = begin(storage, id, &restore, err);

	if (r < 0)
		return r;
	if (restore.aside == ASIDE_VOLUME) {
		r = bring_back(storage, &restore);
		if (r < 0)
			return err_errno(err, r, "cannot bring back volume %s", id);
	}
	return discard(storage, &restore, err);
}

int snapshot_restore_finish(struct storage *storage, const char *id, struct err *err)
{
	struct restore restore;
	int r = begin(storage, id, &restore, err);

	return r < 0 ? r : discard(storage, &restore, err);
}

/* --- After a crash --------------------------------------------------------------------------- */

static bool is_aside(const char *name)
{
	return strncmp(name, POOL_REPLACED, strlen(POOL_REPLACED)) == 0 &&
	       name_check_id(name + strlen(POOL_REPLACED), GUEST_ID_LEN, NULL, NULL) == 0;
}

static int settle_one(struct storage *s, const char *name)
{
	struct restore restore;
	int r = look(s, name + strlen(POOL_REPLACED), &restore);

	if (r < 0 || restore.aside != ASIDE_COPY)
		return r;
	log_info("storage.restore.removed", "name=%s", name);
	return pool_delete(s, s->volumes, name);
}

int restore_settle(struct storage *s)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(s->volumes, is_aside, &names);

	for (char **name = names; r == 0 && *name; name++)
		r = settle_one(s, *name);
	return r;
}
