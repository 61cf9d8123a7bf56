/* What a guest of the driver has on the node. */
#include "drivers/kvm/define.h"

#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/definition.h"

int kvm_paths(const struct kvm *kvm, const char *id, struct kvm_paths *p, struct err *err)
{
	const struct definition_path paths[] = {
		{p->state, kvm->dirs.state, ""},
		{p->definition, kvm->dirs.state, "/guest.json"},
		{p->run, kvm->dirs.run, ""},
		{p->ended, kvm->dirs.run, ".ended"},
		{p->console_socket, kvm->dirs.run, "/console"},
		{p->console, kvm->dirs.log, ".console"},
	};

	return definition_paths(id, paths, ARRAY_SIZE(paths), err);
}

/* XML has no way to write control characters. */
static int check_paths(const struct driver_disk *disk, struct err *err)
{
	const struct {
		const char *field, *path;
	} paths[] = {
		{"disk.path", disk->path},
		{"disk.base", disk->base},
		{"disk.kernel", disk->kernel},
		{"disk.initrd", disk->initrd},
		{"disk.nvram", disk->nvram},
		{"disk.seed", disk->seed},
		{"disk.memory", disk->memory},
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if ((r = definition_check_path(paths[i].field, paths[i].path, err)) < 0)
			return r;
	if (disk->uefi && !disk->kernel && !disk->nvram)
		return err_set(
			err, ERR_INVALID, "disk.nvram", "UEFI needs a place for its variables");
	return 0;
}

int define_check(const struct driver_guest *g, struct err *err)
{
	int r;

	if (!g->disk)
		return err_set(
			err, ERR_INVALID, "disk", "a machine needs a disk, not a tree of files");
	r = definition_check_names(g, "", err);
	if (r == 0)
		r = definition_check_text("disk.cmdline", g->disk->cmdline, "", err);
	return r == 0 ? check_paths(g->disk, err) : r;
}

/* virtlogd rotates it to .0, .1, … up to what its configuration says, 3 if that says nothing. */
static void remove_logs(const char *log)
{
	char path[PATH_MAX];

	unlink(log);
	for (int i = 0; i < 100; i++)
		if (file_path(path, sizeof(path), "%s.%d", log, i) < 0 || unlink(path) < 0)
			return;
}

int define_remove(const struct kvm_paths *paths, struct err *err)
{
	int r = definition_remove_with(paths->definition, paths->state, err);

	if (r < 0)
		return r;
	r = file_remove_tree(paths->run);
	if (r < 0)
		return err_errno(err, r, "cannot remove %s", paths->run);
	unlink(paths->ended);
	remove_logs(paths->console);
	return 0;
}
