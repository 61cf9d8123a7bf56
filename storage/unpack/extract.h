/* Makes the entries of an archive below the root directory, never through a link. */
#pragma once

#include <stdint.h>
#include <time.h>

struct archive;
struct archive_entry;
struct err;

/* Owners and groups are 0 to this, less one: what a guest's id map holds. */
#define UNPACK_IDS 65536U

struct extract_limits {
	uint64_t size; /* bytes of all files together */
	uint64_t entries;
};

struct extract_directory {
	char *path;
	struct timespec mtime;
};

struct extract {
	struct extract_limits limits;
	uint64_t size, entries; /* so far */
	int root;
	int parent; /* of the entry made last, kept for the next */
	char *parent_path;
	/* Their times are set at the end, when nothing is made in them any more. */
	struct extract_directory *directories;
	size_t directories_count, directories_room;
};

int extract_init(struct extract *x, const struct extract_limits *limits, struct err *err);
void extract_finish(struct extract *x);

/* Makes one entry; the data of a regular file is read from `archive`. */
int extract_entry(
	struct extract *x, struct archive *archive, struct archive_entry *entry, struct err *err);

/* After the last entry. */
int extract_end(struct extract *x, struct err *err);
