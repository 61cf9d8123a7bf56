/* Storage: one pool, the images in it, and the volumes that guests live on.
 *
 * This header is the contract between the agent and a storage backend (btrfs.c is the first). Each
 * function blocks while it works, may be called from any thread, and may be called again with the
 * same arguments after a crash at any point: it then finishes what was begun, or finds it done and
 * succeeds. Nothing outside the pool is touched. Errors follow base/err.h; ERR_NO_ROOM is a full
 * pool.
 *
 * On disk, below the pool's root:
 *     images/KIND/NAME/          read-only subvolume: meta.json, and the parts of its kind
 *     images/KIND/.incoming-RANDOM/   an import under way; removed when the pool is opened
 *     volumes/ID/                subvolume of one guest: a copy of its image's, and what it writes
 *     volumes/.replaced-ID/      what a restore under way put aside
 *     snapshots/ID/SNAPSHOT/     read-only subvolume: a volume at one moment
 * where NAME is the image's name and ID the guest's id. The parts of a tree are rootfs/; those of a
 * disk are base (the image's disk, never written), kernel, initrd, and in a volume disk.qcow2, an
 * overlay on base that the guest writes, and what a machine keeps beside it. Images of the kind oci
 * are none of the pool's: the volume of such a guest has data/, empty at first, and all that is
 * said of trees holds for it.
 *
 * The size of a volume with a disk is that of the disk, as the guest sees it. The size of a tree's
 * volume is the room for what the guest writes. The files of its image that it leaves
 * alone do not count: all guests share them. A guest can always hold its full size live, whatever
 * its snapshots hold: those take room of the pool, not of the guest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/image.h"

struct err;
struct storage;

/* docs/storage.md says what speaks for which. */
enum storage_quota {
	STORAGE_QUOTA_AUTO,    /* simple quotas where the kernel has them (6.7), else classic */
	STORAGE_QUOTA_CLASSIC, /* slower with many guests; older kernels can mount the pool */
};

struct storage_config {
	const char *path;      /* pool's root. An empty or absent directory gets a loop file's file
				  system mounted on it; a directory on btrfs is used as it is */
	const char *loop_file; /* NULL: `path` must already be on btrfs */
	uint64_t loop_size;    /* bytes, the size a new loop file gets (sparse) */
	uint64_t loop_max;     /* bytes up to which it grows by itself when the pool runs short; 0:
				  never */
	const char *unpack_helper; /* path of the corpus-unpack program */
	uint64_t image_max_size;   /* bytes an image may unpack to */
	uint64_t image_max_entries;
	enum storage_quota quota; /* how sizes are enforced in a new loop pool */
};

struct storage_space {
	uint64_t total, used, free; /* bytes of the pool as it is now */
	uint64_t growable;	    /* bytes by which a loop pool may still grow */
};

struct volume_usage {
	uint64_t size; /* the enforced limit; 0: none, see volume_create */
	uint64_t used; /* what the guest wrote and still holds; 0 to `size` */
};

/* Opens the pool, making it first where it does not exist: file, file system, mount, quotas. What a
 * crash left half made (a loop device without a mount, incoming/) is finished or removed. */
int storage_open(const struct storage_config *config, struct storage **ret, struct err *err);

/* Leaves the pool mounted: guests outlive the agent. Accepts NULL, returns NULL. */
struct storage *storage_close(struct storage *storage);

/* Closes the pool in any case, unmounts it and detaches its loop device: only for retirement of a
 * node and for tests. A pool in use stays mounted: ERR_CONFLICT. Does nothing to an existing btrfs.
 */
int storage_release(struct storage *storage, struct err *err);

int storage_space(struct storage *storage, struct storage_space *ret, struct err *err);

/* Looks after the pool; cheap when there is nothing to do. Grows a loop pool that runs short, has
 * the kernel recount quotas that it marked as not to be trusted, and removes quota groups of what
 * was deleted. To be called every few seconds, since guests write without asking. */
int storage_tend(struct storage *storage, struct err *err);

/* --- Images ---------------------------------------------------------------------------------- */

struct image_source {
	enum image_kind kind;
	/* File, pipe or socket; read to its end, not closed. A tree: a tar archive, plain or
	 * compressed. A disk: the disk itself, or such an archive with disk.qcow2 or disk.raw,
	 * kernel, and where there are such initrd and cmdline. */
	int fd;
	/* Of a disk: its format; NULL: as it shows, which a raw one never does. */
	const enum disk_format *format;
	enum disk_boot boot; /* of a disk without a kernel beside it */
	const char *sha256;  /* what its bytes must hash to, or NULL */
	bool replace; /* an image of that name may be replaced; guests made of it are unharmed */
	/* Called now and then with the bytes read so far; a non-zero return cancels with
	 * ERR_CANCELLED. May be NULL. */
	int (*progress)(void *data, uint64_t bytes);
	void *progress_data;
	/* Called once after its end; false when that was not the end of what was to be sent, though
	 * it may look like one: ERR_MALFORMED, and no image is made or replaced. May be NULL. */
	bool (*whole)(void *data);
	void *whole_data;
};

