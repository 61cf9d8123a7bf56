/* A directory as a stream of tar: a thread packs it into a pipe, from which the upload reads. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/source_internal.h"

#define BLOCK 65536

/* The two ends of the packing and what it came to; belongs to the thread until it is joined. */
struct packer {
	pthread_t thread;
	bool joined;
	char *root;
	int fd;
	struct archive *disk, *tar;
	struct archive_entry_linkresolver *links;
	int result;
	struct err error;
};

static void entry_freep(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static int disk_error(struct packer *packer)
{
	return err_set(
		&packer->error, ERR_INTERNAL, NULL, "%s", archive_error_string(packer->disk));
}

static int tar_error(struct packer *packer)
{
	return err_set(&packer->error, ERR_INTERNAL, NULL, "packing %s: %s", packer->root,
		archive_error_string(packer->tar));
}

static int write_zeros(struct packer *packer, int64_t count)
{
	static const char zeros[BLOCK];

	while (count > 0) {
		size_t size = count < BLOCK ? (size_t)count : BLOCK;

		if (archive_write_data(packer->tar, zeros, size) < 0)
			return tar_error(packer);
		count -= (int64_t)size;
	}
	return 0;
}

/* Files are read block by block; holes between the blocks are written as zeros, of which the
 * archive keeps only those that its map of the file does not show as holes. */
static int write_data(struct packer *packer)
{
	int64_t done = 0, offset;
	const void *block;
	size_t size;
	int r;

	for (;;) {
		r = archive_read_data_block(packer->disk, &block, &size, &offset);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return disk_error(packer);
		r = write_zeros(packer, offset - done);
		if (r < 0)
			return r;
		if (archive_write_data(packer->tar, block, size) < 0)
			return tar_error(packer);
		done = offset + (int64_t)size;
	}
}

static int write_entry(struct packer *packer, struct archive_entry *entry)
{
	struct archive_entry *spare = NULL;

	archive_entry_linkify(packer->links, &entry, &spare);
	if (!entry)
		return 0;
	if (archive_write_header(packer->tar, entry) < ARCHIVE_WARN)
		return tar_error(packer);
	return archive_entry_size(entry) > 0 ? write_data(packer) : 0;
}

/* Names in the archive begin at the directory itself, which is ".". */
static void rename_entry(const struct packer *packer, struct archive_entry *entry)
{
	const char *rest = archive_entry_pathname(entry) + strlen(packer->root);
	AUTOFREE char *name = NULL;

	if (asprintf(&name, ".%s%s", *rest && *rest != '/' ? "/" : "", rest) >= 0)
		archive_entry_set_pathname(entry, name);
}

static int pack_one(struct packer *packer, struct archive_entry *entry)
{
	archive_read_disk_descend(packer->disk);
	if (archive_entry_filetype(entry) == AE_IFSOCK)
		return 0;
	rename_entry(packer, entry);
	return write_entry(packer, entry);
}

static int pack_all(struct packer *packer)
{
	for (;;) {
		CLEANUP(entry_freep) struct archive_entry *entry = archive_entry_new();
		int r = archive_read_next_header2(packer->disk, entry);

		if (r == ARCHIVE_EOF)
			return archive_write_close(packer->tar) < ARCHIVE_WARN ? tar_error(packer)
									       : 0;
		if (r < ARCHIVE_OK)
			return disk_error(packer);
		r = pack_one(packer, entry);
		if (r < 0)
			return r;
	}
}

static void *pack(void *data)
{
	struct packer *packer = data;

	packer->result = pack_all(packer);
	/* Frees what is open without another try to write. */
	archive_write_fail(packer->tar);
	packer->fd = fd_close(packer->fd);
	return NULL;
}

static void packer_join(struct packer *packer)
{
	if (!packer->joined)
		pthread_join(packer->thread, NULL);
	packer->joined = true;
}

static void packer_free(struct packer *packer)
{
	if (!packer)
		return;
	archive_entry_linkresolver_free(packer->links);
	archive_read_free(packer->disk);
	archive_write_free(packer->tar);
	fd_close(packer->fd);
	free(packer->root);
	free(packer);
}

static void packer_freep(struct packer **packer)
{
	packer_free(*packer);
}

static int directory_finish(struct source *source, struct err *err)
{
	packer_join(source->packer);
	if (source->packer->result < 0 && err)
		*err = source->packer->error;
	return source->packer->result;
}

static void directory_stop(struct source *source)
{
	if (source->packer)
		packer_join(source->packer);
	packer_free(source->packer);
}

static const struct source_ops DIRECTORY = {.finish = directory_finish, .stop = directory_stop};

/* Opened without following a link, and without a trailing slash, which names would repeat. */
static int packer_open(struct packer *packer, struct err *err)
{
	size_t length = strlen(packer->root);

	while (length > 1 && packer->root[length - 1] == '/')
		packer->root[--length] = '\0';
	packer->disk = archive_read_disk_new();
	packer->tar = archive_write_new();
	packer->links = archive_entry_linkresolver_new();
	if (!packer->disk || !packer->tar || !packer->links)
		return err_errno(err, ENOMEM, "packing %s", packer->root);
	archive_read_disk_set_symlink_physical(packer->disk);
	archive_read_disk_set_behavior(
		packer->disk, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS | ARCHIVE_READDISK_NO_FFLAGS);
	archive_write_set_format_pax_restricted(packer->tar);
	archive_write_set_bytes_per_block(packer->tar, BLOCK);
	archive_entry_linkresolver_set_strategy(packer->links, ARCHIVE_FORMAT_TAR);
	if (archive_read_disk_open(packer->disk, packer->root) < ARCHIVE_OK ||
		archive_write_open_fd(packer->tar, packer->fd) < ARCHIVE_OK)
		return err_set(err, ERR_INTERNAL, NULL, "cannot pack %s", packer->root);
	return 0;
}

static int packer_create(const char *path, int fd, struct packer **ret, struct err *err)
{
	CLEANUP(packer_freep) struct packer *packer = calloc(1, sizeof(*packer));
	int r;

	if (!packer)
		return err_errno(err, ENOMEM, "packing %s", path);
	packer->fd = -1;
	packer->root = strdup(path);
	if (!packer->root)
		return err_errno(err, ENOMEM, "packing %s", path);
	packer->fd = fd;
	r = packer_open(packer, err);
	if (r < 0) {
		packer->fd = -1;
		return r;
	}
	*ret = TAKE_PTR(packer);
	return 0;
}

/* Connects a packer to a source that reads what it writes. */
static int start(struct source *source, struct packer *packer, struct err *err)
{
	int r;

	source->path = strdup(packer->root);
	if (!source->path)
		return err_errno(err, ENOMEM, "packing %s", packer->root);
	r = pthread_create(&packer->thread, NULL, pack, packer);
	if (r != 0)
		return err_errno(err, r, "packing %s", packer->root);
	source->packer = packer;
	return 0;
}

int source_open_directory(const char *path, struct source **ret, struct err *err)
{
	AUTOCLOSE int in = -1, out = -1;
	CLEANUP(source_closep) struct source *source = NULL;
	CLEANUP(packer_freep) struct packer *packer = NULL;
	int r = file_pipe(&in, &out, 0);

	if (r < 0)
		return err_errno(err, r, "making a pipe");
	r = packer_create(path, out, &packer, err);
	if (r < 0)
		return r;
	out = -1;
	source = source_create(&DIRECTORY, in);
	if (!source)
		return err_errno(err, ENOMEM, "packing %s", path);
	in = -1;
	r = start(source, packer, err);
	if (r < 0)
		return r;
	packer = NULL;
	*ret = TAKE_PTR(source);
	return 0;
}
