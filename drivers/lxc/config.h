/* liblxc's configuration of a guest, as text; used inside drivers/lxc only. Pure: everything that
 * it depends on is handed in. */
#pragma once

#include <stdint.h>

#include "drivers/cgroup/limits.h"
#include "drivers/driver.h"

struct lxc_config {
	const struct driver_guest *guest;
	uint32_t idmap_base, idmap_count;
	const char *seccomp; /* path of the profile */
	const char *log;     /* paths of the log and the console's */
	const char *console;
	const char *additions;	 /* checked lines, from files; NULL: none */
	int halt_signal;	 /* what asks its init to shut down */
	const char *cgroup_root; /* of all guests' groups */
	bool cgroup_v2;		 /* which of them keeps the devices */
	/* The kernel has AppArmor, and liblxc's own profile is not loaded: without a word of ours
	 * no guest would start. */
	bool apparmor_without_profile;
	struct limits_host limits; /* which of them keep which limit */
};

/* The text of lxc.container.conf(5); NULL when memory ran out. The caller frees it. */
char *lxc_config_render(const struct lxc_config *config);
