/* Control groups of ordinary files below a directory of one's own: what is written into them stays,
 * and the kernel has no say. For tests of what is written and read, on hosts of any kind. */
#pragma once

#include "drivers/cgroup/cgroup.h"

#define GROUPS_GUEST "corpus/0123456789ab/guest"

/* Makes a hierarchy with the guest's group in it. `controllers`: ",cpu,cpuacct,". */
void groups_add(const char *name, bool v2, const char *controllers);
const struct cgroups *groups(void);
/* The guest's group. */
const struct cgroup *groups_guest(void);

/* Files of the guest's group: "memory/memory.max". */
void groups_put(const char *file, const char *text);
void groups_remove(const char *file);
/* Has something in a file's place that cannot be written. */
void groups_jam(const char *file);
const char *groups_text(const char *file);

/* As setup and teardown of a test. */
int groups_begin(void **state);
int groups_end(void **state);
