/* Archives for tests, made in memory: honest ones by libarchive, hostile ones header by header. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct archive;

/* An archive being written; `filter` is "" for a plain tar, or "gzip", "xz", "zstd", "bzip2". */
struct tarball {
	struct archive *archive;
	int fd; /* a memory file with what was written */
};

void tarball_begin(struct tarball *t, const char *filter);
/* Ends it and returns its descriptor, rewound; the caller closes it. */
int tarball_end(struct tarball *t);

void tarball_dir(struct tarball *t, const char *name, mode_t mode);
void tarball_file(struct tarball *t, const char *name, mode_t mode, const char *text);
void tarball_symlink(struct tarball *t, const char *name, const char *target);
void tarball_hard_link(struct tarball *t, const char *name, const char *target);

/* Anything else: the entry type as for archive_entry_set_filetype. */
struct tarball_entry {
	const char *name;
	mode_t type, mode;
	int64_t uid, gid, mtime;
	const char *xattr_name, *xattr_value;
	size_t xattr_size;
	const char *data;
	size_t data_size;
	int64_t size; /* if not data_size: the rest is a hole */
};
void tarball_add(struct tarball *t, const struct tarball_entry *e);

/* A memory file with these bytes, rewound. */
int tarball_raw(const void *data, size_t size);

/* All bytes of a descriptor from its start; the caller frees. */
char *tarball_read(int fd, size_t *ret_size);

/* The archive that most tests import: a little root file system. */
int tarball_little(void);
