/* The processes of a running guest. */
#include "drivers/lxc/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/cgroup/limits.h"
#include "drivers/definition.h"
#include "drivers/lxc/define.h"
#include "drivers/lxc/monitor.h"

#define STAT_MAX 4096

/* State and parent of a process (proc(5), stat); false when it is gone. */
static bool read_stat(pid_t pid, char *state, pid_t *parent)
{
	AUTOFREE char *text = NULL;
	const char *after;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(path, STAT_MAX, &text, NULL) < 0)
		return false;
	after = strrchr(text, ')');
	return after && sscanf(after + 1, " %c %d", state, parent) == 2;
}

bool lxc_process_alive(const struct lxc_process *p)
{
	uint64_t start;
	pid_t parent;
	char state;

	return p->pid > 0 && process_start_time(p->pid, &start) == 0 && start == p->start &&
	       read_stat(p->pid, &state, &parent) && state != 'Z' && state != 'X';
}

void runtime_load(const struct lxc_paths *paths, struct lxc_runtime *ret)
{
	struct lxc_runtime r = {0};
	AUTOFREE char *text = NULL;

	*ret = (struct lxc_runtime){0};
	if (file_read(paths->pids, STAT_MAX, &text, NULL) == 0 &&
		sscanf(text, "%d %" SCNu64 " %d %" SCNu64 " %15s", &r.init.pid, &r.init.start,
			&r.monitor.pid, &r.monitor.start, r.disk) >= 4)
		*ret = r;
}

int runtime_save(const struct lxc_paths *paths, pid_t init, const char *disk, struct err *err)
{
	struct lxc_runtime now = {.init.pid = init};
	AUTOFREE char *text = NULL;
	char state;
	int r;

	if (!read_stat(init, &state, &now.monitor.pid) ||
		process_start_time(init, &now.init.start) < 0 ||
		process_start_time(now.monitor.pid, &now.monitor.start) < 0)
		return err_set(err, ERR_DRIVER, NULL, "the guest's init ended at once");
	r = asprintf(&text, "%d %" PRIu64 " %d %" PRIu64 " %s\n", now.init.pid, now.init.start,
		now.monitor.pid, now.monitor.start, disk ? disk : "");
	r = r < 0 ? -ENOMEM : file_replace(paths->pids, text, 0600, false);
	return r < 0 ? err_errno(err, r, "cannot write %s", paths->pids) : 0;
}

/* A guest that reboots gets another init of the same monitor. Its first child is it. */
static pid_t child_of(pid_t monitor)
{
	AUTOFREE char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", monitor, monitor);
	if (file_read(path, STAT_MAX, &text, NULL) < 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

/* Whether a child of the monitor runs a program of its own: until then it is the monitor's copy,
 * in which liblxc prepares the guest. */
static bool has_executed(pid_t child, pid_t monitor)
{
	char path[64], own[PATH_MAX] = "", other[PATH_MAX] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", child);
	if (readlink(path, own, sizeof(own) - 1) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", monitor);
	return readlink(path, other, sizeof(other) - 1) > 0 && strcmp(own, other) != 0;
}

/* liblxc makes the groups of a guest that reboots anew, as the guest was configured at its start.
 */
static void take_up_limits(const struct lxc *lxc, const struct lxc_paths *paths, const char *id)
{
	struct definition d = {0};
	struct cgroup group;

	if (definition_load(paths->definition, LXC_TITLE, id, &d, NULL) < 0)
		return;
	if (groups_of(&lxc->groups, id, &group) == 0)
		limits_apply(&group, &d.guest.limits, d.guest.block_device, NULL);
	definition_finish(&d);
}

/* Between two inits, or before the end: which of them, only time tells. */
static void look_at_monitor(const struct lxc *lxc, const struct lxc_paths *paths,
	const struct lxc_runtime *now, struct watch_look *ret)
{
	struct lxc_process next = {.pid = child_of(now->monitor.pid)};

	ret->status.state = GUEST_STOPPING;
	ret->pids[0] = now->monitor.pid;
	ret->settling = true;
	if (next.pid > 0 && process_start_time(next.pid, &next.start) == 0 &&
		next.pid != now->init.pid && lxc_process_alive(&next) &&
		has_executed(next.pid, now->monitor.pid) &&
		runtime_save(paths, next.pid, now->disk, NULL) == 0) {
		take_up_limits(lxc, paths, ret->status.id);
		unlink(paths->starting);
		ret->status.state = GUEST_RUNNING;
		ret->status.pid = next.pid;
		ret->pids[1] = next.pid;
		ret->settling = false;
	}
}

bool runtime_look(const struct lxc *lxc, const char *id, struct watch_look *ret)
{
	struct lxc_paths paths;
	struct lxc_runtime now;

	if (lxc_paths(lxc, id, &paths, NULL) < 0 || !definition_exists(paths.definition))
		return false;
	*ret = (struct watch_look){.status = {.state = GUEST_STOPPED, .exit_status = -1}};
	memcpy(ret->status.id, id, GUEST_ID_LEN);
	runtime_load(&paths, &now);
	if (lxc_process_alive(&now.init)) {
		ret->status.state =
			groups_are_frozen(&lxc->groups, id) ? GUEST_FROZEN : GUEST_RUNNING;
		ret->status.pid = now.init.pid;
		ret->pids[0] = now.init.pid;
		ret->pids[1] = now.monitor.pid;
	} else if (lxc_process_alive(&now.monitor)) {
		look_at_monitor(lxc, &paths, &now, ret);
	} else if (access(paths.starting, F_OK) == 0 && groups_are_populated(&lxc->groups, id)) {
		ret->status.state = GUEST_STARTING;
	} else {
		ret->status.exit_status = monitor_read_exit(&paths);
	}
	return true;
}
