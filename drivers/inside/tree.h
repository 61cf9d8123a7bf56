/* Files of a guest, for drivers whose guests' files this machine can reach: what driver_ops.file
 * asks for, done below a root of which nothing leads out, whatever links and races are prepared.
 *
 * Every path is resolved with RESOLVE_IN_ROOT; what is there is looked at by a descriptor that
 * opens nothing (O_PATH), and only regular files and directories are then opened, by that
 * descriptor: a device, FIFO or socket never is. */
#pragma once

#include <sys/stat.h>

#include "drivers/driver.h"

struct err;
struct json_t;

struct tree {
	int root; /* directory; O_PATH will do */
	int self; /* /proc/self/fd, opened in this process */
};

/* Opens the tree below a directory. Both descriptors are the caller's to close. */
int tree_open(const char *path, struct tree *ret, struct err *err);
void tree_close(struct tree *tree);

/* Does what `file` asks for; `ret` may be NULL. Blocks for as long as the file system or the other
 * end of file->fd does. A broken pipe is ERR_CANCELLED where SIGPIPE is ignored. */
int tree_do(const struct tree *tree, const struct driver_file *file, struct driver_file_info *ret,
	struct err *err);

/* --- For files that are reached otherwise: the same words ----------------------------------------
 */

/* ERR_NOT_FOUND, ERR_INVALID, ERR_ILLEGAL_STATE (path), ERR_NO_ROOM or ERR_CANCELLED by the errno.
 */
int tree_fail(struct err *err, int errnum, const char *path);

int tree_not_regular(struct err *err, const char *path); /* ERR_INVALID (path) */

/* ERR_INVALID (path) for what is not absolute, or too long; and for one that is to be made,
 * replaced or removed, what does not end in a name. */
int tree_check_path(const char *path, struct err *err);
int tree_check_name(const char *path, struct err *err);

void tree_describe(const struct stat *st, struct driver_file_info *ret);
/* An entry of a list, a new reference; `target` NULL: not a link. */
struct json_t *tree_entry(const char *name, const struct stat *st, const char *target);

/* For a write: what the file is to be where that was not said: as the one was that it replaces
 * (`old`, NULL: there is none), but for the bits that give rights to whoever executes it, which
 * other bytes do not inherit. ERR_INVALID (path) for what is not replaced. */
int tree_replaces(struct driver_file *file, const struct stat *old, struct err *err);

/* Takes all that is to be written into another file; errors as tree_check_whole, and ERR_NO_ROOM.
 */
int tree_take_whole(const struct driver_file *file, int fd, uint64_t *ret_size, struct err *err);

/* Whether so many bytes are all that was to be written. Waits for the word of who sends them. */
int tree_check_whole(const struct driver_file *file, uint64_t size, struct err *err);
