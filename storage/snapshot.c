/* Snapshots: a volume at one moment, kept as a read-only subvolume. */
#include "storage/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "storage/btrfs.h"

DEFINE_CLEANUP(char **, names_free)

/* --- The directory of a guest's snapshots ---------------------------------------------------- */

/* Whoever adds or removes a snapshot holds it: else one could remove the directory, being empty,
 * under the other's hands. -ENOENT, unless `make`. */
static int hold_directory(struct storage *s, const char *id, bool make)
{
	for (;;) {
		AUTOCLOSE int fd = -1;
		struct stat st;

		if (make && mkdirat(s->snapshots, id, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(s->snapshots, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (st.st_nlink > 0)
			return TAKE_FD(fd);
	}
}

static int remove_if_empty(struct storage *s, const char *id)
{
	if (unlinkat(s->snapshots, id, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY || errno == ENOENT)
		return 0;
	return -errno;
}

static int check_names(const char *id, const char *name, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	return r < 0 ? r : name_check_snapshot(name, "snapshot", err);
}

/* --- Life ------------------------------------------------------------------------------------ */

int snapshot_open(
	struct storage *s, const char *id, const char *name, struct volume *ret, struct err *err)
{
	char path[GUEST_ID_LEN + SNAPSHOT_NAME_MAX + 2], what[sizeof(path) + 32];

	snprintf(path, sizeof(path), "%s/%s", id, name);
	snprintf(what, sizeof(what), "snapshot %s of guest %s", name, id);
	return volume_open(s, s->snapshots, path, what, ret, err);
}

static int take(struct storage *s, const char *id, const char *name, const struct volume *volume,
	struct err *err)
{
	AUTOCLOSE int directory = hold_directory(s, id, true);
	int r;

	if (directory < 0)
		return err_errno(err, directory, "cannot make snapshots/%s", id);
	fault_point("storage.snapshot.begun");
	r = btrfs_subvolume_snapshot(volume->fd, directory, name, true);
	fault_point("storage.snapshot.made");
	if (r == -EEXIST)
		return 0;
	if (r < 0)
		remove_if_empty(s, id);
	return r < 0 ? err_errno(err, r, "cannot make snapshot %s", name) : 0;
}

int snapshot_create(struct storage *storage, const char *id, const char *name, struct err *err)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	int r = check_names(id, name, err);

	if (r == 0)
		r = volume_open_of(storage, id, &volume, err);
	if (r == 0)
		r = pool_want_room(storage, err);
	return r < 0 ? r : take(storage, id, name, &volume, err);
}

int snapshot_delete(struct storage *storage, const char *id, const char *name, struct err *err)
{
	AUTOCLOSE int directory = -1;
	int r = check_names(id, name, err);

	if (r < 0)
		return r;
	directory = hold_directory(storage, id, false);
	if (directory == -ENOENT)
		return 0;
	r = directory < 0 ? directory : pool_delete(storage, directory, name);
	if (r == 0)
		r = remove_if_empty(storage, id);
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
	AUTOCLOSE int directory = hold_directory(s, id, false);
	int r;

	if (directory == -ENOENT)
		return 0;
	r = directory < 0 ? directory : names_read(directory, is_snapshot, &names);
	for (char **name = names; r == 0 && *name; name++)
		r = pool_delete(s, directory, *name);
	if (r == 0)
		r = remove_if_empty(s, id);
	return r < 0 ? err_errno(err, r, "cannot delete the snapshots of guest %s", id) : 0;
}
