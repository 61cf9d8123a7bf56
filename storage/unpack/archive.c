/* The archive, by libarchive: tar only, since the other formats are not used for root file systems
 * and each is code that reads hostile bytes; and no filter that runs a program. */
#include "storage/unpack/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "storage/unpack/extract.h"
#include "storage/unpack/path.h"

#define BLOCK	  65536
#define TAR_BLOCK 512

struct input {
	int fd;
	char block[BLOCK];
};

DEFINE_CLEANUP(struct archive *, archive_read_free)

static ssize_t read_block(struct archive *archive, void *data, const void **ret)
{
	struct input *input = data;
	ssize_t n;

	do
		n = read(input->fd, input->block, sizeof(input->block));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		archive_set_error(archive, errno, "cannot read");
	*ret = input->block;
	return n;
}

static int damaged(struct archive *archive, struct err *err)
{
	const char *why = archive_error_string(archive);

	return err_set(err, ERR_INVALID, NULL, "not a readable tar archive: %s",
		SHOWN(why ? why : "unknown error"));
}

static int open_archive(struct archive *archive, struct input *input, struct err *err)
{
	static int (*const supports[])(struct archive *) = {
		archive_read_support_format_tar,
		archive_read_support_filter_gzip,
		archive_read_support_filter_bzip2,
		archive_read_support_filter_xz,
		archive_read_support_filter_lzma,
		archive_read_support_filter_zstd,
		archive_read_support_filter_lz4,
	};

	for (size_t i = 0; i < ARRAY_SIZE(supports); i++)
		if (supports[i](archive) != ARCHIVE_OK)
			return damaged(archive, err);
	if (archive_read_open(archive, input, NULL, read_block, NULL) != ARCHIVE_OK)
		return damaged(archive, err);
	return 0;
}

/* tar ends in two blocks of zeros. The library takes the end of its input as an end too, but has
 * then read no further than the last entry. */
static int check_end(struct archive *archive, int64_t last_end, struct err *err)
{
	if (archive_filter_bytes(archive, 0) > last_end)
		return 0;
	return err_set(err, ERR_INVALID, NULL, "the archive is cut short: its end mark is missing");
}

static int extract_all(struct archive *archive, struct extract *x, struct err *err)
{
	struct archive_entry *entry;
	int64_t end = 0;
	int status, r = 0;

	for (;;) {
		status = archive_read_next_header(archive, &entry);
		if (status == ARCHIVE_EOF)
			break;
		if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
			return damaged(archive, err);
		r = extract_entry(x, archive, entry, err);
		if (r < 0)
			return r;
		/* The library leaves the padding of the last block for the next call. */
		end = archive_filter_bytes(archive, 0);
		end = (end + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	}
	if (x->entries == 0)
		return err_set(err, ERR_INVALID, NULL, "the archive is empty");
	r = check_end(archive, end, err);
	return r < 0 ? r : extract_end(x, err);
}

static int drain(struct archive *archive, struct input *input, struct err *err)
{
	const void *data;
	ssize_t n;

	while ((n = read_block(archive, input, &data)) > 0)
		;
	return n < 0 ? err_errno(err, errno, "cannot read the archive") : 0;
}

int archive_extract(int fd, struct extract *x, struct err *err)
{
	CLEANUP(archive_read_freep) struct archive *archive = archive_read_new();
	struct input input = {.fd = fd};
	int r;

	if (!archive)
		return err_errno(err, ENOMEM, "cannot read the archive");
	r = open_archive(archive, &input, err);
	if (r == 0)
		r = extract_all(archive, x, err);
	return r < 0 ? r : drain(archive, &input, err);
}
