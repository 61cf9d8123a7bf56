/* Control groups: finding the hierarchies, and what is in the files of a group. */
#include "drivers/cgroup/cgroup.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#define FILE_MAX     (1024 * 1024)
#define WAIT_STEP_US 2000 /* between looks at a file that cannot be waited for */
#define REMOVE_FDS   8	  /* that may be open at once while groups are removed */

/* --- Hierarchies ----------------------------------------------------------------------------- */

/* "cpu memory\n" to ",cpu,memory,". */
static void read_v2_controllers(struct cgroup_hierarchy *h)
{
	char path[PATH_MAX];
	AUTOFREE char *text = NULL;

	h->controllers[0] = '\0';
	if (file_path(path, sizeof(path), "%s/cgroup.controllers", h->mount) < 0 ||
		file_read(path, FILE_MAX, &text, NULL) < 0)
		return;
	for (char *p = text; *p; p++)
		if (*p == ' ' || *p == '\n')
			*p = ',';
	snprintf(h->controllers, sizeof(h->controllers), ",%s", text);
}

/* One line of mountinfo (proc(5)): "36 35 98:0 /root /mount options … - type source options". */
static bool parse_mount(const char *line, struct cgroup_hierarchy *h)
{
	char root[PATH_MAX], mount[PATH_MAX], type[32], options[256];
	const char *tail = strstr(line, " - ");

	if (!tail || sscanf(line, "%*d %*d %*s %4095s %4095s", root, mount) != 2 ||
		sscanf(tail, " - %31s %*s %255s", type, options) != 2 || strcmp(root, "/") != 0 ||
		strlen(mount) >= sizeof(h->mount))
		return false;
	h->v2 = strcmp(type, "cgroup2") == 0;
	if (!h->v2 && strcmp(type, "cgroup") != 0)
		return false;
	memcpy(h->mount, mount, strlen(mount) + 1);
	/* Also holds "rw" and the like, which are no controllers and do no harm. */
	snprintf(h->controllers, sizeof(h->controllers), ",%.150s,", options);
	return true;
}

void cgroups_parse(const char *mountinfo, struct cgroups *ret)
{
	AUTOFREE char *copy = strdup(mountinfo);
	char *save = NULL;
	size_t v1 = 0;

	*ret = (struct cgroups){0};
	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL;
		line && ret->count < CGROUP_HIERARCHIES; line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_hierarchy *h = &ret->hierarchies[ret->count];

		if (!parse_mount(line, h))
			continue;
		if (h->v2)
			read_v2_controllers(h);
		else
			v1++;
		ret->count++;
	}
	ret->unified = ret->count > 0 && v1 == 0;
}

