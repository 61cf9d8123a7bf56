/* Files of a guest: finding, looking, listing, reading, making and removing directories. */
#include "drivers/inside/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "drivers/inside/tree_internal.h"

#define RACES_MAX 100 /* resolutions that met a rename; then somebody does it on purpose */
#define COPY_SIZE (128 * 1024)
#define PATH_SHOW 200 /* characters of a path in an error */

/* --- Errors ---------------------------------------------------------------------------------- */

static const struct {
	int errnum;
	enum err_code code;
	const char *text;
} FAILURES[] = {
	{ENOENT, ERR_NOT_FOUND, "there is no such file or directory in the guest"},
	{ENOTDIR, ERR_INVALID, "it, or a part of it, is not a directory"},
	{EISDIR, ERR_INVALID, "is a directory"},
	{ELOOP, ERR_INVALID, "leads through too many links, or one that is not followed"},
	{ENAMETOOLONG, ERR_INVALID, "is too long"},
	{EINVAL, ERR_INVALID, "is no name that the guest's file system takes"},
	{EROFS, ERR_ILLEGAL_STATE, "is on a file system that can only be read"},
	{ENOTEMPTY, ERR_ILLEGAL_STATE, "is a directory that is not empty"},
	{EBUSY, ERR_ILLEGAL_STATE, "is in use, or something is mounted there"},
	{EACCES, ERR_ILLEGAL_STATE, "even the guest's root may not"},
	{EPERM, ERR_ILLEGAL_STATE, "even the guest's root may not"},
	{ETXTBSY, ERR_ILLEGAL_STATE, "is being executed"},
	{EAGAIN, ERR_UNAVAILABLE, "directories on the way to it are being renamed"},
	{ENOSPC, ERR_NO_ROOM, "the guest's storage is full"},
	{EDQUOT, ERR_NO_ROOM, "the guest's storage is full"},
	{EPIPE, ERR_CANCELLED, "nobody reads on"},
};

int tree_fail(struct err *err, int errnum, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(FAILURES); i++)
		if (FAILURES[i].errnum == errnum)
			return err_set(err, FAILURES[i].code, "path", "%.*s: %s", PATH_SHOW, path,
				FAILURES[i].text);
	return err_set(
		err, ERR_DRIVER, "path", "%.*s: %s", PATH_SHOW, path, strerrordesc_np(errnum));
}

int tree_not_regular(struct err *err, const char *path)
{
	return err_set(err, ERR_INVALID, "path", "%.*s: is not a regular file", PATH_SHOW, path);
}

/* --- Paths ----------------------------------------------------------------------------------- */

int tree_open(const char *path, struct tree *ret, struct err *err)
{
	ret->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret->self = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->root >= 0 && ret->self >= 0)
		return 0;
	err_errno(err, errno, "cannot open %s", path);
	tree_close(ret);
	return -EIO;
}

void tree_close(struct tree *tree)
{
	tree->root = fd_close(tree->root);
	tree->self = fd_close(tree->self);
}

/* A descriptor, or -1 with errno. */
static int resolve(const struct tree *tree, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	for (int i = 0; i < RACES_MAX; i++) {
		fd = syscall(SYS_openat2, tree->root, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return (int)fd;
}

int tree_reopen(const struct tree *tree, int fd, int flags)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return openat(tree->self, name, flags | O_CLOEXEC);
}

/* Where the last part of a path is. */
static int find_name(const char *path, size_t *ret_begin, size_t *ret_end, struct err *err)
{
	size_t end = strlen(path), begin;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
		;
	if (end - begin > TREE_NAME_MAX)
		return tree_fail(err, ENAMETOOLONG, path);
	if (begin == end || (end - begin <= 2 && strspn(path + begin, ".") >= end - begin))
		return err_set(err, ERR_INVALID, "path",
			"%.*s: must end in the name of a file or directory", PATH_SHOW, path);
	*ret_begin = begin;
	*ret_end = end;
	return 0;
}

int tree_parent(const struct tree *tree, const char *path, char name[static TREE_NAME_MAX + 1],
	struct err *err)
{
	char parent[PATH_MAX];
	size_t begin = 0, end = 0;
	int fd, r = find_name(path, &begin, &end, err);

	if (r < 0)
		return r;
	snprintf(name, TREE_NAME_MAX + 1, "%.*s", (int)(end - begin), path + begin);
	snprintf(parent, sizeof(parent), "%.*s", (int)begin, path);
	fd = resolve(tree, parent, O_PATH | O_DIRECTORY);
	return fd < 0 ? tree_fail(err, errno, path) : fd;
}

int tree_check_path(const char *path, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, ERR_INVALID, "path",
			"%.*s: must be absolute, as the guest sees it", PATH_SHOW, path);
	return strlen(path) >= PATH_MAX ? tree_fail(err, ENAMETOOLONG, path) : 0;
}

