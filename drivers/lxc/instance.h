/* An instance of the LXC driver, and where it keeps what; used inside drivers/lxc only. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "drivers/dirs.h"
#include "drivers/driver.h"
#include "drivers/lxc/groups.h"

struct err;
struct watch;

struct lxc {
	struct driver driver; /* first */
	/* state: ID/guest.json. run: ID/config; ID/pids of what runs; ID/starting: the monitor of a
	 * start that is or was under way; ID/exit: how init ended. log: ID.log of liblxc,
	 * ID.console of the guest, rotated to .1 */
	struct dirs dirs;
	char *seccomp; /* path of the profile */
	uint32_t idmap_base, idmap_count;
	struct groups groups;
	struct watch *watch;
};

/* Paths of one guest. */
struct lxc_paths {
	char state[PATH_MAX]; /* directory */
	char definition[PATH_MAX];
	char run[PATH_MAX]; /* directory */
	char config[PATH_MAX];
	char pids[PATH_MAX];
	char starting[PATH_MAX];
	char exit[PATH_MAX];
	char log[PATH_MAX];
	char console[PATH_MAX];
	char console_older[PATH_MAX]; /* what the monitor has rotated it to */
};

/* ERR_INVALID for an id that cannot be ours. */
int lxc_paths(const struct lxc *lxc, const char *id, struct lxc_paths *p, struct err *err);
