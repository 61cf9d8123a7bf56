/* Tar from dockerd and to it. */
#include "drivers/docker/archive.h"

#include <archive.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/fetch.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/tree.h"

#define STAT_HEADER "X-Docker-Container-Path-Stat"
#define STAT_MAX    65536
#define STALL_MS    60000
#define BLOCK	    512
#define COPY_SIZE   (128 * 1024)

/* --- What went wrong -------------------------------------------------------------------------- */

/* As Go and dockerd say it. The first that fits. */
static const struct {
	const char *text;
	int errnum;
} WORDS[] = {
	{"Could not find the file", ENOENT},
	{"extraction point is not a directory", ENOTDIR},
	{"cannot overwrite directory", EISDIR},
	{"cannot overwrite non-directory", ENOTDIR},
	{"not a directory", ENOTDIR},
	{"too many links", ELOOP},
	{"too many levels of symbolic links", ELOOP},
	{"file name too long", ENAMETOOLONG},
	{"no space left on device", ENOSPC},
	{"disk quota exceeded", EDQUOT},
	{"read-only", EROFS},
	{"no such file or directory", ENOENT},
	{"permission denied", EACCES},
	{"operation not permitted", EPERM},
};

static int fail(const struct err *why, const char *path, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
		if (strstr(why->message, WORDS[i].text))
			return tree_fail(err, WORDS[i].errnum, path);
	*err = *why;
	return err_errnum(why->code);
}

/* --- Reading ---------------------------------------------------------------------------------- */

struct archive_reader {
	struct fetch fetch;
	char *path;
	struct archive *tar;
	struct archive_entry *first; /* not asked for yet */
	char *told;		     /* what dockerd says of the path, in base64 */
};

static struct archive *open_tar(int fd)
{
	struct archive *tar = archive_read_new();

	if (tar && archive_read_support_format_tar(tar) == ARCHIVE_OK &&
		archive_read_open_fd(tar, fd, COPY_SIZE) >= ARCHIVE_WARN)
		return tar;
	archive_read_free(tar);
	return NULL;
}

/* What failed in the request is why nothing comes; else it is what came. */
static int conclude(struct archive_reader *reader, const char *path, struct err *err)
{
	const char *words = reader->tar ? archive_error_string(reader->tar) : NULL;
	struct err why = {0};

	fetch_finish(&reader->fetch);
	if (fetch_wait(&reader->fetch, &why) < 0 && why.code != ERR_CANCELLED)
		return fail(&why, path, err);
	return err_set(err, ERR_DRIVER, "path", "%.200s: what dockerd gives is no tar: %.100s",
		path, words ? words : "it ends too early");
}

/* What comes behind the end of a tar is nothing. */
static int drain(struct archive_reader *reader, struct err *err)
{
	struct err why = {0};
	char buf[BLOCK];

	while (read(reader->fetch.from, buf, sizeof(buf)) > 0)
		;
	return fetch_wait(&reader->fetch, &why) < 0 ? fail(&why, reader->path, err) : 0;
}

int archive_next(struct archive_reader *reader, struct archive_entry **ret, struct err *err)
{
	int r;

	*ret = TAKE_PTR(reader->first);
	if (*ret)
		return 1;
	r = archive_read_next_header(reader->tar, ret);
	if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
		return 1;
	return r == ARCHIVE_EOF ? drain(reader, err) : conclude(reader, reader->path, err);
}

/* It comes with the answer's head, which is known at the end: a link is all that there is. */
int archive_target(struct archive_reader *reader, char **ret, struct err *err)
{
	const char *told;
	uint8_t text[STAT_MAX];
	size_t size = sizeof(text);
	struct archive_entry *entry;
	json_auto_t *json = NULL;
	int r;

	do
		r = archive_next(reader, &entry, err);
	while (r > 0);
	if (r < 0)
		return r;
	told = reader->told ? reader->told : "";
	if (strlen(told) / 4 * 3 <= sizeof(text) &&
		parse_base64(told, strlen(told), text, &size) == 0)
		json = json_loadb((const char *)text, size, 0, NULL);
	*ret = strdup(reply_text_or_none(json, "linkTarget"));
	if (!*ret || (*ret)[0] == '/')
		return *ret ? 0 : err_errno(err, ENOMEM, "no memory for a path");
	free(TAKE_PTR(*ret));
	return err_set(err, ERR_DRIVER, "path", "%.200s: dockerd does not say where it leads",
		reader->path);
}

