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
	uint64_t volume, aside;
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

/* What it holds has room in the size that the guest has now. */
static int check_fits(
	struct storage *s, const struct volume *snapshot, uint64_t size, struct err *err)
{
	struct volume_usage usage = {0};
	int r = volume_read_usage(s, snapshot, false, &usage, err);

	if (r < 0 || size >= volume_least(&usage))
		return r;
	return err_set(err, ERR_INVALID, "storage.size",
		"the snapshot holds %s: the guest's size must be %llu bytes (%s) at least",
		FMT_SIZE(usage.used), (unsigned long long)volume_least(&usage),
		FMT_SIZE(volume_least(&usage)));
}

static int limit_copy(
	struct storage *s, const struct restore *restore, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume copy = {.fd = -1};
	int r = volume_open(s, s->volumes, restore->aside_name, "copy", &copy, err);

	return r < 0 ? r : volume_set_limit(s, &copy, size, err);
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

static int check_restore(struct storage *s, const char *id, const char *name, uint64_t size,
	struct volume *ret_snapshot, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = volume_open_of(s, id, &volume, err);

	if (r == 0)
		r = snapshot_open(s, id, name, ret_snapshot, err);
	if (r == 0)
		r = volume_check_size(s, size, err);
	if (r == 0)
		r = check_fits(s, ret_snapshot, size, err);
	return r < 0 ? r : pool_want_room(s, err);
}

int snapshot_restore(
	struct storage *storage, const char *id, const char *name, uint64_t size, struct err *err)
{
	CLEANUP(volume_finish) struct volume snapshot = {.fd = -1};
	struct restore restore;
	int r = begin(storage, id, &restore, err);

	if (r == 0)
		r = name_check_snapshot(name, "snapshot", err);
	if (r < 0 || restore.aside == ASIDE_VOLUME)
		return r;
	r = check_restore(storage, id, name, size, &snapshot, err);
	return r < 0 ? r : restore_volume(storage, &restore, &snapshot, size, err);
}

/* --- The decision ---------------------------------------------------------------------------- */

static int discard(struct storage *s, const struct restore *restore, struct err *err)
{
	int r = pool_delete(s, s->volumes, restore->aside_name);

	return r < 0 ? err_errno(err, r, "cannot delete what volume %s was", restore->id) : 0;
}

int snapshot_restore_undo(struct storage *storage, const char *id, struct err *err)
{
	struct restore restore;
	int r = begin(storage, id, &restore, err);

	if (r < 0)
		return r;
	if (restore.aside == ASIDE_VOLUME) {
		r = exchange(storage, &restore);
		if (r == 0)
			r = btrfs_commit(storage->root);
		if (r < 0)
			return err_errno(err, r, "cannot bring back volume %s", id);
		fault_point("storage.restore.returned");
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
