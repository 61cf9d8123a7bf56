/* The pool: made, mounted, opened, grown, tended and released. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/account.h"
#include "storage/btrfs.h"
#include "storage/loop.h"
#include "storage/pool.h"
#include "storage/restore.h"
#include "storage/volume.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

/* BTRFS_FEATURE_INCOMPAT_SIMPLE_QUOTA */
#define INCOMPAT_SIMPLE_QUOTA (1ULL << 16)

/* The smallest size that mkfs.btrfs accepts with its defaults, with some room for guests. */
#define LOOP_LEAST (256 * MIB)

/* Below this nothing new is begun: btrfs itself needs room to free room. */
#define ROOM_LEAST (32 * MIB)

/* Less than this is not worth the resize. */
#define GROWTH_LEAST (64 * MIB)

DEFINE_CLEANUP(struct storage *, storage_close)
DEFINE_CLEANUP(char **, names_free)

static void close_directories(struct storage *s)
{
	s->root = fd_close(s->root);
	for (size_t kind = 0; kind < POOL_IMAGE_KINDS; kind++)
		s->images[kind] = fd_close(s->images[kind]);
	s->volumes = fd_close(s->volumes);
	s->snapshots = fd_close(s->snapshots);
}

struct storage *storage_close(struct storage *storage)
{
	if (!storage)
		return NULL;
	close_directories(storage);
	free(storage->path);
	free(storage->loop_file);
	free(storage->unpack_helper);
	free(storage);
	return NULL;
}

static struct storage *allocate(const struct storage_config *config)
{
	CLEANUP(storage_closep) struct storage *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->root = s->volumes = s->snapshots = -1;
	for (size_t kind = 0; kind < POOL_IMAGE_KINDS; kind++)
		s->images[kind] = -1;
	s->path = strdup(config->path);
	s->loop_file = config->loop_file ? strdup(config->loop_file) : NULL;
	s->unpack_helper = strdup(config->unpack_helper);
	s->loop_max = config->loop_max;
	s->image_max_size = config->image_max_size;
	s->image_max_entries = config->image_max_entries;
	s->own = config->loop_file;
	if (!s->path || !s->unpack_helper || (config->loop_file && !s->loop_file))
		return NULL;
	return TAKE_PTR(s);
}

static int open_directory(int parent, const char *path)
{
	int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* --- The loop file's mount ------------------------------------------------------------------- */

static bool is_empty(int fd)
{
	CLEANUP(closedirp) DIR *dir = fdopendir(dup(fd));
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return false;
	return dir;
}

/* Whether the loop file's file system is mounted at `path` already; ERR_CONFLICT when something
 * else is there that we must not cover. */
static int is_mounted(const char *path, const struct loop_identity *identity, struct err *err)
{
	AUTOCLOSE int fd = open_directory(AT_FDCWD, path);
	uint8_t fsid[BTRFS_FSID_SIZE_];

	if (fd < 0)
		return err_errno(err, fd, "cannot open %s", path);
	if (btrfs_is(fd) && btrfs_fsid(fd, fsid) == 0 &&
		memcmp(fsid, identity->fsid, sizeof(fsid)) == 0)
		return 1;
	if (!is_empty(fd))
		return err_set(err, ERR_CONFLICT, NULL,
			"%s is not empty: the pool cannot be mounted there", path);
	return 0;
}

static int mount_loop(
	const struct storage_config *config, const struct loop_identity *identity, struct err *err)
{
	char device[LOOP_DEVICE_MAX];
	AUTOCLOSE int fd = loop_attach(config->loop_file, device, err);

	if (fd < 0)
		return fd;
	if (mount(device, config->path, "btrfs", MS_NOATIME | MS_NODEV, "discard=async") == 0) {
		fault_point("storage.open.mounted");
		return 0;
	}
	if (identity->incompat & INCOMPAT_SIMPLE_QUOTA)
		return err_errno(err, errno,
			"cannot mount %s, which has simple quotas and needs Linux 6.7 or newer",
			config->loop_file);
	return err_errno(err, errno, "cannot mount %s at %s", config->loop_file, config->path);
}

static int open_loop(const struct storage_config *config, struct err *err)
{
	struct loop_identity identity;
	int r;

	if (config->loop_size < LOOP_LEAST)
		return err_set(err, ERR_INVALID, "storage.loop_size",
			"a loop file must have 256 MiB at least");
	r = loop_make(config->loop_file, config->loop_size, err);
	if (r == 0)
		r = loop_identify(config->loop_file, &identity, err);
	if (r == 0)
		r = is_mounted(config->path, &identity, err);
	if (r == 0)
		r = mount_loop(config, &identity, err);
	return r < 0 ? r : 0;
}

/* --- Opening --------------------------------------------------------------------------------- */

static int make_directory(int parent, const char *name)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_directory(parent, name);
}

