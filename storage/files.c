/* Files that the node puts into a guest's volume, or reads from it. The guest may run meanwhile,
 * and may be hostile: nothing is opened by a path that could lead elsewhere (openat2(2) beneath the
 * guest's root, without links), and nothing is opened for reading before it is known to be a
 * regular file. A file is written beside its place, under a name that is ours, and moved there, so
 * that the guest sees the old one or the new one; what a crash leaves is overwritten the next time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "storage/pool.h"

#define SSH_DIRECTORY "/root/.ssh"

static int open_beneath(int directory, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* What the guest made of a path is its own affair, and no fault of ours. */
static int refuse(int r, const char *path, struct err *err)
{
	if (r == -ELOOP || r == -ENOTDIR || r == -EXDEV || r == -EISDIR || r == -EEXIST ||
		r == -EAGAIN || r == -ENXIO)
		return err_set(err, ERR_CONFLICT, NULL,
			"%s in the guest is not a plain file in plain directories (a link, or a "
			"mount): it is left alone",
			path);
	return err_errno(err, r, "%s in the guest", path);
}

static int open_root(struct storage *s, const char *id, struct err *err)
{
	char path[GUEST_ID_LEN + sizeof("/rootfs")];
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/rootfs", id);
	r = open_beneath(s->volumes, path, O_PATH | O_DIRECTORY);
	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no volume %s", id);
	return r < 0 ? err_errno(err, r, "cannot open volume %s", id) : r;
}

/* A path, cut into its directory and the name in it. */
struct place {
	char directory[PATH_MAX]; /* relative; "." for the root */
	const char *name;
};

static int place_init(struct place *place, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash > path ? (size_t)(slash - path - 1) : 0;

	if (*path != '/' || !slash[1] || length >= sizeof(place->directory))
		return err_set(err, ERR_INVALID, "path", "%s must be a file's absolute path", path);
	memcpy(place->directory, length ? path + 1 : ".", length ? length : 1);
	place->directory[length ? length : 1] = '\0';
	place->name = slash + 1;
	return 0;
}

/* --- Directories ----------------------------------------------------------------------------- */

/* Opens a directory, made if it was missing. */
static int enter(int parent, const char *name, mode_t mode)
{
	bool made = mkdirat(parent, name, 0700) == 0;
	int fd;

	if (!made && errno != EEXIST)
		return -errno;
	fd = open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	/* By the descriptor: the name may be a link by now. */
	if (fd >= 0 && made && fchmod(fd, mode) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int make_directories(int root, const struct place *place)
{
	bool ssh = strcmp(place->directory, &SSH_DIRECTORY[1]) == 0;
	char path[PATH_MAX];
	char *rest = path;
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	memcpy(path, place->directory, sizeof(path));
	for (const char *name; fd >= 0 && (name = strsep(&rest, "/"));) {
		int next = enter(fd, name, ssh && !rest ? 0700 : 0755);

		close(fd);
		fd = next;
	}
	return fd;
}

/* -ENOENT: it is not there, and is not to be made. */
static int open_directory(int root, const struct place *place, bool make)
{
	int fd = open_beneath(root, place->directory, O_PATH | O_DIRECTORY);

	return fd == -ENOENT && make ? make_directories(root, place) : fd;
}

/* --- Writing --------------------------------------------------------------------------------- */

/* What is there now: 1 and its owner and mode, 0 when nothing is. */
static int look(int directory, const char *name, struct stat *ret)
{
	if (fstatat(directory, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISREG(ret->st_mode))
		return 1;
	return S_ISDIR(ret->st_mode) ? -EISDIR : -ELOOP;
}

static int fill(int fd, const struct volume_file *file, const struct stat *old)
{
	int r = file_write_all(fd, file->content, file->size);

	if (r == 0 && old && fchown(fd, old->st_uid, old->st_gid) < 0)
		r = -errno;
	if (r == 0 && fchmod(fd, old ? old->st_mode & 0777 : file->mode) < 0)
		r = -errno;
	return r;
}

static int replace(
	int directory, const char *name, const struct volume_file *file, const struct stat *old)
{
	char beside[NAME_MAX + 1];
	AUTOCLOSE int fd = -1;
	int r = file_path(beside, sizeof(beside), ".%s.corpus", name);

	if (r < 0)
		return r;
	if (unlinkat(directory, beside, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(directory, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, file, old);
	fault_point("storage.files.written");
	if (r == 0 && renameat(directory, beside, directory, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(directory, beside, 0);
	return r;
}

static int write_in(int directory, const char *name, const struct volume_file *file)
{
	struct stat old;
	int there = look(directory, name, &old);

	if (there < 0)
		return there;
	if (file->content)
		return replace(directory, name, file, there ? &old : NULL);
	if (there && unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int write_file(int root, const struct volume_file *file, struct err *err)
{
	AUTOCLOSE int directory = -1;
	struct place place;
	int r = place_init(&place, file->path, err);

	if (r < 0)
		return r;
	directory = open_directory(root, &place, file->parents && file->content);
	if (directory == -ENOENT)
		return 0;
	r = directory < 0 ? directory : write_in(directory, place.name, file);
	return r < 0 ? refuse(r, file->path, err) : 0;
}

int volume_write_files(struct storage *storage, const char *id, const struct volume_file *files,
	size_t count, struct err *err)
{
	AUTOCLOSE int root = open_root(storage, id, err);
	int r = root < 0 ? root : 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = write_file(root, &files[i], err);
	return r;
}

/* --- Reading --------------------------------------------------------------------------------- */

/* For reading, without the side effects that opening a device, or a file with a lease, can have. */
static int open_regular(int root, const char *path)
{
	AUTOCLOSE int fd = open_beneath(root, path, O_PATH | O_NOFOLLOW);
	char link[32];
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ELOOP;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	r = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

int volume_read_file(struct storage *storage, const char *id, const char *path, size_t max,
	char **ret, size_t *ret_size, struct err *err)
{
	AUTOCLOSE int root = open_root(storage, id, err);
	AUTOCLOSE int fd = -1;
	int r;

	if (root < 0)
		return root;
	fd = open_regular(root, path + strspn(path, "/"));
	if (fd == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no %s in the guest", path);
	r = fd < 0 ? fd : file_read_fd(fd, max, ret, ret_size);
	if (r == -EFBIG)
		return err_set(err, ERR_TOO_LARGE, NULL, "%s in the guest is larger than %zu bytes",
			path, max);
	return r < 0 ? refuse(r, path, err) : 0;
}
