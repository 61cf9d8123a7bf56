/* The sieve's work: bytes of hostile archives, by libarchive. Tar only, and no filter that runs a
 * program. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "drivers/docker/sieve_internal.h"

#define BLOCK 65536

DEFINE_CLEANUP(struct archive *, archive_read_free)
DEFINE_CLEANUP(struct archive *, archive_write_free)

struct file {
	const char *name;
	size_t size;
};

struct run {
	const struct sieve_work *work;
	int out;
	struct sha256_ctx hash;
	char block[BLOCK]; /* of the archive as it comes */
	bool ended, checked;
	struct archive *unpacked; /* its bytes without compression */
	char *piece;		  /* of those, the last that was read */
	/* Those read until it is known what it is. */
	struct strbuf begin;
	bool begins;
	struct layout layout;
};

static void run_finish(struct run *run)
{
	free(run->piece);
	strbuf_finish(&run->begin);
	layout_finish(&run->layout);
}

/* --- Bytes in -------------------------------------------------------------------------------- */

static ssize_t read_archive(struct archive *archive, void *data, const void **ret)
{
	struct run *run = data;
	ssize_t n;

	do
		n = read(run->work->fd, run->block, sizeof(run->block));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		archive_set_error(archive, errno, "cannot read");
	else
		sha256_update(&run->hash, (size_t)n, (const uint8_t *)run->block);
	run->ended = n == 0;
	*ret = run->block;
	return n;
}

static ssize_t read_unpacked(struct archive *archive, void *data, const void **ret)
{
	struct run *run = data;
	la_ssize_t n = archive_read_data(run->unpacked, run->piece, BLOCK);

	if (n < 0) {
		archive_set_error(archive, EINVAL, "%s", archive_error_string(run->unpacked));
		return -1;
	}
	if (run->begins)
		strbuf_add_bytes(&run->begin, run->piece, (size_t)n);
	*ret = run->piece;
	return n;
}

static int damaged(struct archive *archive, struct err *err)
{
	const char *why = archive_error_string(archive);

	return err_set(err, ERR_INVALID, NULL, "not a readable tar archive: %s",
		why ? why : "unknown error");
}

/* What is compressed is seen as one stream of bytes. */
static int open_unpacked(struct run *run, struct archive *archive, struct err *err)
{
	static int (*const supports[])(struct archive *) = {
		archive_read_support_format_raw,
		archive_read_support_format_empty,
		archive_read_support_filter_gzip,
		archive_read_support_filter_bzip2,
		archive_read_support_filter_xz,
		archive_read_support_filter_lzma,
		archive_read_support_filter_zstd,
		archive_read_support_filter_lz4,
	};
	struct archive_entry *entry;

	for (size_t i = 0; i < ARRAY_SIZE(supports); i++)
		if (supports[i](archive) != ARCHIVE_OK)
			return damaged(archive, err);
	if (archive_read_open(archive, run, NULL, read_archive, NULL) != ARCHIVE_OK)
		return damaged(archive, err);
	switch (archive_read_next_header(archive, &entry)) {
	case ARCHIVE_OK: return 0;
	case ARCHIVE_EOF: return err_set(err, ERR_INVALID, NULL, "the archive is empty");
	default: return damaged(archive, err);
	}
}

/* --- Bytes out ------------------------------------------------------------------------------- */

static int put(const struct run *run, const void *bytes, size_t size, struct err *err)
{
	int r = file_write_all(run->out, bytes, size);

	return r < 0 ? err_errno(err, r, "cannot hand on the archive") : 0;
}

static la_ssize_t write_out(struct archive *archive, void *data, const void *bytes, size_t size)
{
	const struct run *run = data;
	int r = file_write_all(run->out, bytes, size);

	if (r == 0)
		return (la_ssize_t)size;
	archive_set_error(archive, -r, "cannot hand on the archive");
	return -1;
}

static int unwritten(struct archive *writer, struct err *err)
{
	return err_set(err, ERR_INTERNAL, NULL, "cannot hand on the archive: %s",
		archive_error_string(writer));
}

