/* Control groups of guests: finding the hierarchies, and what is in them. */
#include "drivers/cgroup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"

#define FILE_MAX     (1024 * 1024)
#define REMOVE_MS    2000
#define WAIT_STEP_NS 2000000L /* between looks at a file that cannot be waited for */

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
}

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

/* `parent`: where the guests' groups are made, or "" for the top. */
static void place_groups(struct cgroups *c, const char *parent)
{
	char root[CGROUP_ROOT_MAX];

	snprintf(root, sizeof(root), "%.*s%s" CGROUP_ROOT,
		CGROUP_ROOT_MAX - (int)sizeof("/" CGROUP_ROOT), parent, *parent ? "/" : "");
	for (size_t i = 0; i < c->count; i++)
		(void)file_path(c->hierarchies[i].groups, sizeof(c->hierarchies[i].groups), "%s/%s",
			c->hierarchies[i].mount, root);
	memcpy(c->root, root, sizeof(root));
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
	place_groups(ret, "");
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
	const char *parent = getenv(CGROUP_ENVIRONMENT);
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
	place_groups(ret, parent ? parent : "");
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

static int group_path(const struct cgroup_hierarchy *h, const char *id, const char *rest, char *buf)
{
	return file_path(buf, PATH_MAX, "%s/%s%s", h->groups, id, rest);
}

/* --- Files of the guest's own group ---------------------------------------------------------- */

static int file_of(const struct cgroup_hierarchy *h, const char *id, const char *file, char *buf)
{
	return file_path(buf, PATH_MAX, "%s/%s/guest/%s", h->groups, id, file);
}

int cgroup_read(const struct cgroups *cgroups, const char *controller, const char *id,
	const char *file, char **ret)
{
	const struct cgroup_hierarchy *h = cgroups_with(cgroups, controller);
	char path[PATH_MAX];
	int r = h ? file_of(h, id, file, path) : -EOPNOTSUPP;

	return r < 0 ? r : file_read(path, FILE_MAX, ret, NULL);
}

int cgroup_write(const struct cgroups *cgroups, const char *controller, const char *id,
	const char *file, const char *value)
{
	const struct cgroup_hierarchy *h = cgroups_with(cgroups, controller);
	char path[PATH_MAX];
	int r = h ? file_of(h, id, file, path) : -EOPNOTSUPP;

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

int cgroup_memory_used(const struct cgroups *cgroups, const char *id, uint64_t *ret)
{
	const struct cgroup_hierarchy *h = cgroups_with(cgroups, "memory");
	AUTOFREE char *usage = NULL, *stat = NULL;
	uint64_t used, cache;
	int r;

	if (!h)
		return -EOPNOTSUPP;
	r = cgroup_read(
		cgroups, "memory", id, h->v2 ? "memory.current" : "memory.usage_in_bytes", &usage);
	if (r == 0)
		r = cgroup_read(cgroups, "memory", id, "memory.stat", &stat);
	if (r < 0)
		return r;
	used = strtoull(usage, NULL, 10);
	cache = h->v2 ? stat_value(stat, "active_file") + stat_value(stat, "inactive_file")
		      : stat_value(stat, "total_active_file") +
				stat_value(stat, "total_inactive_file");
	*ret = used > cache ? used - cache : 0;
	return 0;
}

/* --- Trees of groups ------------------------------------------------------------------------- */

typedef int (*visit_fn)(int dirfd, const struct cgroup_hierarchy *h, void *data);

static bool is_group(const struct dirent *e)
{
	return e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* Visits a group's directory, children first. */
static int walk(
	int parent, const char *name, const struct cgroup_hierarchy *h, visit_fn visit, void *data)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(closedirp) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(dir))) {
		if (!is_group(e))
			continue;
		int child = walk(fd, e->d_name, h, visit, data);

		r = r < 0 ? r : child;
	}
	int own = visit(fd, h, data);

	return r < 0 ? r : own;
}

static int walk_all(const struct cgroups *cgroups, const char *id, visit_fn visit, void *data)
{
	int r = 0;

	for (size_t i = 0; i < cgroups->count; i++) {
		char path[PATH_MAX];
		const struct cgroup_hierarchy *h = &cgroups->hierarchies[i];
		int one = group_path(h, id, "", path);

		if (one == 0)
			one = walk(AT_FDCWD, path, h, visit, data);
		r = r < 0 ? r : one;
	}
	return r;
}

/* Counts the processes of a group, and kills them if `data` says so. */
struct tally {
	bool kill;
	size_t count;
};

/* liblxc moves also the process that starts a guest into the monitor's group. */
static void leave_group(const struct cgroup_hierarchy *h)
{
	char path[PATH_MAX];

	if (file_path(path, sizeof(path), "%s/cgroup.procs", h->mount) == 0)
		file_write(path, "0");
}

