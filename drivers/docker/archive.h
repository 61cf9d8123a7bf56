/* Files of a container as dockerd gives and takes them, whether it runs or not: as tar (Docker
 * Engine API, "Get an archive of a filesystem resource in a container"); read and written by
 * libarchive. Paths are resolved by dockerd, inside of the container's root; used by file_stopped.c
 * only, in a process that ignores SIGPIPE. */
#pragma once

#include <archive_entry.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "drivers/docker/inside.h"

struct err;
struct archive_reader;

/* Begins to read what has that path; a link itself. ERR_NOT_FOUND, ERR_INVALID (path) and the like.
 */
int archive_begin(
	const struct inside *in, const char *path, struct archive_reader **ret, struct err *err);
/* Of a link: what it leads to in the end, inside of the container; allocated. Reads all of it. */
int archive_target(struct archive_reader *reader, char **ret, struct err *err);
/* The next entry, which lives until the one after it: 1, 0 at the end. */
int archive_next(struct archive_reader *reader, struct archive_entry **ret, struct err *err);
/* The bytes of the entry go to a descriptor. */
int archive_copy(struct archive_reader *reader, int fd, const char *path, struct err *err);
/* Accepts NULL, returns NULL; what was not read yet is not waited for. */
struct archive_reader *archive_end(struct archive_reader *reader);

DEFINE_CLEANUP(struct archive_reader *, archive_end)

/* What an entry is. */
void archive_stat(struct archive_entry *entry, struct stat *ret);

/* Puts one file or directory into a directory that is there; `st` says what it is to be, and how
 * many bytes of `fd` it has. */
int archive_put(const struct inside *in, const char *directory, const char *name,
	const struct stat *st, int fd, struct err *err);
