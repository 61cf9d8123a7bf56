/* Layers of fake containers, see container.h. Each change is a rename: what is under way has a name
 * of its own, and is begun anew. */
#include "drivers/fake/container.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/fake/fake.h"
#include "drivers/fake/work.h"

#define COPY_MS 30000

struct places {
	char root[PATH_MAX];  /* of the guest */
	char kept[PATH_MAX];  /* directory of what is kept of it */
	char layer[PATH_MAX]; /* the one of that name */
	char aside[PATH_MAX];
	char begun[PATH_MAX]; /* a copy under way */
	char pattern[PATH_MAX];
};

static int find(
	const struct fake *f, const char *id, const char *name, struct places *ret, struct err *err)
{
	const char *state = f->dirs.state;

	if (file_path(ret->root, PATH_MAX, "%s/roots/%s", state, id) < 0 ||
		file_path(ret->kept, PATH_MAX, "%s/kept/%s", state, id) < 0 ||
		file_path(ret->layer, PATH_MAX, "%s/kept/%s/%s", state, id, name ? name : "") < 0 ||
		file_path(ret->aside, PATH_MAX, "%s/aside/%s", state, id) < 0 ||
		file_path(ret->begun, PATH_MAX, "%s/begun/%s", state, id) < 0 ||
		file_path(ret->pattern, PATH_MAX, "%s/machine", state) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return 0;
}

static int make_parent(const char *path)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	return file_mkdirs(parent, 0700);
}

/* `from` NULL: an empty one. */
static int copy(const struct places *places, const char *from, const char *to, struct err *err)
{
	const char *argv[] = {"cp", "-a", from, places->begun, NULL};
	int r = make_parent(to);

	if (r == 0)
		r = make_parent(places->begun);
	if (r == 0)
		r = file_remove_tree(places->begun);
	if (r < 0)
		return err_errno(err, r, "cannot make %s", to);
	r = from ? process_run(&(struct process_options){.argv = argv,
				       .stdin_fd = -1,
				       .stdout_fd = -1,
				       .timeout_ms = COPY_MS},
			   err)
		 : file_mkdirs(places->begun, 0755);
	if (r < 0)
		return r;
	fault_point("driver.fake.layer.copied");
	return rename(places->begun, to) < 0 ? err_errno(err, errno, "cannot make %s", to) : 0;
}

int container_make(const struct fake *f, const struct driver_guest *guest, struct err *err)
{
	const struct driver_container *container = guest->container;
	struct places places, other;
	int r = find(f, guest->id, NULL, &places, err);

	if (r < 0 || access(places.root, F_OK) == 0)
		return r;
	if (!container->layer)
		return copy(&places, access(places.pattern, F_OK) == 0 ? places.pattern : NULL,
			places.root, err);
	r = find(f, container->layer_of, container->layer, &other, err);
	if (r == 0 && access(other.layer, F_OK) < 0)
		r = err_set(err, ERR_NOT_FOUND, NULL, "nothing of guest %s is kept as %s",
			container->layer_of, container->layer);
	return r < 0 ? r : copy(&places, other.layer, places.root, err);
}

static int keep(const struct places *places, struct err *err)
{
	return access(places->layer, F_OK) == 0 ? 0
						: copy(places, places->root, places->layer, err);
}

static int remove_tree(const char *path, struct err *err)
{
	int r = file_remove_tree(path);

	return r < 0 ? err_errno(err, r, "cannot remove %s", path) : 0;
}

static int restore(const struct places *places, const char *name, struct err *err)
{
	if (access(places->layer, F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "nothing is kept as %s", name);
	if (access(places->aside, F_OK) < 0 &&
		(make_parent(places->aside) < 0 || rename(places->root, places->aside) < 0))
		return err_errno(err, errno, "cannot put %s aside", places->root);
	fault_point("driver.fake.layer.aside");
	if (access(places->root, F_OK) == 0)
		return 0;
	return copy(places, places->layer, places->root, err);
}

static int undo(const struct places *places, struct err *err)
{
	int r;

	if (access(places->aside, F_OK) < 0)
		return 0;
	r = remove_tree(places->root, err);
	fault_point("driver.fake.layer.undone");
	if (r == 0 && rename(places->aside, places->root) < 0)
		r = err_errno(err, errno, "cannot bring %s back", places->root);
	return r;
}

int container_layer(const struct fake *f, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err)
{
	struct places places;
	int r = find(f, id, work->name, &places, err);

	*ret = (struct driver_layer_result){0};
	if (r < 0)
		return r;
	switch (work->op) {
	case DRIVER_LAYER_KEEP: return keep(&places, err);
	case DRIVER_LAYER_DROP: return remove_tree(places.layer, err);
	case DRIVER_LAYER_RESTORE: return restore(&places, work->name, err);
	case DRIVER_LAYER_RESTORE_UNDO: return undo(&places, err);
	case DRIVER_LAYER_RESTORE_FINISH: return remove_tree(places.aside, err);
	case DRIVER_LAYER_USAGE:
		*ret = (struct driver_layer_result){
			.bounded = true, .size = FAKE_LAYER_SIZE, .used = FAKE_LAYER_USED};
		return 0;
	case DRIVER_LAYER_BOUND:
		*ret = (struct driver_layer_result){.bounded = true, .size = FAKE_LAYER_SIZE};
		return 0;
	}
	return err_set(err, ERR_INVALID, NULL, "nothing is known of that work");
}

int container_remove(const struct fake *f, const char *id, struct err *err)
{
	struct places places;
	int r = find(f, id, NULL, &places, err);

	if (r == 0)
		r = remove_tree(places.kept, err);
	if (r == 0)
		r = remove_tree(places.aside, err);
	if (r == 0)
		r = remove_tree(places.begun, err);
	return r;
}
