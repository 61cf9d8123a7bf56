/* Commands inside guests, from the last steps before their execution to their end. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/driver.h"

struct err;

/* Three take part: the command; what waits for its end, which is its parent; and the call that
 * wants it. Two pipes lead from each to the next: the command tells how it failed, or by closing
 * its pipe that it has been executed; and the call is told one of pid and failure. */

/* In what is to be the command, which stands where it is to run already and has its standard
 * descriptors at 0, 1 and 2: finds the user below `root`, takes the terminal, and executes. Does
 * not return. A failure is told by `failure`, to be closed on exec. Nothing is executed when nobody
 * reads from the pipe to the call any more. */
void command_become(const struct driver_exec *exec, int root, int failure, int call)
	__attribute__((noreturn));

/* In what waits, once the command's end of `failure` is the only one: tells the call what has
 * become of it. Does not return when it failed. */
void command_tell(pid_t pid, int failure, int call);
void command_tell_failure(int fd, const struct err *error);
/* That it runs, and which process stands for it on this node; false when nobody reads it. */
bool command_tell_started(pid_t pid, int call);

/* Waits for the end of a child and tells its wait status. Does not return. */
void command_wait(pid_t pid, int status_fd) __attribute__((noreturn));

/* In the call: starts a process that belongs to no call and runs `be`, which does not return and
 * tells by `call` what becomes of the command; waits for that word. */
int command_start(void (*be)(void *data, int call), void *data, pid_t *ret_pid, struct err *err);
