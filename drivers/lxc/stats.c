/* What guests have used: which of them run, and their groups. */
#include "drivers/lxc/stats.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/cgroup/stats.h"
#include "drivers/lxc/runtime.h"

/* Those that run have files of a run. */
static int read_one(const void *driver, const char *id, struct driver_stats *ret)
{
	const struct lxc *lxc = driver;
	struct lxc_runtime now;
	struct lxc_paths paths;
	struct cgroup group;
	int r = lxc_paths(lxc, id, &paths, NULL);

	if (r < 0)
		return r;
	runtime_load(&paths, &now);
	if (now.init.pid == 0)
		return -ENOENT;
	r = groups_of(&lxc->groups, id, &group);
	if (r == 0)
		r = stats_read(&group, now.disk[0] ? now.disk : NULL, ret);
	if (r == 0)
		memcpy(ret->id, id, GUEST_ID_LEN + 1);
	return r == 0 && ret->pids == 0 && cgroups_with(&lxc->groups.cgroups, "pids") ? -ENOENT : r;
}

int lxc_guests_stats(const struct lxc *lxc, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	const struct stats_guests guests = {
		.read = read_one, .driver = lxc, .dir = lxc->dirs.run, .suffix = ""};

	return id ? stats_one(&guests, id, ret, ret_count, err)
		  : stats_all(&guests, ret, ret_count, err);
}