int tree_check_name(const char *path, struct err *err)
{
	size_t begin, end;
	int r = tree_check_path(path, err);

	return r < 0 ? r : find_name(path, &begin, &end, err);
}

/* --- Looking --------------------------------------------------------------------------------- */

void tree_describe(const struct stat *st, struct driver_file_info *ret)
{
	const char *type = S_ISREG(st->st_mode)	  ? "file"
			   : S_ISDIR(st->st_mode) ? "directory"
			   : S_ISLNK(st->st_mode) ? "link"
						  : "other";

	*ret = (struct driver_file_info){.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = st->st_size > 0 ? (uint64_t)st->st_size : 0,
		.mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000};
	snprintf(ret->type, sizeof(ret->type), "%s", type);
}

static int look(const struct tree *tree, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	AUTOCLOSE int fd = resolve(tree, file->path, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tree_fail(err, errno, file->path);
	tree_describe(&st, ret);
	return 0;
}

json_t *tree_entry(const char *name, const struct stat *st, const char *target)
{
	char shown[4 * TREE_NAME_MAX], shown_target[PATH_MAX];
	struct driver_file_info info;
	json_t *json;

	tree_describe(st, &info);
	snprintf(shown, sizeof(shown), "%s", name);
	utf8_scrub(shown);
	json = json_pack("{ss ss sI sI sI sI sI}", "name", shown, "type", info.type, "mode",
		(json_int_t)info.mode, "uid", (json_int_t)info.uid, "gid", (json_int_t)info.gid,
		"size", (json_int_t)info.size, "mtime_ms", (json_int_t)info.mtime_ms);
	if (!json || !target)
		return json;
	snprintf(shown_target, sizeof(shown_target), "%s", target);
	utf8_scrub(shown_target);
	json_object_set_new(json, "target", json_string(shown_target));
	return json;
}

static json_t *entry_json(int dirfd, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n;

	if (!S_ISLNK(st->st_mode))
		return tree_entry(name, st, NULL);
	n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return tree_entry(name, st, target);
}

static int list_entries(DIR *dir, FILE *out, const char *path, struct err *err)
{
	const struct dirent *e;

	while ((errno = 0, e = readdir(dir))) {
		struct stat st;
		json_t *json;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* gone, or so it seems */
		json = entry_json(dirfd(dir), e->d_name, &st);
		if (!json)
			return err_errno(err, ENOMEM, "no memory for a list");
		json_dumpf(json, out, JSON_COMPACT);
		json_decref(json);
		if (fputc('\n', out) == EOF)
			return tree_fail(err, errno, path);
	}
	return errno ? tree_fail(err, errno, path) : 0;
}

static int list(const struct tree *tree, const struct driver_file *file, struct err *err)
{
	AUTOCLOSE int fd = resolve(tree, file->path, O_RDONLY | O_DIRECTORY);
	AUTOCLOSE int to = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
	CLEANUP(closedirp) DIR *dir = NULL;
	CLEANUP(fclosep) FILE *out = NULL;
	int r;

	if (fd < 0)
		return tree_fail(err, errno, file->path);
	dir = fdopendir(fd);
	if (dir)
		TAKE_FD(fd);
	out = to >= 0 ? fdopen(to, "w") : NULL;
	if (out)
		TAKE_FD(to);
	if (!dir || !out)
		return err_errno(err, errno, "cannot list %s", file->path);
	r = list_entries(dir, out, file->path, err);
	return r == 0 && fflush(out) == EOF ? tree_fail(err, errno, file->path) : r;
}

/* --- Reading --------------------------------------------------------------------------------- */

int64_t tree_copy(int from, int to, uint64_t max, const char *path, struct err *err)
{
	AUTOFREE char *buf = malloc(COPY_SIZE);
	uint64_t done = 0;
	ssize_t n = -1;
	int r = 0;

	if (!buf) {
		err_errno(err, ENOMEM, "no memory to copy a file");
		return -1;
	}
	while (done < max) {
		n = read(from, buf, max - done < COPY_SIZE ? max - done : COPY_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		r = file_write_all(to, buf, (size_t)n);
		if (r < 0)
			break;
		done += (uint64_t)n;
	}
	if (r < 0 || n < 0) {
		tree_fail(err, r < 0 ? -r : errno, path);
		return -1;
	}
	return (int64_t)done;
}

/* As many bytes as it had when it was opened; files whose size is not known (of /proc, say) to
 * their end. */
static int read_file(const struct tree *tree, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	AUTOCLOSE int found = resolve(tree, file->path, O_PATH);
	AUTOCLOSE int fd = -1;
	struct stat st;

	if (found < 0 || fstat(found, &st) < 0)
		return tree_fail(err, errno, file->path);
	if (S_ISDIR(st.st_mode))
		return tree_fail(err, EISDIR, file->path);
	if (!S_ISREG(st.st_mode))
		return tree_not_regular(err, file->path);
	tree_describe(&st, ret);
	if (file->fd < 0)
		return 0;
	fd = tree_reopen(tree, found, O_RDONLY | O_NOCTTY);
	if (fd < 0)
		return tree_fail(err, errno, file->path);
	return tree_copy(fd, file->fd, st.st_size > 0 ? (uint64_t)st.st_size : UINT64_MAX,
		       file->path, err) < 0
		       ? -EIO
		       : 0;
}

/* --- Directories ----------------------------------------------------------------------------- */

static int set_attributes(int fd, const struct driver_file *file, bool made)
{
	int64_t mode = file->mode < 0 && made ? 0755 : file->mode;
	int64_t uid = file->uid < 0 && made ? 0 : file->uid;
	int64_t gid = file->gid < 0 && made ? 0 : file->gid;

	if (fchown(fd, (uid_t)uid, (gid_t)gid) < 0)
		return -errno;
	return mode >= 0 && fchmod(fd, (mode_t)mode) < 0 ? -errno : 0;
}

static int make_directory(const struct tree *tree, const struct driver_file *file, struct err *err)
{
	char name[TREE_NAME_MAX + 1];
	AUTOCLOSE int parent = tree_parent(tree, file->path, name, err);
	AUTOCLOSE int fd = -1;
	bool made;
	int r;

	if (parent < 0)
		return parent;
	made = mkdirat(parent, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return tree_fail(err, errno, file->path);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return tree_fail(err, errno, file->path);
	r = set_attributes(fd, file, made);
	return r < 0 ? tree_fail(err, -r, file->path) : 0;
}

static int remove_entry(const struct tree *tree, const struct driver_file *file, struct err *err)
{
	char name[TREE_NAME_MAX + 1];
	struct err why = {0};
	AUTOCLOSE int parent = tree_parent(tree, file->path, name, &why);

	if (parent < 0 && why.code == ERR_NOT_FOUND)
		return 0;
	if (parent < 0) {
		*err = why;
		return parent;
	}
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR && (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT))
		return 0;
	return tree_fail(err, errno, file->path);
}

int tree_do(const struct tree *tree, const struct driver_file *file, struct driver_file_info *ret,
	struct err *err)
{
	struct driver_file_info info;
	int r = tree_check_path(file->path, err);

	if (r < 0)
		return r;
	switch (file->op) {
	case DRIVER_FILE_STAT: return look(tree, file, ret ? ret : &info, err);
	case DRIVER_FILE_LIST: return list(tree, file, err);
	case DRIVER_FILE_READ: return read_file(tree, file, ret ? ret : &info, err);
	case DRIVER_FILE_WRITE: return tree_write(tree, file, err);
	case DRIVER_FILE_MKDIR: return make_directory(tree, file, err);
	case DRIVER_FILE_REMOVE: return remove_entry(tree, file, err);
	}
	return err_set(err, ERR_UNSUPPORTED, NULL, "nothing of that kind is done to files");
}
