/* The control groups of guests, on hosts with cgroup v1, v2 or both.
 *
 * In every hierarchy a guest has corpus/ID with guest (its processes), monitor (liblxc's process)
 * and pivot (where a monitor goes to die). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/driver.h"

struct err;

#define CGROUP_ROOT	   "corpus"
#define CGROUP_ROOT_MAX	   160
#define CGROUP_HIERARCHIES 24

struct cgroup_hierarchy {
	char mount[96];
	bool v2;
	char controllers[160];		   /* ",cpu,memory," */
	char groups[96 + CGROUP_ROOT_MAX]; /* the directory of all guests' groups */
};

struct cgroups {
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES];
	size_t count;
	bool unified;		    /* only v2: its controllers are the ones to use */
	char root[CGROUP_ROOT_MAX]; /* of all guests' groups, from the mount: "corpus" */
};

/* Names the group that the guests' are made in ("corpus.slice/corpus-guests.service"): one that
 * systemd has delegated to us, and keeps its hands off. Without it they lie at the top. */
#define CGROUP_ENVIRONMENT "CORPUS_CGROUP"

/* From the text of /proc/PID/mountinfo; reads the controllers of v2 from its own file. */
void cgroups_parse(const char *mountinfo, struct cgroups *ret);
int cgroups_find(struct cgroups *ret, struct err *err);

/* The hierarchy that has the controller, or NULL. */
const struct cgroup_hierarchy *cgroups_with(const struct cgroups *cgroups, const char *controller);

/* Files of the guest's processes' group in the hierarchy of a controller. */
int cgroup_read(const struct cgroups *cgroups, const char *controller, const char *id,
	const char *file, char **ret);
int cgroup_write(const struct cgroups *cgroups, const char *controller, const char *id,
	const char *file, const char *value);

/* Kills all that is in the guest's groups and waits for its end, up to timeout_ms. */
int cgroup_kill_all(const struct cgroups *cgroups, const char *id, uint64_t timeout_ms);

/* Whether any process is in the guest's groups. */
bool cgroup_is_populated(const struct cgroups *cgroups, const char *id);

/* Removes the guest's groups, which must be empty; absent is success. */
int cgroup_remove(const struct cgroups *cgroups, const char *id);

/* Removes the group above those of all guests, where none is left in it. */
void cgroup_remove_root(const struct cgroups *cgroups);

/* Freezes or thaws the guest's processes and waits until they are. */
int cgroup_freeze(const struct cgroups *cgroups, const char *id, bool freeze);
bool cgroup_is_frozen(const struct cgroups *cgroups, const char *id);

/* Bytes that the guest uses and that cannot be taken from it: its page cache does not count. */
int cgroup_memory_used(const struct cgroups *cgroups, const char *id, uint64_t *ret);
