/* Files and descriptors. */
#include "base/file.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

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
	AUTOFREE char *text = NULL;
	size_t used = 0, room = 0;

	if (fd < 0)
		return -errno;
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
	AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

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
	AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
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

int file_replace(const char *path, const char *text, mode_t mode, bool durable)
{
	AUTOFREE char *temporary = NULL;
	int r;

	if (asprintf(&temporary, "%s.new", path) < 0)
		return -ENOMEM;
	r = write_temporary(temporary, text, mode, durable);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return durable ? sync_parent(path) : 0;
}

int file_mkdirs(const char *path, mode_t mode)
{
	AUTOFREE char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static int remove_children(int dirfd, dev_t device);

static int remove_entry(int dirfd, const char *name, dev_t device)
{
	AUTOCLOSE int fd = -1;
	struct stat st;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != device)
		return -EXDEV;
	r = remove_children(TAKE_FD(fd), device);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

/* Takes dirfd over. */
static int remove_children(int dirfd, dev_t device)
{
	CLEANUP(closedirp) DIR *dir = fdopendir(dirfd);
	struct dirent *entry;

	if (!dir) {
		fd_close(dirfd);
		return -errno;
	}
	while ((entry = readdir(dir))) {
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_entry(dirfd, entry->d_name, device);
		if (r < 0)
			return r;
	}
	return 0;
}

int file_remove_tree(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	return remove_entry(AT_FDCWD, path, st.st_dev);
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
