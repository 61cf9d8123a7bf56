/* Processes that belong to no call and outlive the driver: what waits for a command, what follows a
 * console. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Forks a process in a session of its own whose parent is init. 0: this is it; 1: it has been
 * started, and whatever ends this call's process group does not meet it; or a negative errno. */
int apart_fork(void);

/* Closes all descriptors but these (-1 for none), which become 0, 1, 2… in their order, to be
 * closed on exec. */
void apart_keep_only(int *const *fds, size_t count);
