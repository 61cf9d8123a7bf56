/* Commands in containers: driver_ops.exec. dockerd runs them and hands over a connection that
 * carries what they read and write; a process of its own, the carrier, takes that to the command's
 * streams on the node, outlives the driver, and ends with the command or its guest. What is
 * returned is the command's own pid. */
#pragma once

#include "drivers/docker/inside.h"

struct err;
struct json_t;
struct user;

int docker_exec(
	const struct inside *in, const struct driver_exec *exec, pid_t *ret_pid, struct err *err);

/* --- Texts: used by exec only ----------------------------------------------------------------- */

/* Keys that dockerd would take for a wish to leave a terminal, and withhold: such as nobody types.
 */
#define EXEC_DETACH_KEYS "ctrl-^,ctrl-^,ctrl-],ctrl-_,ctrl-^,ctrl-],ctrl-_,ctrl-^"

/* What dockerd is asked to run; a new reference. `info` is the container, `user` who it is to be by
 * the guest's own tables, `home` whether there is such a directory. ERR_INVALID (env). */
int exec_body(const struct driver_exec *exec, const json_t *info, const struct user *user,
	bool home, json_t **ret, struct err *err);

/* Why a command was not executed, by the words of dockerd and runc. */
int exec_explain(const struct driver_exec *exec, const char *words, struct err *err);

/* A wait status of the code by which dockerd tells of an end: what a signal ended has 128 more than
 * its number. (So has a command that exits with such a code by itself: it cannot be told apart.) */
int exec_status(int64_t code);
