/* The processes of a running guest: its init, and its monitor, which is init's parent. Their
 * pids are kept in RUN_DIR/ID with the time of their start, which tells them from later processes
 * of the same pid; used inside drivers/lxc only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/lxc/instance.h"
#include "drivers/watch/watch.h"

struct lxc_process {
	pid_t pid; /* 0: none */
	uint64_t start;
};

struct lxc_runtime {
	struct lxc_process init, monitor;
	char disk[16]; /* as in struct driver_guest; "" when it is not known */
};

/* Whether exactly that process is there, and not only its remains. */
bool lxc_process_alive(const struct lxc_process *process);

/* What the run file says; all 0 when there is none. */
void runtime_load(const struct lxc_paths *paths, struct lxc_runtime *ret);

/* Finds the monitor of a running init and writes the run file. `disk` may be NULL. */
int runtime_save(const struct lxc_paths *paths, pid_t init, const char *disk, struct err *err);

/* What the guest is now. False when it is not defined. */
bool runtime_look(const struct lxc *lxc, const char *id, struct watch_look *ret);
