/* Where an upload's bytes come from: a file, standard input, a directory packed on the way, or the
 * output of another program. All are read from a descriptor; whether they were whole is known only
 * at the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct source;

/* A file, or "-" for standard input. */
int source_open_file(const char *path, struct source **ret, struct err *err);

/* A tar archive (pax) of a directory: owners by number, extended attributes, hard links; other file
 * systems mounted below it are left out, as are sockets. */
int source_open_directory(const char *path, struct source **ret, struct err *err);

/* Standard output of a program, which ends with NULL; its standard error is ours. */
int source_open_program(const char *const *argv, struct source **ret, struct err *err);

/* Stops what still runs. Accepts NULL, returns NULL. */
struct source *source_close(struct source *source);
void source_closep(struct source **source);

/* Bytes read (> 0), 0 at a good end, or a negative errno: also when all was read but whatever made
 * it failed. */
int64_t source_read(struct source *source, void *buf, uint64_t size, struct err *err);

/* Bytes in all, or -1 when that is not known before the end. */
int64_t source_size(const struct source *source);

/* Begins anew; false when it cannot. */
bool source_rewind(struct source *source);