/* Unpacks an archive with the confined helper into a new image, which appears under its name only
 * when it is complete. Hostile archives (names or links that lead outside, devices, bombs) are
 * ERR_INVALID or ERR_TOO_LARGE and leave nothing; so are disks that are not of the format that was
 * given, are damaged, or refer to any other file (ERR_INVALID, format). */
int image_import(struct storage *storage, const char *name, const struct image_source *source,
	struct image *ret, struct err *err);

/* ERR_NOT_FOUND. */
int image_get(struct storage *storage, enum image_kind kind, const char *name, struct image *ret,
	struct err *err);

/* Allocates an array, sorted by name and kind; the caller frees it with free(). */
int image_list(struct storage *storage, struct image **ret, size_t *ret_count, struct err *err);

/* Volumes made of it are unharmed. An absent image is success. */
int image_delete(struct storage *storage, enum image_kind kind, const char *name, struct err *err);

/* --- Volumes --------------------------------------------------------------------------------- */

/* A writable clone of the image (of IMAGE_OCI: a volume without anything in it; `image` is only
 * noted), limited to `size` bytes: ERR_INVALID (storage.size) below 16 MiB
 * or, with the least possible in the message, below the size of the image's disk; ERR_NO_ROOM
 * beyond what the pool can ever hold. `id` is the guest's. `ret_disk` gets what is to be known of
 * the image's disk, for that kind; may be NULL. Done already is success, and
 * applies `size`: to be called again after a power failure, which may lose the limit of a clone
 * made less than half a minute before. */
int volume_create(struct storage *storage, const char *id, enum image_kind kind, const char *image,
	uint64_t size, struct image_disk *ret_disk, struct err *err);

/* Also removes its quota, its snapshots, what a restore put aside, and whatever the guest made in
 * it (nested subvolumes). Absent is success. */
int volume_destroy(struct storage *storage, const char *id, struct err *err);

/* Sets the limit of a tree's volume, live. Growing beyond what the pool can ever hold is
 * ERR_NO_ROOM; a size below what is used is ERR_INVALID, changes nothing, and its message and
 * *ret_least name the least possible size. ret_least may be NULL. */
int volume_resize(struct storage *storage, const char *id, uint64_t size, uint64_t *ret_least,
	struct err *err);

/* ERR_NOT_FOUND. What the guest wrote a moment ago is counted (but where snapshots of it were
 * deleted since the last storage_tend, perhaps not all); what it freed a moment ago may be counted
 * still. Neither holds with `exact`, which forces a commit, and measures a guest with snapshots. */
int volume_usage(struct storage *storage, const char *id, bool exact, struct volume_usage *ret,
	struct err *err);

/* The least size that such a volume can be trimmed to. Pure. */
uint64_t volume_least(const struct volume_usage *usage);

/* The same for a volume with a disk, in two halves: room for a disk of that size, live; and then
 * the disk itself, of a guest that does not run (while it runs, QEMU is who can). Larger: the room
 * first. Smaller: the disk first, then the room. What lies beside the disk has room of its own, but
 * for memory that is yet to be saved: before that, ask for room for disk and memory together. */
int volume_make_room(struct storage *storage, const char *id, uint64_t size, struct err *err);

/* Makes the disk larger, or smaller where nothing can be lost by it: a whole-disk ext4 whose blocks
 * all find room, moved by e2fsprogs, confined. What else it holds is ERR_UNSUPPORTED with what it
 * seems to be, too small ERR_INVALID (storage.size); both name the least possible size, and
 * *ret_least gets it. All or nothing: another disk is made and takes the old one's place. Blocks
 * for as long as copying what it holds takes; cancelled by a non-zero return of `progress`. */
struct disk_resize {
	uint64_t size;
	int (*progress)(void *data, uint64_t bytes); /* may be NULL */
	void *progress_data;
};
int volume_resize_disk(struct storage *storage, const char *id, const struct disk_resize *resize,
	uint64_t *ret_least, struct err *err);

/* The least size that such a disk could be given: 0 when it cannot be made smaller at all, and then
 * `reason` says why. Reads its file system, also while the guest runs, when it is an estimate. */