static int make_directories(struct storage *s)
{
	const struct {
		const char *name;
		int *fd;
	} all[] = {
		{"images/tree", &s->images[IMAGE_TREE]},
		{"images/disk", &s->images[IMAGE_DISK]},
		{"volumes", &s->volumes},
		{"snapshots", &s->snapshots},
	};
	AUTOCLOSE int images = make_directory(s->root, "images");

	if (images < 0)
		return images;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		*all[i].fd = make_directory(s->root, all[i].name);
		if (*all[i].fd < 0)
			return *all[i].fd;
	}
	return 0;
}

/* Guests store files of any owner and mode here, setuid ones of root too: nobody else on the node
 * may reach them. Only to the disks of machines there is a way, for who knows their names. */
static int protect(struct storage *s)
{
	int r = volume_settle_all(s);

	if (r < 0)
		return r;
	if (fchmod(s->volumes, 0711) < 0 || (s->own && fchmod(s->root, 0711) < 0))
		return -errno;
	return 0;
}

static int open_directories(struct storage *s, struct err *err)
{
	int r;

	s->root = open_directory(AT_FDCWD, s->path);
	if (s->root < 0)
		return err_errno(err, s->root, "cannot open %s", s->path);
	if (!btrfs_is(s->root))
		return err_set(err, ERR_UNSUPPORTED, "storage.path",
			"%s is not on btrfs, and no loop file is configured", s->path);
	r = make_directories(s);
	if (r == 0)
		r = protect(s);
	return r < 0 ? err_errno(err, r, "cannot make the directories of the pool in %s", s->path)
		     : 0;
}

static void group_of_deleted(void *data, uint64_t subvolume)
{
	struct storage *s = data;
	int r;

	fault_point("storage.deleted");
	r = quota_remove(&s->quota, subvolume);
	if (r < 0)
		log_warning("storage.quota.kept", "subvolume=%llu error=%s",
			(unsigned long long)subvolume, LOG_Q(strerror(-r)));
}

int pool_delete(struct storage *storage, int parent, const char *name)
{
	int r = btrfs_subvolume_delete(parent, name, group_of_deleted, storage);

	return r == -ENOENT ? 0 : r;
}

static bool is_incoming(const char *name)
{
	return strncmp(name, POOL_INCOMING, strlen(POOL_INCOMING)) == 0;
}

static bool is_cloning(const char *name)
{
	return strncmp(name, POOL_CLONING, strlen(POOL_CLONING)) == 0;
}

/* What was being made when we were killed. */
static int remove_unfinished(struct storage *s, int parent, bool (*unfinished)(const char *name))
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(parent, unfinished, &names);

	for (char **name = names; r == 0 && *name; name++) {
		r = pool_delete(s, parent, *name);
		log_info("storage.unfinished.removed", "name=%s", *name);
	}
	return r;
}

static int settle(struct storage *s, struct err *err)
{
	/* Agents before 0.3 made images in images/ itself. */
	AUTOCLOSE int images = open_directory(s->root, "images");
	int r = images < 0 ? images : remove_unfinished(s, images, is_incoming);

	if (r == 0)
		r = remove_unfinished(s, s->volumes, is_cloning);
	for (size_t kind = 0; r == 0 && kind < POOL_IMAGE_KINDS; kind++)
		r = remove_unfinished(s, s->images[kind], is_incoming);
	if (r == 0)
		r = restore_settle(s);
	return r < 0 ? err_errno(err, r, "cannot remove what a crash left in %s", s->path) : 0;
}

static int open_quota(struct storage *s, bool want_simple, struct err *err)
{
	int r = quota_open(&s->quota, s->root, want_simple);

	return r < 0 ? err_errno(err, r, "cannot enable quotas on %s", s->path) : 0;
}

