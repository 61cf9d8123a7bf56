/* Files of a container that does not run: dockerd gives and takes them as tar. It puts a file
 * straight into its place, so all that is to be written is taken first, into a file without a name
 * in the guest's own volume: what is cut short is never begun. Only a dockerd that is ended, or has
 * no more room, while it writes can leave a file in part. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/strv.h"
#include "drivers/docker/archive.h"
#include "drivers/docker/file.h"
#include "drivers/inside/tree.h"

#define AUTOREADER CLEANUP(archive_endp)

/* --- Looking ---------------------------------------------------------------------------------- */

/* Its first entry: the thing itself. */
static int begin(const struct inside *in, const char *path, struct archive_reader **ret,
	struct archive_entry **ret_entry, struct stat *ret_st, struct err *err)
{
	int r = archive_begin(in, path, ret, err);

	*ret_entry = NULL;
	if (r == 0)
		r = archive_next(*ret, ret_entry, err);
	if (r < 0)
		return r;
	archive_stat(*ret_entry, ret_st);
	return 0;
}

static int look(const struct inside *in, const char *path, struct stat *ret, struct err *err)
{
	AUTOREADER struct archive_reader *reader = NULL;
	struct archive_entry *entry;

	return begin(in, path, &reader, &entry, ret, err);
}

/* 1: it is there; 0: it is not. */
static int look_for(const struct inside *in, const char *path, struct stat *ret, struct err *err)
{
	struct err why = {0};
	int r = look(in, path, ret, &why);

	if (r == 0)
		return 1;
	if (why.code == ERR_NOT_FOUND && why.field[0])
		return 0;
	*err = why;
	return r;
}

/* --- Listing ---------------------------------------------------------------------------------- */

struct listing {
	const struct inside *in;
	const char *path;
	FILE *out;
	char **hard; /* names that tar has as links to what it had before */
};

static int write_entry(struct listing *l, const char *name, const struct stat *st,
	const char *target, struct err *err)
{
	json_auto_t *json = tree_entry(name, st, target);

	if (!json)
		return err_errno(err, ENOMEM, "no memory for a list");
	if (json_dumpf(json, l->out, JSON_COMPACT) < 0 || fputc('\n', l->out) == EOF)
		return tree_fail(err, errno ? errno : EIO, l->path);
	return 0;
}

static int keep_hard(struct listing *l, const char *name, struct err *err)
{
	size_t n = strv_length(l->hard);
	char **grown = reallocarray(l->hard, n + 2, sizeof(*grown));

	if (grown) {
		l->hard = grown;
		grown[n + 1] = NULL;
		grown[n] = strdup(name);
	}
	return grown && grown[n] ? 0 : err_errno(err, ENOMEM, "no memory for a list");
}

/* Those in the directory itself: "./name", "./name/". */
static int list_one(struct listing *l, struct archive_entry *entry, struct err *err)
{
	const char *path = archive_entry_pathname(entry);
	char name[NAME_MAX + 1];
	struct stat st;
	size_t length;

	if (!path || strncmp(path, "./", 2) != 0)
		return 0;
	length = strcspn(path + 2, "/");
	if (length == 0 || length > NAME_MAX || (path[2 + length] && path[3 + length]))
		return 0;
	memcpy(name, path + 2, length);
	name[length] = '\0';
	if (archive_entry_hardlink(entry))
		return keep_hard(l, name, err);
	archive_stat(entry, &st);
	return write_entry(
		l, name, &st, S_ISLNK(st.st_mode) ? archive_entry_symlink(entry) : NULL, err);
}

static int list_hard(struct listing *l, struct err *err)
{
	int r = 0;

	for (char **name = l->hard; r == 0 && name && *name; name++) {
		AUTOFREE char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s/%s", l->path, *name) < 0)
			return err_errno(err, ENOMEM, "no memory for a list");
		r = look_for(l->in, path, &st, err);
		if (r == 1)
			r = write_entry(l, *name, &st, NULL, err);
	}
	return r;
}

