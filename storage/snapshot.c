/* Snapshots: a volume at one moment, kept as a read-only subvolume. */
#include "storage/snapshot.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "storage/btrfs.h"

DEFINE_CLEANUP(char **, names_free)

static int check_names(const char *id, const char *name, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	return r < 0 ? r : name_check_snapshot(name, "snapshot", err);
}

int snapshot_open(
	struct storage *s, const char *id, const char *name, struct volume *ret, struct err *err)
{
	char path[GUEST_ID_LEN + SNAPSHOT_NAME_MAX + 2], what[sizeof(path) + 32];

	snprintf(path, sizeof(path), "%s/%s", id, name);
	snprintf(what, sizeof(what), "snapshot %s of guest %s", name, id);
	return volume_open(s, s->snapshots, path, what, ret, err);
}

static int take(struct storage *s, const char *id, const char *name, int directory, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = volume_open_of(s, id, &volume, err);

	if (r < 0 || faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return r;
	r = pool_want_room(s, err);
	if (r < 0)
		return r;
	fault_point("storage.snapshot.begun");
	r = account_open_up(s, directory, &volume);
	if (r == 0)
		r = btrfs_subvolume_snapshot(volume.fd, directory, name, true);
	fault_point("storage.snapshot.made");
	return r < 0 ? err_errno(err, r, "cannot make snapshot %s", name) : 0;
}

int snapshot_create(struct storage *storage, const char *id, const char *name, struct err *err)
{
	AUTOCLOSE int directory = -1;
	int r = check_names(id, name, err), settled;

	if (r < 0)
		return r;
	directory = account_hold(storage, id, ACCOUNT_MAKE);
	if (directory < 0)
		return err_errno(err, directory, "cannot make snapshots/%s", id);
	r = take(storage, id, name, directory, err);
	settled = account_settle(storage, directory, id, false);
	if (r == 0 && settled < 0)
		return err_errno(err, settled, "cannot limit volume %s", id);
	return r;
}

/* What it held is freed in the background, and the limit lowered by storage_tend. */
int snapshot_delete(struct storage *storage, const char *id, const char *name, struct err *err)
{
	AUTOCLOSE int directory = -1;
	int r = check_names(id, name, err);

	if (r < 0)
		return r;
	directory = account_hold(storage, id, ACCOUNT_IF_THERE);
	if (directory == -ENOENT)
		return 0;
	r = directory < 0 ? directory : pool_delete(storage, directory, name);
	if (r == 0)
		r = account_settle(storage, directory, id, false);
	return r < 0 ? err_errno(err, r, "cannot delete snapshot %s", name) : 0;
}

/* --- All of a guest's ------------------------------------------------------------------------ */

static bool is_snapshot(const char *name)
{
	return name_check_snapshot(name, NULL, NULL) == 0;
}

int snapshot_list(struct storage *storage, const char *id, char ***ret, struct err *err)
{
	AUTOCLOSE int directory = -1;
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	directory = openat(storage->snapshots, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0 && errno == ENOENT) {
		*ret = calloc(1, sizeof(**ret));
		return *ret ? 0 : err_errno(err, ENOMEM, "cannot list snapshots");
	}
	r = directory < 0 ? -errno : names_read(directory, is_snapshot, ret);
	return r < 0 ? err_errno(err, r, "cannot read snapshots/%s", id) : 0;
}

int snapshot_delete_all(struct storage *s, const char *id, struct err *err)
{
	CLEANUP(names_freep) char **names = NULL;
	AUTOCLOSE int directory = account_hold(s, id, ACCOUNT_IF_THERE);
	int r;

	if (directory == -ENOENT)
		return 0;
	r = directory < 0 ? directory : names_read(directory, is_snapshot, &names);
	for (char **name = names; r == 0 && *name; name++)
		r = pool_delete(s, directory, *name);
	if (r == 0 && unlinkat(s->snapshots, id, AT_REMOVEDIR) < 0)
		r = -errno;
	return r < 0 ? err_errno(err, r, "cannot delete the snapshots of guest %s", id) : 0;
}