/* Whether the mount can be reached, and does not lie below another one. */
static bool is_on_top(const struct cgroup_hierarchy *h)
{
	struct statfs fs;

	return statfs(h->mount, &fs) == 0 &&
	       fs.f_type == (h->v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

int cgroups_find(struct cgroups *ret, struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = file_read("/proc/self/mountinfo", FILE_MAX, &text, NULL);
	struct cgroups all;

	if (r < 0)
		return err_errno(err, r, "cannot read /proc/self/mountinfo");
	cgroups_parse(text, &all);
	*ret = (struct cgroups){.unified = true};
	for (size_t i = 0; i < all.count; i++)
		if (is_on_top(&all.hierarchies[i])) {
			ret->unified &= all.hierarchies[i].v2;
			ret->hierarchies[ret->count++] = all.hierarchies[i];
		}
	ret->unified &= ret->count > 0;
	return 0;
}

const struct cgroup_hierarchy *cgroups_with(const struct cgroups *cgroups, const char *controller)
{
	char word[64];

	snprintf(word, sizeof(word), ",%s,", controller);
	for (size_t i = 0; i < cgroups->count; i++)
		if (strstr(cgroups->hierarchies[i].controllers, word))
			return &cgroups->hierarchies[i];
	return NULL;
}

/* --- Groups ----------------------------------------------------------------------------------- */

int cgroup_at(const struct cgroups *cgroups, const char *path, struct cgroup *ret)
{
	ret->cgroups = cgroups;
	for (size_t i = 0; i < cgroups->count; i++) {
		int r = file_path(ret->dirs[i], sizeof(ret->dirs[i]), "%s/%s",
			cgroups->hierarchies[i].mount, path);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The hierarchy of a line's list of controllers, which is empty for v2's. */
static ptrdiff_t hierarchy_of(const struct cgroups *cgroups, const char *list, size_t n)
{
	char word[64];

	for (size_t i = 0; i < cgroups->count && n == 0; i++)
		if (cgroups->hierarchies[i].v2)
			return (ptrdiff_t)i;
	snprintf(word, sizeof(word), ",%.*s,", (int)strcspn(list, ",:"), list);
	for (size_t i = 0; i < cgroups->count && n > 0; i++)
		if (!cgroups->hierarchies[i].v2 &&
			strstr(cgroups->hierarchies[i].controllers, word))
			return (ptrdiff_t)i;
	return -1;
}

/* How much of the path leads to the component that has the name in it; 0: none does. */
static size_t length_to(const char *path, size_t n, const char *name)
{
	const char *at = name ? memmem(path, n, name, strlen(name)) : NULL;

	if (!name)
		return n;
	return at ? (size_t)(at - path) + strcspn(at, "/\n") : 0;
}

/* A line is "3:cpu,cpuacct:/path", of v2 "0::/path". */
static int take_line(struct cgroup *g, const char *line, const char *name)
{
	const char *list = strchr(line, ':');
	const char *path = list ? strchr(list + 1, ':') : NULL;
	ptrdiff_t i;
	size_t n;

	if (!path)
		return 0;
	i = hierarchy_of(g->cgroups, list + 1, (size_t)(path - list - 1));
	path++;
	n = length_to(path, strcspn(path, "\n"), name);
	if (i < 0 || n == 0 || strncmp(path, "/..", 3) == 0)
		return 0;
	return file_path(g->dirs[i], sizeof(g->dirs[i]), "%s%.*s", g->cgroups->hierarchies[i].mount,
		(int)n, path);
}

int cgroup_parse(
	const struct cgroups *cgroups, const char *text, const char *name, struct cgroup *ret)
{
	bool any = false;

	ret->cgroups = cgroups;
	for (size_t i = 0; i < cgroups->count; i++)
		ret->dirs[i][0] = '\0';
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		int r = take_line(ret, line, name);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < cgroups->count; i++)
		any |= ret->dirs[i][0] != '\0';
	return any ? 0 : -ENOENT;
}

int cgroup_of_process(
	const struct cgroups *cgroups, pid_t pid, const char *name, struct cgroup *ret)
{
	AUTOFREE char *text = NULL;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	r = file_read(path, FILE_MAX, &text, NULL);
	return r < 0 ? r : cgroup_parse(cgroups, text, name, ret);
}

/* --- Files of a group --------------------------------------------------------------------------
 */

int cgroup_path(const struct cgroup *g, const struct cgroup_hierarchy *h, const char *file,
	char buf[static PATH_MAX])
{
	const char *dir = g->dirs[h - g->cgroups->hierarchies];

	if (!*dir)
		return -ENOENT;
	return file_path(buf, PATH_MAX, "%s%s%s", dir, *file ? "/" : "", file);
}

int cgroup_read(const struct cgroup *g, const char *controller, const char *file, char **ret)
{
	const struct cgroup_hierarchy *h = cgroups_with(g->cgroups, controller);
	char path[PATH_MAX];
	int r = h ? cgroup_path(g, h, file, path) : -EOPNOTSUPP;

	return r < 0 ? r : file_read(path, FILE_MAX, ret, NULL);
}

int cgroup_write(
	const struct cgroup *g, const char *controller, const char *file, const char *value)
{
	const struct cgroup_hierarchy *h = cgroups_with(g->cgroups, controller);
	char path[PATH_MAX];
	int r = h ? cgroup_path(g, h, file, path) : -EOPNOTSUPP;

	return r < 0 ? r : file_write(path, value);
}

/* The number after `key` in a file of "key number" lines. */
static uint64_t stat_value(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoull(p + n, NULL, 10);
	}
	return 0;
}

int cgroup_memory_used(const struct cgroup *g, uint64_t *ret)
{
	const struct cgroup_hierarchy *h = cgroups_with(g->cgroups, "memory");
	AUTOFREE char *usage = NULL, *stat = NULL;
	uint64_t used, cache;
	int r;

	if (!h)
		return -EOPNOTSUPP;
	r = cgroup_read(g, "memory", h->v2 ? "memory.current" : "memory.usage_in_bytes", &usage);
	if (r == 0)
		r = cgroup_read(g, "memory", "memory.stat", &stat);
	if (r < 0)
		return r;
	used = strtoull(usage, NULL, 10);
	cache = h->v2 ? stat_value(stat, "active_file") + stat_value(stat, "inactive_file")
		      : stat_value(stat, "total_active_file") +
				stat_value(stat, "total_inactive_file");
	*ret = used > cache ? used - cache : 0;
	return 0;
}

/* --- Freezing -------------------------------------------------------------------------------- */

static int frozen_v1(const struct cgroup *g)
{
	AUTOFREE char *text = NULL;
	int r = cgroup_read(g, "freezer", "freezer.state", &text);

	return r < 0 ? r : strcmp(text, "FROZEN\n") == 0;
}

/* The v2 hierarchy, where it is the one that freezes. */
static const struct cgroup_hierarchy *v2_freezer(const struct cgroup *g)
{
	const struct cgroups *cgroups = g->cgroups;

	if (cgroups_with(cgroups, "freezer"))
		return NULL;
	for (size_t i = 0; i < cgroups->count; i++)
		if (cgroups->hierarchies[i].v2)
			return &cgroups->hierarchies[i];
	return NULL;
}

static int frozen_v2(const struct cgroup *g, const struct cgroup_hierarchy *h)
{
	AUTOFREE char *text = NULL;
	char path[PATH_MAX];
	int r = cgroup_path(g, h, "cgroup.events", path);

	if (r == 0)
		r = file_read(path, FILE_MAX, &text, NULL);
	return r < 0 ? r : stat_value(text, "frozen") == 1;
}

int cgroup_frozen(const struct cgroup *g)
{
	const struct cgroup_hierarchy *h = v2_freezer(g);

	return h ? frozen_v2(g, h) : frozen_v1(g);
}

static int ask_to_freeze(const struct cgroup *g, bool freeze)
{
	const struct cgroup_hierarchy *h = v2_freezer(g);
	char path[PATH_MAX];
	int r;

	if (!h)
		return cgroup_write(g, "freezer", "freezer.state", freeze ? "FROZEN" : "THAWED");
	r = cgroup_path(g, h, "cgroup.freeze", path);
	return r == 0 ? file_write(path, freeze ? "1" : "0") : r;
}

int cgroup_freeze(const struct cgroup *g, bool freeze)
{
	int64_t end = clock_monotonic_ns() + 5000 * 1000000LL;

	/* v1 wants to be asked again while processes come and go. */
	for (;;) {
		int r = ask_to_freeze(g, freeze);

		if (r < 0)
			return r;
		if (cgroup_frozen(g) == freeze)
			return 0;
		if (clock_monotonic_ns() >= end)
			return -ETIMEDOUT;
		usleep(WAIT_STEP_US);
	}
}

/* --- Removing -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)at;
	if (kind == FTW_DP)
		rmdir(path);
	return 0;
}

void cgroup_remove(const char *path)
{
	nftw(path, remove_one, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
}