static int list_all(struct listing *l, struct err *err)
{
	AUTOREADER struct archive_reader *reader = NULL;
	AUTOFREE char *path = NULL;
	struct archive_entry *entry;
	int r = asprintf(&path, "%s/.", l->path) < 0
			? err_errno(err, ENOMEM, "no memory for a path")
			: archive_begin(l->in, path, &reader, err);

	if (r < 0)
		return r;
	while ((r = archive_next(reader, &entry, err)) > 0) {
		r = list_one(l, entry, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : list_hard(l, err);
}

static int list(const struct inside *in, const struct driver_file *file, struct err *err)
{
	AUTOCLOSE int to = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
	CLEANUP(fclosep) FILE *out = to >= 0 ? fdopen(to, "w") : NULL;
	struct listing l = {.in = in, .path = file->path, .out = out};
	int r;

	if (!out)
		return err_errno(err, errno, "cannot list %s", file->path);
	TAKE_FD(to);
	r = list_all(&l, err);
	strv_free(l.hard);
	return r == 0 && fflush(out) == EOF ? tree_fail(err, errno, file->path) : r;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static int take(struct archive_reader *reader, const struct driver_file *file,
	const struct stat *st, struct driver_file_info *ret, struct err *err)
{
	if (S_ISDIR(st->st_mode))
		return tree_fail(err, EISDIR, file->path);
	if (!S_ISREG(st->st_mode))
		return tree_not_regular(err, file->path);
	tree_describe(st, ret);
	return file->fd < 0 ? 0 : archive_copy(reader, file->fd, file->path, err);
}

static int read_file(const struct inside *in, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	AUTOREADER struct archive_reader *reader = NULL, *behind = NULL;
	AUTOFREE char *target = NULL;
	struct archive_entry *entry;
	struct stat st;
	int r = begin(in, file->path, &reader, &entry, &st, err);

	if (r < 0 || !S_ISLNK(st.st_mode))
		return r < 0 ? r : take(reader, file, &st, ret, err);
	r = archive_target(reader, &target, err);
	if (r == 0)
		r = begin(in, target, &behind, &entry, &st, err);
	return r < 0 ? r : take(behind, file, &st, ret, err);
}

/* --- Writing ---------------------------------------------------------------------------------- */

struct place {
	char directory[PATH_MAX]; /* ends in "/." : links on the way there are followed */
	char name[NAME_MAX + 1];
};

static int find_place(const struct inside *in, const char *path, struct place *ret, struct err *err)
{
	size_t end = strlen(path), begin;
	struct stat st;
	int r = tree_check_name(path, err);

	if (r < 0)
		return r;
	while (path[end - 1] == '/')
		end--;
	for (begin = end; path[begin - 1] != '/'; begin--)
		;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(end - begin), path + begin);
	snprintf(ret->directory, sizeof(ret->directory), "%.*s.", (int)begin, path);
	r = look(in, ret->directory, &st, err);
	return r < 0 ? r : S_ISDIR(st.st_mode) ? 0 : tree_fail(err, ENOTDIR, path);
}

/* Into whose quota it counts. */
static int open_spool(const struct inside *in, struct err *err)
{
	const struct driver_container *c = in->guest->container;
	const char *dir = c && c->data ? c->data : in->docker->dirs.run;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? err_errno(err, errno, "cannot keep a file in %s", dir) : fd;
}

static struct stat attributes(const struct driver_file *file, mode_t type)
{
	struct stat st = {.st_mode = (mode_t)file->mode | type,
		.st_uid = (uid_t)file->uid,
		.st_gid = (gid_t)file->gid,
		.st_nlink = 1};

	clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	return st;
}

static int write_file(const struct inside *in, const struct driver_file *asked, struct err *err)
{
	struct driver_file file = *asked;
	AUTOCLOSE int spool = -1;
	struct place place;
	struct stat old, st;
	uint64_t size = 0;
	int r = find_place(in, file.path, &place, err);
	bool exists;

	if (r == 0)
		r = look_for(in, file.path, &old, err);
	if (r < 0)
		return r;
	exists = r == 1;
	r = tree_replaces(&file, exists ? &old : NULL, err);
	if (r < 0)
		return r;
	spool = open_spool(in, err);
	r = spool < 0 ? spool : tree_take_whole(&file, spool, &size, err);
	if (r < 0)
		return r;
	if (lseek(spool, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot read what was kept");
	st = attributes(&file, S_IFREG);
	st.st_size = (off_t)size;
	return archive_put(in, place.directory, place.name, &st, spool, err);
}

static int make_directory(const struct inside *in, const struct driver_file *asked, struct err *err)
{
	struct driver_file file = *asked;
	struct place place;
	struct stat old = {.st_mode = 0755}, st;
	int r = find_place(in, file.path, &place, err);

	if (r == 0)
		r = look_for(in, file.path, &old, err);
	if (r < 0)
		return r;
	if (r == 1 && !S_ISDIR(old.st_mode))
		return tree_fail(err, ENOTDIR, file.path);
	if (r == 1 && file.mode < 0 && file.uid < 0 && file.gid < 0)
		return 0;
	file.mode = file.mode < 0 ? old.st_mode & 07777 : file.mode;
	file.uid = file.uid < 0 ? old.st_uid : file.uid;
	file.gid = file.gid < 0 ? old.st_gid : file.gid;
	st = attributes(&file, S_IFDIR);
	return archive_put(in, place.directory, place.name, &st, -1, err);
}

static int remove_entry(const struct inside *in, const char *path, struct err *err)
{
	struct stat st;
	int r = tree_check_name(path, err);

	if (r == 0)
		r = look_for(in, path, &st, err);
	return r != 1 ? r
		      : err_set(err, ERR_ILLEGAL_STATE, "path",
				"%.200s: Docker removes nothing from a guest that does not run: "
				"start it",
				path);
}

int file_stopped(
	void *data, const struct driver_file *file, struct driver_file_info *ret, struct err *err)
{
	const struct inside *in = data;
	struct stat st;
	int r = tree_check_path(file->path, err);

	if (r < 0)
		return r;
	setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive does not pass on other names */
	switch (file->op) {
	case DRIVER_FILE_STAT:
		r = look(in, file->path, &st, err);
		if (r == 0)
			tree_describe(&st, ret);
		return r;
	case DRIVER_FILE_LIST: return list(in, file, err);
	case DRIVER_FILE_READ: return read_file(in, file, ret, err);
	case DRIVER_FILE_WRITE: return write_file(in, file, err);
	case DRIVER_FILE_MKDIR: return make_directory(in, file, err);
	case DRIVER_FILE_REMOVE: return remove_entry(in, file->path, err);
	}
	return err_set(err, ERR_UNSUPPORTED, NULL, "nothing of that kind is done to files");
}