int archive_begin(
	const struct inside *in, const char *path, struct archive_reader **ret, struct err *err)
{
	struct archive_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return err_errno(err, ENOMEM, "no memory for an archive");
	reader->path = strdup(path);
	reader->fetch.request = (struct engine_request){.path = "/containers/{}/archive",
		.name = in->container,
		.query = {{"path", reader->path}},
		.what = "read the guest's files",
		.stall_ms = STALL_MS,
		.want_header = STAT_HEADER,
		.ret_header = &reader->told};
	r = reader->path ? fetch_begin(&reader->fetch, in->docker->socket, 0, err)
			 : err_errno(err, ENOMEM, "no memory for a path");
	if (r == 0) {
		reader->tar = open_tar(reader->fetch.from);
		r = reader->tar ? 0 : conclude(reader, path, err);
	}
	if (r == 0)
		r = archive_next(reader, &reader->first, err);
	if (r == 0)
		r = conclude(reader, path, err);
	*ret = reader;
	if (r < 0)
		*ret = archive_end(reader);
	return r < 0 ? r : 0;
}

struct archive_reader *archive_end(struct archive_reader *reader)
{
	if (!reader)
		return NULL;
	archive_read_free(reader->tar);
	fetch_finish(&reader->fetch);
	free(reader->told);
	free(reader->path);
	free(reader);
	return NULL;
}

int archive_copy(struct archive_reader *reader, int fd, const char *path, struct err *err)
{
	AUTOFREE char *buf = malloc(COPY_SIZE);
	la_ssize_t n;
	int r = 0;

	if (!buf)
		return err_errno(err, ENOMEM, "no memory to copy a file");
	while (r == 0 && (n = archive_read_data(reader->tar, buf, COPY_SIZE)) != 0) {
		if (n < 0)
			return conclude(reader, path, err);
		r = file_write_all(fd, buf, (size_t)n);
	}
	return r < 0 ? tree_fail(err, -r, path) : 0;
}

void archive_stat(struct archive_entry *entry, struct stat *ret)
{
	*ret = *archive_entry_stat(entry);
	ret->st_mode = (ret->st_mode & 07777) | archive_entry_filetype(entry);
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* A file on its way: its head as tar, its bytes, and the zeros behind them. */
struct upload {
	struct strbuf head;
	size_t sent; /* of the head */
	int fd;
	uint64_t left; /* bytes of the file */
	size_t zeros;
	const char *path;
};

static la_ssize_t keep(struct archive *tar, void *data, const void *bytes, size_t size)
{
	struct upload *u = data;

	(void)tar;
	strbuf_add_bytes(&u->head, bytes, size);
	return u->head.failed ? -1 : (la_ssize_t)size;
}

static int make_head(struct upload *u, const char *name, const struct stat *st, struct err *err)
{
	struct archive *tar = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	int r = -ENOMEM;

	if (tar && entry) {
		archive_entry_copy_stat(entry, st);
		archive_entry_set_pathname(entry, name);
		archive_write_set_format_pax_restricted(tar);
		archive_write_set_bytes_per_block(tar, 0);
		if (archive_write_open(tar, u, NULL, keep, NULL) == ARCHIVE_OK &&
			archive_write_header(tar, entry) >= ARCHIVE_WARN)
			r = 0;
	}
	u->zeros = 2 * BLOCK + (BLOCK - (size_t)(st->st_size % BLOCK)) % BLOCK;
	u->left = (uint64_t)st->st_size;
	if (r < 0)
		err_set(err, ERR_INVALID, "path", "%.200s: is no name for tar", name);
	archive_entry_free(entry);
	if (tar)
		archive_write_fail(tar); /* the rest of it is ours to write */
	archive_write_free(tar);
	return r;
}

static ssize_t give(void *data, char *buf, size_t size, struct err *err)
{
	struct upload *u = data;
	ssize_t n;

	if (u->sent < u->head.used) {
		n = (ssize_t)(u->head.used - u->sent < size ? u->head.used - u->sent : size);
		memcpy(buf, u->head.text + u->sent, (size_t)n);
		u->sent += (size_t)n;
		return n;
	}
	if (u->left > 0) {
		n = read(u->fd, buf, u->left < size ? (size_t)u->left : size);
		if (n <= 0)
			return tree_fail(err, n < 0 ? errno : EIO, u->path);
		u->left -= (uint64_t)n;
		return n;
	}
	n = (ssize_t)(u->zeros < size ? u->zeros : size);
	memset(buf, 0, (size_t)n);
	u->zeros -= (size_t)n;
	return n;
}

int archive_put(const struct inside *in, const char *directory, const char *name,
	const struct stat *st, int fd, struct err *err)
{
	AUTOENGINE struct engine *engine = NULL;
	struct upload upload = {.fd = fd, .path = directory};
	struct engine_request request = {.method = "PUT",
		.path = "/containers/{}/archive",
		.name = in->container,
		.query = {{"path", directory}, {"noOverwriteDirNonDir", "1"}},
		.what = "write the guest's files",
		.stall_ms = STALL_MS,
		.source = give,
		.source_type = "application/x-tar",
		.data = &upload};
	struct err why = {0};
	int r = make_head(&upload, name, st, err);

	if (r == 0)
		r = engine_open(in->docker->socket, 0, &engine, err);
	if (r == 0 && engine_call(engine, &request, NULL, &why) < 0)
		r = fail(&why, directory, err);
	strbuf_finish(&upload.head);
	return r;
}