/* --- What was sent --------------------------------------------------------------------------- */

/* What lies behind the end of the archive belongs to what was sent. */
static int read_to_end(struct run *run, struct err *err)
{
	while (!run->ended) {
		ssize_t n = read(run->work->fd, run->block, sizeof(run->block));

		if (n < 0 && errno != EINTR)
			return err_errno(err, errno, "cannot read what is sent");
		if (n > 0)
			sha256_update(&run->hash, (size_t)n, (const uint8_t *)run->block);
		run->ended = n == 0;
	}
	return 0;
}

static int check_hash(struct run *run, struct err *err)
{
	const char *wanted = run->work->sha256;
	char text[2 * SHA256_DIGEST_SIZE + 1];
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_digest(&run->hash, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	if (!wanted || strcasecmp(wanted, text) == 0)
		return 0;
	return err_set(err, ERR_INVALID, "sha256", "the SHA-256 of what was sent is %s, not %s",
		text, wanted);
}

static int check_whole(const struct run *run, struct err *err)
{
	ssize_t n = 1;
	char byte;

	if (run->work->whole_fd > 0)
		do
			n = read(run->work->whole_fd, &byte, 1);
		while (n < 0 && errno == EINTR);
	return n == 1 ? 0
		      : err_set(err, ERR_CANCELLED, NULL,
				"the transfer was cut before its end: send it again");
}

/* Once: a byte of whole_fd that was read is gone. */
static int check_sent(struct run *run, struct err *err)
{
	int r;

	run->checked = true;
	r = read_to_end(run, err);
	if (r == 0)
		r = check_whole(run, err);
	return r == 0 ? check_hash(run, err) : r;
}

/* --- Files of a root file system ------------------------------------------------------------- */

static int pass_files(struct run *run, struct err *err)
{
	la_ssize_t n;
	int r = put(run, &(char){SIEVE_FILES}, 1, err);

	if (r == 0)
		r = put(run, run->begin.text, run->begin.used, err);
	while (r == 0 && (n = archive_read_data(run->unpacked, run->piece, BLOCK)) != 0)
		r = n < 0 ? damaged(run->unpacked, err) : put(run, run->piece, (size_t)n, err);
	return r;
}

/* --- Images ---------------------------------------------------------------------------------- */

static int put_header(
	struct archive *writer, const char *name, size_t size, const char *link, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	if (!entry)
		return err_errno(err, ENOMEM, "no memory for an archive's entry");
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, link ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (link)
		archive_entry_set_symlink(entry, link);
	r = archive_write_header(writer, entry);
	archive_entry_free(entry);
	return r == ARCHIVE_OK ? 0 : unwritten(writer, err);
}

static int put_bytes(struct archive *writer, const char *bytes, size_t size, struct err *err)
{
	return archive_write_data(writer, bytes, size) == (la_ssize_t)size ? 0
									   : unwritten(writer, err);
}

static int put_text(
	struct archive *writer, const char *name, const char *text, size_t size, struct err *err)
{
	int r = put_header(writer, name, size, NULL, err);

	return r < 0 ? r : put_bytes(writer, text, size, err);
}

static int read_text(struct archive *reader, size_t size, char **ret, struct err *err)
{
	AUTOFREE char *text = malloc(size + 1);

	if (!text)
		return err_errno(err, ENOMEM, "no memory for an archive's texts");
	if (archive_read_data(reader, text, size) != (la_ssize_t)size)
		return damaged(reader, err);
	text[size] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

/* A file that may be one of the archive's texts; layers are none. */
static int take_text(struct run *run, struct archive *reader, struct archive *writer,
	const struct file *file, struct err *err)
{
	AUTOFREE char *text = NULL;
	bool is_text;
	int r;

	if (file->size > LAYOUT_TEXT_MAX)
		return err_set(
			err, ERR_INVALID, NULL, "%s of the archive is too large", file->name);
	r = read_text(reader, file->size, &text, err);
	if (r == 0 && !layout_withholds(file->name))
		r = put_text(writer, file->name, text, file->size, err);
	if (r < 0)
		return r;
	is_text = strchr("{[", text[0]) && text[0];
	return layout_add(
		&run->layout, file->name, is_text ? TAKE_PTR(text) : NULL, file->size, err);
}

static int pass_file(struct run *run, struct archive *reader, struct archive *writer,
	const struct file *file, struct err *err)
{
	AUTOFREE char *piece = malloc(BLOCK);
	size_t left = file->size;
	int r = piece ? put_header(writer, file->name, left, NULL, err)
		      : err_errno(err, ENOMEM, "no memory for an archive's files");

	while (r == 0 && left > 0) {
		la_ssize_t n = archive_read_data(reader, piece, left < BLOCK ? left : BLOCK);

		if (n <= 0)
			return damaged(reader, err);
		left -= (size_t)n;
		r = put_bytes(writer, piece, (size_t)n, err);
	}
	return r < 0 ? r : layout_add(&run->layout, file->name, NULL, file->size, err);
}

/* Whether a name, followed from a directory `depth` below the archive's top, stays in it. */
static bool stays_inside(const char *name, unsigned depth)
{
	if (name[0] == '/' || name[0] == '\0')
		return false;
	while (*name) {
		size_t length = strcspn(name, "/");

		if (length == 2 && memcmp(name, "..", 2) == 0) {
			if (depth-- == 0)
				return false;
		} else if (length > 0 && !(length == 1 && name[0] == '.')) {
			depth++;
		}
		name += length + (name[length] == '/');
	}
	return true;
}

static unsigned depth_of(const char *name)
{
	unsigned depth = 0;

	for (const char *c = name; *c; c++)
		depth += *c == '/';
	return depth;
}

/* docker save writes links between equal layers. */
static int pass_link(struct run *run, struct archive *writer, const struct file *file,
	const char *to, struct err *err)
{
	int r;

	if (!to || !stays_inside(to, depth_of(file->name)))
		return err_set(err, ERR_INVALID, NULL, "the archive's link %.200s leads out of it",
			file->name);
	r = put_header(writer, file->name, 0, to, err);
	return r < 0 ? r : layout_add(&run->layout, file->name, NULL, 0, err);
}

/* The name of an entry as it is meant; NULL for what must not be. */
static const char *name_of(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);

	while (name && strncmp(name, "./", 2) == 0)
		name += 2;
	if (!name || name[0] == '/' || strlen(name) > LAYOUT_NAME_MAX || strstr(name, ".."))
		return NULL;
	return name;
}

static int pass_entry(struct run *run, struct archive *reader, struct archive *writer,
	struct archive_entry *entry, struct err *err)
{
	struct file file = {.name = name_of(entry)};
	mode_t type = archive_entry_filetype(entry);
	la_int64_t size = archive_entry_size(entry);

	if (!file.name || archive_entry_hardlink(entry) || size < 0)
		return err_set(err, ERR_INVALID, NULL, "an archive of images must not have %.200s",
			archive_entry_pathname(entry) ? archive_entry_pathname(entry)
						      : "names that are not text");
	file.size = (size_t)size;
	if (type == AE_IFDIR)
		return 0;
	if (type == AE_IFLNK)
		return pass_link(run, writer, &file, archive_entry_symlink(entry), err);
	if (type != AE_IFREG)
		return err_set(err, ERR_INVALID, NULL,
			"%.200s of the archive is neither a file nor a directory", file.name);
	return layout_wants(&run->layout, file.name, file.size)
		       ? take_text(run, reader, writer, &file, err)
		       : pass_file(run, reader, writer, &file, err);
}

static int pass_rest(struct run *run, struct archive *reader, struct archive *writer,
	struct archive_entry *entry, struct err *err)
{
	AUTOFREE char *manifest = NULL;
	int r = 0, next = ARCHIVE_OK;

	while (r == 0 && next == ARCHIVE_OK) {
		r = pass_entry(run, reader, writer, entry, err);
		next = archive_read_next_header(reader, &entry);
	}
	if (r == 0 && next != ARCHIVE_EOF)
		r = damaged(reader, err);
	if (r == 0)
		r = layout_manifest(&run->layout, &run->work->choice, &manifest, err);
	/* Without it nothing is loaded. */
	if (r == 0)
		r = check_sent(run, err);
	if (r == 0)
		r = put_text(writer, LAYOUT_MANIFEST, manifest, strlen(manifest), err);
	return r;
}

static int pass_images(
	struct run *run, struct archive *reader, struct archive_entry *entry, struct err *err)
{
	CLEANUP(archive_write_freep) struct archive *writer = archive_write_new();
	int r = put(run, &(char){SIEVE_IMAGES}, 1, err);

	if (r < 0)
		return r;
	if (!writer || archive_write_set_format_pax_restricted(writer) != ARCHIVE_OK ||
		archive_write_open(writer, run, NULL, write_out, NULL) != ARCHIVE_OK)
		return err_errno(err, ENOMEM, "no memory to hand on an archive");
	r = pass_rest(run, reader, writer, entry, err);
	if (r == 0 && archive_write_close(writer) != ARCHIVE_OK)
		r = unwritten(writer, err);
	return r;
}

/* --- The whole ------------------------------------------------------------------------------- */

static bool is_top(const char *name)
{
	return name && (strcmp(name, ".") == 0 || strcmp(name, "./") == 0);
}

/* The first entry that has a name tells what the archive is. */
static int read_first(
	struct run *run, struct archive *reader, struct archive_entry **ret, struct err *err)
{
	int r;

	if (archive_read_support_format_tar(reader) != ARCHIVE_OK ||
		archive_read_open(reader, run, NULL, read_unpacked, NULL) != ARCHIVE_OK)
		return damaged(reader, err);
	do {
		r = archive_read_next_header(reader, ret);
		if (r == ARCHIVE_EOF)
			return err_set(err, ERR_INVALID, NULL, "the archive is empty");
		if (r < ARCHIVE_WARN)
			return damaged(reader, err);
	} while (is_top(archive_entry_pathname(*ret)));
	run->begins = false;
	return run->begin.failed ? err_errno(err, ENOMEM, "no memory for an archive") : 0;
}

static int pass(struct run *run, struct err *err)
{
	CLEANUP(archive_read_freep) struct archive *unpacked = archive_read_new();
	CLEANUP(archive_read_freep) struct archive *reader = archive_read_new();
	struct archive_entry *entry = NULL;
	const char *name;
	int r;

	run->unpacked = unpacked;
	run->piece = malloc(BLOCK);
	if (!unpacked || !reader || !run->piece)
		return err_errno(err, ENOMEM, "no memory to read archives");
	r = open_unpacked(run, unpacked, err);
	if (r == 0)
		r = read_first(run, reader, &entry, err);
	if (r < 0)
		return r;
	name = name_of(entry);
	return name && layout_begins_with(name) ? pass_images(run, reader, entry, err)
						: pass_files(run, err);
}

int sieve_run(const struct sieve_work *work, int out, struct err *err)
{
	AUTOFREE struct run *run = calloc(1, sizeof(*run));
	struct err failed = {0};
	int r;

	if (!run)
		return err_errno(err, ENOMEM, "no memory to read archives");
	run->work = work;
	run->out = out;
	run->begins = true;
	sha256_init(&run->hash);
	r = pass(run, &failed);
	/* One that was cut short, or is another than was meant, is not to be called damaged. */
	if (!run->checked && (r == 0 || failed.code == ERR_INVALID)) {
		struct err why = {0};
		int end = check_sent(run, &why);

		if (end < 0) {
			failed = why;
			r = end;
		}
	}
	run_finish(run);
	if (r < 0)
		*err = failed;
	return r;
}