int storage_open(const struct storage_config *config, struct storage **ret, struct err *err)
{
	CLEANUP(storage_closep) struct storage *s = allocate(config);
	int r;

	if (!s)
		return err_errno(err, ENOMEM, "cannot open the pool");
	r = file_mkdirs(config->path, 0711);
	if (r < 0)
		return err_errno(err, r, "cannot make %s", config->path);
	if (config->loop_file)
		r = open_loop(config, err);
	if (r == 0)
		r = open_directories(s, err);
	/* On a file system that is not ours alone, no feature is turned on that an older kernel
	 * refuses to mount. */
	if (r == 0)
		r = open_quota(s, s->own && config->quota == STORAGE_QUOTA_AUTO, err);
	if (r == 0)
		r = settle(s, err);
	if (r == 0)
		r = storage_tend(s, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

int storage_release(struct storage *storage, struct err *err)
{
	CLEANUP(storage_closep) struct storage *s = storage;

	if (!s->own)
		return 0;
	close_directories(s);
	/* The loop device detaches itself when the last mount of it is gone. */
	if (umount2(s->path, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EBUSY)
		return err_set(err, ERR_CONFLICT, NULL, "%s is in use", s->path);
	return err_errno(err, errno, "cannot unmount %s", s->path);
}

/* --- Room ------------------------------------------------------------------------------------ */

/* Bytes of the loop file and those free beneath it. */
static int measure_host(const struct storage *s, uint64_t *ret_size, uint64_t *ret_free)
{
	struct statvfs fs;
	struct stat st;

	if (stat(s->loop_file, &st) < 0 || statvfs(s->loop_file, &fs) < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	*ret_free = fs.f_bavail * fs.f_frsize;
	return 0;
}

int storage_space(struct storage *storage, struct storage_space *ret, struct err *err)
{
	struct storage_space space = {0};
	uint64_t file_size = 0, host_free = 0;
	struct statvfs fs;
	int r;

	if (fstatvfs(storage->root, &fs) < 0)
		return err_errno(err, errno, "cannot measure %s", storage->path);
	space.total = fs.f_blocks * fs.f_frsize;
	space.free = fs.f_bavail * fs.f_frsize;
	space.used = space.total - fs.f_bfree * fs.f_frsize;
	if (storage->own) {
		r = measure_host(storage, &file_size, &host_free);
		if (r < 0)
			return err_errno(err, r, "cannot measure %s", storage->loop_file);
		/* The file is sparse: what the disk beneath cannot hold is not free either. */
		if (host_free < space.free)
			space.free = host_free;
		else if (storage->loop_max > file_size)
			space.growable = storage->loop_max - file_size;
		if (space.growable > host_free - space.free)
			space.growable = host_free - space.free;
	}
	*ret = space;
	return 0;
}

int pool_most(struct storage *storage, uint64_t *ret, struct err *err)
{
	struct storage_space space;
	int r = storage_space(storage, &space, err);

	if (r == 0)
		*ret = space.total > storage->loop_max ? space.total : storage->loop_max;
	return r;
}

static bool is_short(const struct storage_space *space)
{
	uint64_t margin = space->total / 2 < 4 * GIB ? space->total / 2 : 4 * GIB;

	if (margin < space->total / 8)
		margin = space->total / 8;
	return space->free < margin;
}

static int grow_to(struct storage *s, uint64_t size, struct err *err)
{
	int r = loop_grow(s->loop_file, size, err);

	if (r < 0)
		return r;
	r = btrfs_grow(s->root);
	if (r < 0)
		return err_errno(err, r, "cannot enlarge the file system of %s", s->path);
	log_info("storage.grown", "path=%s size=%llu", s->path, (unsigned long long)size);
	return 0;
}

static int grow(struct storage *s, const struct storage_space *space, struct err *err)
{
	uint64_t step = space->total / 4 > GIB ? space->total / 4 : GIB;
	uint64_t size = 0, host_free = 0;
	int r = measure_host(s, &size, &host_free);

	if (r < 0)
		return err_errno(err, r, "cannot measure %s", s->loop_file);
	if (step > space->growable)
		step = space->growable;
	return grow_to(s, (size + step) & ~(MIB - 1), err);
}

/* The file grows first: a crash may have left the file system behind. */
static int finish_growth(struct storage *s, const struct storage_space *space, struct err *err)
{
	uint64_t size = 0, host_free = 0;
	int r = measure_host(s, &size, &host_free);

	if (r < 0)
		return err_errno(err, r, "cannot measure %s", s->loop_file);
	return size > space->total + MIB ? grow_to(s, size, err) : 0;
}

int storage_tend(struct storage *storage, struct err *err)
{
	struct storage_space space;
	int r = quota_repair(&storage->quota);

	if (r > 0)
		log_warning("storage.quota.recount", "path=%s", storage->path);
	if (r >= 0 && storage->own)
		r = quota_sweep(&storage->quota);
	if (r >= 0)
		r = account_tend(storage);
	if (r < 0)
		return err_errno(err, r, "cannot tend the quotas of %s", storage->path);
	r = storage_space(storage, &space, err);
	if (r == 0 && storage->own)
		r = finish_growth(storage, &space, err);
	if (r == 0 && is_short(&space) && space.growable >= GROWTH_LEAST)
		r = grow(storage, &space, err);
	return r;
}

int pool_want_room(struct storage *storage, struct err *err)
{
	struct storage_space space;
	int r = storage_space(storage, &space, err);

	if (r == 0 && space.free < ROOM_LEAST && space.growable > 0) {
		r = grow(storage, &space, err);
		if (r == 0)
			r = storage_space(storage, &space, err);
	}
	if (r == 0 && space.free < ROOM_LEAST)
		return err_set(err, ERR_NO_ROOM, NULL, "the pool %s is full", storage->path);
	return r;
}