static int tally_group(int dirfd, const struct cgroup_hierarchy *h, void *data)
{
	struct tally *t = data;
	AUTOFREE char *text = NULL;
	int r = file_read_at(dirfd, "cgroup.procs", FILE_MAX, &text, NULL);
	char *save = NULL;

	for (char *p = r == 0 ? strtok_r(text, "\n", &save) : NULL; p;
		p = strtok_r(NULL, "\n", &save)) {
		uint64_t pid = 0;

		if (parse_u64(p, INT_MAX, &pid) < 0 || pid <= 1)
			continue;
		if ((pid_t)pid == getpid()) {
			leave_group(h);
			continue;
		}
		t->count++;
		if (t->kill)
			kill((pid_t)pid, SIGKILL);
	}
	return 0;
}

bool cgroup_is_populated(const struct cgroups *cgroups, const char *id)
{
	struct tally t = {0};

	walk_all(cgroups, id, tally_group, &t);
	return t.count > 0;
}

int cgroup_kill_all(const struct cgroups *cgroups, const char *id, uint64_t timeout_ms)
{
	int64_t end = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;

	for (;;) {
		struct tally t = {.kill = true};

		walk_all(cgroups, id, tally_group, &t);
		if (t.count == 0)
			return 0;
		/* What is frozen by v1 dies only when it is thawed. */
		cgroup_write(cgroups, "freezer", id, "freezer.state", "THAWED");
		if (clock_monotonic_ns() >= end)
			return -ETIMEDOUT;
		pause_briefly();
	}
}

static int remove_children(int dirfd, const struct cgroup_hierarchy *h, void *data)
{
	CLEANUP(closedirp) DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_CLOEXEC));
	struct dirent *e;

	(void)h;
	(void)data;
	while (dir && (e = readdir(dir)))
		if (is_group(e) && unlinkat(dirfd, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

static int try_remove(const struct cgroups *cgroups, const char *id)
{
	int r = walk_all(cgroups, id, remove_children, NULL);

	for (size_t i = 0; i < cgroups->count; i++) {
		char path[PATH_MAX];

		if (group_path(&cgroups->hierarchies[i], id, "", path) == 0 && rmdir(path) < 0 &&
			errno != ENOENT && r == 0)
			r = -errno;
	}
	return r;
}

int cgroup_remove(const struct cgroups *cgroups, const char *id)
{
	int64_t end = clock_monotonic_ns() + REMOVE_MS * 1000000LL;
	int r;

	/* A process that has ended leaves its group only when it has been switched from. */
	while ((r = try_remove(cgroups, id)) == -EBUSY && clock_monotonic_ns() < end)
		pause_briefly();
	return r;
}

void cgroup_remove_root(const struct cgroups *cgroups)
{
	for (size_t i = 0; i < cgroups->count; i++)
		rmdir(cgroups->hierarchies[i].groups);
}

/* --- Freezing -------------------------------------------------------------------------------- */

static bool frozen_v1(const struct cgroups *cgroups, const char *id)
{
	AUTOFREE char *text = NULL;

	return cgroup_read(cgroups, "freezer", id, "freezer.state", &text) == 0 &&
	       strcmp(text, "FROZEN\n") == 0;
}

/* The v2 hierarchy, where it is the one that freezes. */
static const struct cgroup_hierarchy *v2_freezer(const struct cgroups *cgroups)
{
	if (cgroups_with(cgroups, "freezer"))
		return NULL;
	for (size_t i = 0; i < cgroups->count; i++)
		if (cgroups->hierarchies[i].v2)
			return &cgroups->hierarchies[i];
	return NULL;
}

static bool frozen_v2(const struct cgroup_hierarchy *h, const char *id)
{
	AUTOFREE char *text = NULL;
	char path[PATH_MAX];

	return file_of(h, id, "cgroup.events", path) == 0 &&
	       file_read(path, FILE_MAX, &text, NULL) == 0 && stat_value(text, "frozen") == 1;
}

bool cgroup_is_frozen(const struct cgroups *cgroups, const char *id)
{
	const struct cgroup_hierarchy *h = v2_freezer(cgroups);

	return h ? frozen_v2(h, id) : frozen_v1(cgroups, id);
}

static int ask_to_freeze(const struct cgroups *cgroups, const char *id, bool freeze)
{
	const struct cgroup_hierarchy *h = v2_freezer(cgroups);
	char path[PATH_MAX];

	if (!h)
		return cgroup_write(
			cgroups, "freezer", id, "freezer.state", freeze ? "FROZEN" : "THAWED");
	if (file_of(h, id, "cgroup.freeze", path) < 0)
		return -ENAMETOOLONG;
	return file_write(path, freeze ? "1" : "0");
}

int cgroup_freeze(const struct cgroups *cgroups, const char *id, bool freeze)
{
	int64_t end = clock_monotonic_ns() + 5000 * 1000000LL;

	/* v1 wants to be asked again while processes come and go. */
	for (;;) {
		int r = ask_to_freeze(cgroups, id, freeze);

		if (r < 0)
			return r;
		if (cgroup_is_frozen(cgroups, id) == freeze)
			return 0;
		if (clock_monotonic_ns() >= end)
			return -ETIMEDOUT;
		pause_briefly();
	}
}
