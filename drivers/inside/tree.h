/* Files of a guest, for drivers whose guests' files this machine can reach: what driver_ops.file
 * asks for, done below a root of which nothing leads out, whatever links and races are prepared.
 *
 * Every path is resolved with RESOLVE_IN_ROOT; what is there is looked at by a descriptor that
 * opens nothing (O_PATH), and only regular files and directories are then opened, by that
 * descriptor: a device, FIFO or socket never is. */
#pragma once

#include "drivers/driver.h"

struct err;

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
