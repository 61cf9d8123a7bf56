/* Files and descriptors: whole reads and writes, atomic replacement, directories. Returns 0 or a
 * negative errno; nothing here logs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Writes all of it, over short writes and EINTR. */
int file_write_all(int fd, const void *data, size_t size);

/* A pipe whose ends are closed on exec, and have the flags beside. */
int file_pipe(int *ret_reader, int *ret_writer, int flags);

/* Reads a whole file of at most `max` bytes into a NUL-terminated allocation. -EFBIG beyond it.
 * `ret_size` may be NULL. */
int file_read(const char *path, size_t max, char **ret_text, size_t *ret_size);

/* The same, relative to a directory descriptor. */
int file_read_at(int dirfd, const char *path, size_t max, char **ret_text, size_t *ret_size);

/* The same, from where an open descriptor stands. */
int file_read_fd(int fd, size_t max, char **ret_text, size_t *ret_size);

/* Writes `text` into an existing file, as the kernel's control files want it: one write. */
int file_write(const char *path, const char *text);

/* Replaces or makes `path` with `text`: a crash leaves the old or the new file, never a part, and
 * at most a ".NAME.new" beside it, which the next one overwrites. One writer at a time. With
 * `durable` the file and its directory are synced before it returns. */
int file_replace(const char *path, const char *text, mode_t mode, bool durable);

/* mkdir -p; the directories that it makes get `mode`. Existing ones are left as they are; -ENOTDIR
 * where something else has the name. */
int file_mkdirs(const char *path, mode_t mode);

/* rm -rf of any depth, without following links or crossing into other file systems or mounts, bind
 * mounts included: -EXDEV, and what lies beyond is not touched (entries before it may be gone).
 * Absent is success. A path that ends in a slash or dots is -EINVAL. */
int file_remove_tree(const char *path);

/* snprintf for paths: -ENAMETOOLONG when it does not fit. */
int file_path(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
