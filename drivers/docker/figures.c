/* What containers use. */
#include "drivers/docker/figures.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/cgroup/stats.h"

/* "PID START CONTAINER DISK", DISK "-" for none */
#define NOTE_MAX      160
#define NOTE_FORMAT   "%d %" PRIu64 " %s %s\n"
#define NOTE_SCAN     "%d %" SCNu64 " %79s %23s"
#define CONTAINER_MAX 80
#define DISK_MAX      24

struct note {
	pid_t pid;
	uint64_t start;
	char container[CONTAINER_MAX], disk[DISK_MAX];
};

int figures_note(const struct docker_guest *g, pid_t pid, struct err *err)
{
	const char *disk = g->definition.guest.block_device;
	char text[NOTE_MAX];
	uint64_t start = 0;
	int r = process_start_time(pid, &start);

	if (r == 0)
		snprintf(text, sizeof(text), NOTE_FORMAT, pid, start, guest_container(g),
			disk ? disk : "-");
	if (r == 0)
		r = file_replace(g->paths.note, text, 0600, false);
	return r < 0 ? err_errno(err, r, "cannot write %s", g->paths.note) : 0;
}

static int read_note(const struct docker *docker, const char *id, struct note *ret)
{
	AUTOFREE char *text = NULL;
	struct docker_paths paths;
	uint64_t start = 0;

	if (docker_paths(docker, id, &paths, NULL) < 0 ||
		file_read(paths.note, NOTE_MAX, &text, NULL) < 0 ||
		sscanf(text, NOTE_SCAN, &ret->pid, &ret->start, ret->container, ret->disk) != 4 ||
		process_start_time(ret->pid, &start) < 0 || start != ret->start)
		return -ENOENT;
	return 0;
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
		.read = read_one, .driver = docker, .dir = docker->dirs.run, .suffix = DOCKER_NOTE};

	return id ? stats_one(&guests, id, ret, ret_count, err)
		  : stats_all(&guests, ret, ret_count, err);
}
