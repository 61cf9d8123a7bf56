/* What containers use. */
#include "drivers/docker/figures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "drivers/cgroup/stats.h"
#include "drivers/docker/note.h"

int figures_note(const struct docker_guest *g, pid_t pid, struct err *err)
{
	int r = note_write(
		g->paths.note, pid, guest_container(g), g->definition.guest.block_device);

	return r < 0 ? err_errno(err, r, "cannot write %s", g->paths.note) : 0;
}

static int read_note(const struct docker *docker, const char *id, struct note *ret)
{
	struct docker_paths paths;

	return docker_paths(docker, id, &paths, NULL) < 0 ? -ENOENT : note_read(paths.note, ret);
}

/* One that ends meanwhile, or has ended and was not yet reaped, is left out. */
static int read_one(const void *driver, const char *id, struct driver_stats *ret)
{
	const struct docker *docker = driver;
	struct note note;
	struct cgroup group;
	int r = read_note(docker, id, &note);

	if (r == 0)
		r = cgroup_of_process(&docker->cgroups, note.pid, note.container, &group);
	if (r == 0)
		r = stats_read(&group, strcmp(note.disk, "-") == 0 ? NULL : note.disk, ret);
	if (r == 0)
		snprintf(ret->id, sizeof(ret->id), "%s", id);
	return r == 0 && ret->pids == 0 && cgroups_with(&docker->cgroups, "pids") ? -ENOENT : r;
}

int figures_tell(const struct docker *docker, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	const struct stats_guests guests = {
		.read = read_one, .driver = docker, .dir = docker->dirs.run, .suffix = NOTE_SUFFIX};

	return id ? stats_one(&guests, id, ret, ret_count, err)
		  : stats_all(&guests, ret, ret_count, err);
}
