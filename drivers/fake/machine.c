/* Which of a fake driver's guests are machines, see machine.h. */
#include "drivers/fake/machine.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/fake/work.h"

static bool pattern_path(const struct fake *f, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/machine", f->dirs.state) == 0 &&
	       access(path, F_OK) == 0;
}

static int root_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/roots/%s", f->dirs.state, id);
}

static bool has_pattern(const struct fake *f)
{
	char path[PATH_MAX];

	return pattern_path(f, path);
}

enum image_kind machine_image_kind(const struct fake *f)
{
	if (f->containers)
		return IMAGE_OCI;
	return f->disks || has_pattern(f) ? IMAGE_DISK : IMAGE_TREE;
}

bool machine_has_inside(const struct fake *f)
{
	return !f->disks || has_pattern(f);
}

const char *machine_inside(
	const struct fake *f, const struct driver_guest *guest, char buf[static PATH_MAX])
{
	if (guest->rootfs)
		return guest->rootfs;
	return root_path(f, guest->id, buf) == 0 && access(buf, F_OK) == 0 ? buf : NULL;
}

/* A copy of the one that all are made of, if there is one. */
int machine_make(const struct fake *f, const char *id, struct err *err)
{
	char machine[PATH_MAX], root[PATH_MAX], roots[PATH_MAX];
	const char *argv[] = {"cp", "-a", machine, root, NULL};
	const struct process_options copy = {.argv = argv, .stdin_fd = -1, .stdout_fd = -1};

	if (!pattern_path(f, machine))
		return 0;
	if (root_path(f, id, root) < 0 ||
		file_path(roots, sizeof(roots), "%s/roots", f->dirs.state) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	if (access(root, F_OK) == 0)
		return 0;
	return file_mkdirs(roots, 0700) < 0 ? err_errno(err, errno, "cannot make %s", roots)
					    : process_run(&copy, err);
}

int machine_remove(const struct fake *f, const char *id, struct err *err)
{
	char root[PATH_MAX];
	int r = root_path(f, id, root);

	if (r == 0)
		r = file_remove_tree(root);
	return r < 0 ? err_errno(err, r, "cannot remove what is inside guest %s", id) : 0;
}
