/* Files and descriptors. */
#include "base/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

int file_pipe(int *ret_reader, int *ret_writer, int flags)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | flags) < 0)
		return -errno;
	*ret_reader = ends[0];
	*ret_writer = ends[1];
	return 0;
}

int file_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int file_read(const char *path, size_t max, char **ret_text, size_t *ret_size)
{
	return file_read_at(AT_FDCWD, path, max, ret_text, ret_size);
}

int file_read_at(int dirfd, const char *path, size_t max, char **ret_text, size_t *ret_size)
{
	AUTOCLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : file_read_fd(fd, max, ret_text, ret_size);
}

int file_read_fd(int fd, size_t max, char **ret_text, size_t *ret_size)
{
	AUTOFREE char *text = NULL;
	size_t used = 0, room = 0;

	/* Files of proc and sysfs have no size: grow until the end. */
	for (;;) {
		ssize_t n;

		if (room - used < 2) {
			room = room ? room * 2 : 4096;
			char *grown = realloc(text, room);

			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		n = read(fd, text + used, room - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max)
			return -EFBIG;
	}
	text[used] = '\0';
	*ret_text = TAKE_PTR(text);
	if (ret_size)
		*ret_size = used;
	return 0;
}

int file_write(const char *path, const char *text)
{
	AUTOCLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return file_write_all(fd, text, strlen(text));
}

static int sync_parent(const char *path)
{
	AUTOFREE char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir)
		return -ENOMEM;
	if (slash)
		*(slash == dir ? slash + 1 : slash) = '\0';

	AUTOCLOSE int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_temporary(const char *path, const char *text, mode_t mode, bool durable)
{
	AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0)
		return -errno;
	r = file_write_all(fd, text, strlen(text));
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	return r;
}

/* "DIR/.NAME.new": daemons that watch a directory pass over names with a leading dot. */
static int temporary_path(const char *path, char **ret)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash - path) + 1 : 0;

	return asprintf(ret, "%.*s.%s.new", dir, path, path + dir) < 0 ? -ENOMEM : 0;
}

int file_replace(const char *path, const char *text, mode_t mode, bool durable)
{
	AUTOFREE char *temporary = NULL;
	int r = temporary_path(path, &temporary);

	if (r < 0)
		return r;
	r = write_temporary(temporary, text, mode, durable);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return durable ? sync_parent(path) : 0;
}

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path, mode_t mode)
{
	AUTOFREE char *copy = strdup(path);
	int r;

	if (!copy)
		return -ENOMEM;
	if (!*path)
		return -ENOENT;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = make_dir(copy, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return make_dir(copy, mode);
}

/* --- Removal of trees ------------------------------------------------------------------------- */

/* Deeper directories are moved up before they are emptied: each level costs a descriptor and a
 * piece of stack, and whoever filled the tree may have made it as deep as he liked. */
#define REMOVE_DEPTH_MAX 64

struct removal {
	int root_fd;	/* of the tree, borrowed; -1 while at the root itself */
	dev_t device;	/* of the root */
	unsigned moved; /* directories that were moved up */
};

static int remove_children(struct removal *removal, int fd, unsigned depth);

/* The kernel refuses to cross a mount, bind mounts of the same file system included. */
static int open_dir_at(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int move_up(struct removal *removal, int dirfd, const char *name)
{
	for (;;) {
		char to[32];

		snprintf(to, sizeof(to), ".deep-%u", removal->moved++);
		if (renameat2(dirfd, name, removal->root_fd, to, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
}

static int remove_dir(struct removal *removal, int dirfd, const char *name, unsigned depth)
{
	AUTOCLOSE int fd = open_dir_at(dirfd, name);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != removal->device)
		return -EXDEV;
	if (depth > REMOVE_DEPTH_MAX)
		return move_up(removal, dirfd, name);
	r = remove_children(removal, fd, depth);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static int remove_entry(struct removal *removal, int dirfd, const char *name, unsigned depth)
{
	int saved, r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* A directory is EISDIR on Linux, EPERM by POSIX; EPERM is an immutable file, too. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	saved = errno;
	r = remove_dir(removal, dirfd, name, depth);
	return r == -ENOTDIR ? -saved : r;
}

static int remove_pass(struct removal *removal, DIR *dir, unsigned depth)
{
	struct dirent *entry;

	while ((errno = 0, entry = readdir(dir))) {
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_entry(removal, dirfd(dir), entry->d_name, depth + 1);
		if (r < 0)
			return r;
	}
	return -errno;
}

static int remove_children(struct removal *removal, int fd, unsigned depth)
{
	CLEANUP(closedirp) DIR *dir = NULL;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	unsigned moved;
	int r;

	if (copy < 0)
		return -errno;
	dir = fdopendir(copy);
	if (!dir) {
		r = -errno;
		fd_close(copy);
		return r;
	}
	if (depth == 0)
		removal->root_fd = fd;
	do {
		moved = removal->moved;
		rewinddir(dir);
		r = remove_pass(removal, dir, depth);
	} while (r == 0 && depth == 0 && moved != removal->moved);
	return r;
}

int file_remove_tree(const char *path)
{
	AUTOFREE char *dir = strdup(path);
	AUTOCLOSE int parent = -1;
	struct removal removal = {.root_fd = -1};
	const char *name = path;
	struct stat st;
	char *slash;

	if (!dir)
		return -ENOMEM;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	removal.device = st.st_dev;
	slash = strrchr(dir, '/');
	if (slash) {
		name = path + (slash - dir) + 1;
		slash[slash == dir] = '\0';
	}
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	parent = open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	return remove_entry(&removal, parent, name, 0);
}

int file_path(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