int volume_disk_least(struct storage *storage, const char *id, uint64_t *ret_least, char *reason,
	size_t reason_size, struct err *err);

enum volume_part {
	VOLUME_ROOTFS, /* of a tree; those behind it are of a disk */
	VOLUME_BASE,
	VOLUME_DISK,
	VOLUME_KERNEL,
	VOLUME_INITRD,
	VOLUME_NVRAM,
	VOLUME_SEED,
	VOLUME_MEMORY,
	VOLUME_DATA, /* of a container */
};

/* Writes the path of a part of the guest's volume into buf, there or not. Pure; -ENAMETOOLONG. */
int volume_path(const struct storage *storage, const char *id, enum volume_part part, char *buf,
	size_t size);

/* Removes VOLUME_SEED or VOLUME_MEMORY; absent is success. */
int volume_remove(struct storage *storage, const char *id, enum volume_part part, struct err *err);

/* A writable copy of guest `from`'s volume as it is now, running or not, or of its `snapshot` when
 * that is not NULL; limited to `size` bytes, refused as volume_create refuses one. What was copied
 * is shared, and counts as an image's files do: not at all. What the guest nested is not copied.
 * ERR_NOT_FOUND for either. Done already is success, and applies `size`. */
int volume_clone(struct storage *storage, const char *id, const char *from, const char *snapshot,
	uint64_t size, struct err *err);

/* The block device under the pool, "7:0": what limits of input and output are set for. */
int storage_disk(struct storage *storage, char *buf, size_t size, struct err *err);

/* --- Snapshots -------------------------------------------------------------------------------
 *
 * Names are the caller's (model/name.h: name_check_snapshot). They belong to a guest's volume and
 * go with it: volume_destroy removes them. */

/* The volume at this moment, as a power cut now would leave it; a running guest goes on. What the
 * guest nested is not in it. ERR_NOT_FOUND without a volume. Done already is success. */
int snapshot_create(struct storage *storage, const char *id, const char *name, struct err *err);

/* Absent is success. */
int snapshot_delete(struct storage *storage, const char *id, const char *name, struct err *err);

/* Names of a guest's snapshots, sorted, as volume_list gives ids; none when there is no such guest.
 */
int snapshot_list(struct storage *storage, const char *id, char ***ret, struct err *err);

/* Makes the volume of a guest that does not run a copy of its snapshot, in one step. What it was is
 * put aside until the caller has taken a decision; all snapshots stay. `size` is the guest's:
 * ERR_INVALID (storage.size) when the snapshot holds more, with the least possible in the message.
 * ERR_NOT_FOUND. Repeated before that decision it succeeds and changes nothing. */
int snapshot_restore(
	struct storage *storage, const char *id, const char *name, uint64_t size, struct err *err);

/* The decision: what was put aside comes back, or goes for good. Success when nothing is aside. */
int snapshot_restore_undo(struct storage *storage, const char *id, struct err *err);
int snapshot_restore_finish(struct storage *storage, const char *id, struct err *err);

/* --- Files of a volume -------------------------------------------------------------------------
 *
 * For what the node itself puts into a guest (its name, keys, seed): the guest may run and race.
 * Paths are absolute as the guest sees them; links in them are never followed, mounts never
 * crossed: what is not a plain path of directories is ERR_CONFLICT with the path. */

struct volume_file {
	const char *path;    /* "/etc/hostname" */
	const void *content; /* NULL: remove the file; absent is success then */
	size_t size;
	mode_t mode;  /* of a new file; one that is replaced keeps its own, and its owner */
	bool parents; /* make missing directories, root's, 0755 (0700 for /root/.ssh); else a file
			 whose directory is missing is left out */
};

/* Writes each by a rename of its own, in order. */
int volume_write_files(struct storage *storage, const char *id, const struct volume_file *files,
	size_t count, struct err *err);

/* Reads a regular file of at most `max` bytes; allocates, with a NUL behind. ERR_NOT_FOUND. */
int volume_read_file(struct storage *storage, const char *id, const char *path, size_t max,
	char **ret, size_t *ret_size, struct err *err);

struct volume_seed_file {
	const char *name; /* at most 64 characters, no slash */
	const void *content;
	size_t size;
};

/* Makes VOLUME_SEED: an ISO 9660 with that label and these files, for root alone (user data may
 * hold secrets: a driver gives it to whom it must); replaces an older one, in one step. */
int volume_write_seed(struct storage *storage, const char *id, const char *label,
	const struct volume_seed_file *files, size_t count, struct err *err);

/* Ids of all volumes: a NULL-terminated array, each and the array freed by the caller with
 * free().*/
int volume_list(struct storage *storage, char ***ret, struct err *err);
