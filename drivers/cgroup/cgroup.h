/* The control groups of guests, on hosts with cgroup v1, v2 or both: shared by drivers whose guests
 * are processes in groups of their own. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define CGROUP_HIERARCHIES 24
#define CGROUP_MOUNT_MAX   96
#define CGROUP_DIR_MAX	   512

struct cgroup_hierarchy {
	char mount[CGROUP_MOUNT_MAX];
	bool v2;
	char controllers[160]; /* ",cpu,memory," */
};

/* What the host has. */
struct cgroups {
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES];
	size_t count;
	bool unified; /* only v2: its controllers are the ones to use */
};

/* From the text of /proc/PID/mountinfo; reads the controllers of v2 from its own file. */
void cgroups_parse(const char *mountinfo, struct cgroups *ret);
int cgroups_find(struct cgroups *ret, struct err *err);

/* The hierarchy that has the controller, or NULL. */
const struct cgroup_hierarchy *cgroups_with(const struct cgroups *cgroups, const char *controller);

/* One group, in each of the hierarchies. */
struct cgroup {
	const struct cgroups *cgroups;
	char dirs[CGROUP_HIERARCHIES][CGROUP_DIR_MAX]; /* "": it is in none there */
};

/* That of a path below the mounts, the same in all of them; it need not be there. */
int cgroup_at(const struct cgroups *cgroups, const char *path, struct cgroup *ret);

/* That of a process. With `name` it is the one that has this in its name, and the process may be in
 * a group below: who is let alone in a guest makes groups of its own. -ENOENT when there is none.
 */
int cgroup_of_process(
	const struct cgroups *cgroups, pid_t pid, const char *name, struct cgroup *ret);
/* The same, of the text of /proc/PID/cgroup (cgroups(7)). */
int cgroup_parse(
	const struct cgroups *cgroups, const char *text, const char *name, struct cgroup *ret);

/* The path of a file in the group, of the group itself with "". -ENOENT where there is none. */
int cgroup_path(const struct cgroup *group, const struct cgroup_hierarchy *hierarchy,
	const char *file, char buf[static PATH_MAX]);

/* Removes a group and those below it, by its path in a hierarchy that is mounted; those with
 * processes in them stay. */
void cgroup_remove(const char *path);

/* Files of the group in the hierarchy of a controller. -EOPNOTSUPP where the host has none. */
int cgroup_read(const struct cgroup *group, const char *controller, const char *file, char **ret);
int cgroup_write(
	const struct cgroup *group, const char *controller, const char *file, const char *value);

/* Freezes or thaws the processes and waits until they are. */
int cgroup_freeze(const struct cgroup *group, bool freeze);
/* Whether they are: 1 or 0, or a negative errno where that cannot be told. */
int cgroup_frozen(const struct cgroup *group);

/* Bytes that are used and cannot be taken away: page cache does not count. */
int cgroup_memory_used(const struct cgroup *group, uint64_t *ret);
