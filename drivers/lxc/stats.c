/* What guests have used: which of them run, and their groups. */
#include "drivers/lxc/stats.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/cgroup/stats.h"
#include "drivers/lxc/runtime.h"

/* Those that run have files of a run; one that ends meanwhile is left out. */
int lxc_guest_stats(const struct lxc *lxc, const char *id, struct driver_stats *ret)
{
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

int lxc_guests_stats(
	const struct lxc *lxc, struct driver_stats **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(closedirp) DIR *dir = opendir(lxc->dirs.run);
	AUTOFREE struct driver_stats *list = calloc(1, sizeof(*list));
	size_t count = 0, room = 1;
	struct dirent *e;

	if (!dir || !list)
		return err_errno(err, errno, "cannot list %s", lxc->dirs.run);
	while ((e = readdir(dir))) {
		if (count == room) {
			struct driver_stats *grown = reallocarray(list, room * 2, sizeof(*list));

			if (!grown)
				return err_errno(err, ENOMEM, "no memory for a list");
			list = grown;
			room *= 2;
		}
		if (lxc_guest_stats(lxc, e->d_name, &list[count]) == 0)
			count++;
	}
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}
