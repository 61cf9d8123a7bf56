/* The groups of LXC guests. */
#include "drivers/lxc/groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"

#define FILE_MAX     (1024 * 1024)
#define REMOVE_MS    10000
#define WAIT_STEP_US 2000 /* between looks at a file that cannot be waited for */

int groups_find(struct groups *ret, struct err *err)
{
	const char *parent = getenv(GROUPS_ENVIRONMENT);

	snprintf(ret->root, sizeof(ret->root), "%.*s%s" GROUPS_ROOT,
		GROUPS_ROOT_MAX - (int)sizeof("/" GROUPS_ROOT), parent ? parent : "",
		parent && *parent ? "/" : "");
	return cgroups_find(&ret->cgroups, err);
}

int groups_of(const struct groups *groups, const char *id, struct cgroup *ret)
{
	char path[GROUPS_ROOT_MAX + 64];
	int r = file_path(path, sizeof(path), "%s/%s/guest", groups->root, id);

	return r < 0 ? r : cgroup_at(&groups->cgroups, path, ret);
}

/* The directory of all groups of a guest, in one hierarchy. */
static int groups_path(
	const struct groups *groups, size_t i, const char *id, char buf[static PATH_MAX])
{
	return file_path(
		buf, PATH_MAX, "%s/%s/%s", groups->cgroups.hierarchies[i].mount, groups->root, id);
}

void groups_join_monitor(const struct groups *groups, const char *id)
{
	char path[PATH_MAX], dir[PATH_MAX];

	for (size_t i = 0; i < groups->cgroups.count; i++)
		if (groups_path(groups, i, id, dir) == 0 &&
			file_path(path, sizeof(path), "%s/monitor/cgroup.procs", dir) == 0)
			file_write(path, "0"); /* gone with the guest, perhaps */
}

bool groups_are_frozen(const struct groups *groups, const char *id)
{
	struct cgroup guest;

	return groups_of(groups, id, &guest) == 0 && cgroup_frozen(&guest) == 1;
}

int groups_freeze(const struct groups *groups, const char *id, bool freeze)
{
	struct cgroup guest;
	int r = groups_of(groups, id, &guest);

	return r < 0 ? r : cgroup_freeze(&guest, freeze);
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

static int walk_all(const struct groups *groups, const char *id, visit_fn visit, void *data)
{
	int r = 0;

	for (size_t i = 0; i < groups->cgroups.count; i++) {
		char path[PATH_MAX];
		const struct cgroup_hierarchy *h = &groups->cgroups.hierarchies[i];
		int one = groups_path(groups, i, id, path);

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

bool groups_are_populated(const struct groups *groups, const char *id)
{
	struct tally t = {0};

	walk_all(groups, id, tally_group, &t);
	return t.count > 0;
}

int groups_kill_all(const struct groups *groups, const char *id, uint64_t timeout_ms)
{
	int64_t end = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
	struct cgroup guest;

	for (;;) {
		struct tally t = {.kill = true};

		walk_all(groups, id, tally_group, &t);
		if (t.count == 0)
			return 0;
		/* What is frozen by v1 dies only when it is thawed. */
		if (groups_of(groups, id, &guest) == 0)
			cgroup_write(&guest, "freezer", "freezer.state", "THAWED");
		if (clock_monotonic_ns() >= end)
			return -ETIMEDOUT;
		usleep(WAIT_STEP_US);
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

static int try_remove(const struct groups *groups, const char *id)
{
	int r = walk_all(groups, id, remove_children, NULL);

	for (size_t i = 0; i < groups->cgroups.count; i++) {
		char path[PATH_MAX];

		if (groups_path(groups, i, id, path) == 0 && rmdir(path) < 0 && errno != ENOENT &&
			r == 0)
			r = -errno;
	}
	return r;
}

int groups_remove(const struct groups *groups, const char *id)
{
	int64_t end = clock_monotonic_ns() + REMOVE_MS * 1000000LL;
	int r;

	/* A process that has ended leaves its group only when it has been switched from. */
	while ((r = try_remove(groups, id)) == -EBUSY && clock_monotonic_ns() < end)
		usleep(WAIT_STEP_US);
	return r;
}
