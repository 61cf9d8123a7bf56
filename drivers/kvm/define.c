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
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	if (file_path(p->state, PATH_MAX, "%s/%s", kvm->state_dir, id) < 0 ||
		file_path(p->definition, PATH_MAX, "%s/%s/guest.json", kvm->state_dir, id) < 0 ||
		file_path(p->run, PATH_MAX, "%s/%s", kvm->run_dir, id) < 0 ||
		file_path(p->ended, PATH_MAX, "%s/%s.ended", kvm->run_dir, id) < 0 ||
		file_path(p->console_socket, PATH_MAX, "%s/%s/console", kvm->run_dir, id) < 0 ||
		file_path(p->console, PATH_MAX, "%s/%s.console", kvm->log_dir, id) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return 0;
}

/* XML has no way to write these. */
static int check_text(const char *field, const char *text, struct err *err)
{
	for (const char *p = text ? text : ""; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, ERR_INVALID, field,
				"%s has a character that cannot be used", field);
	return 0;
}

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

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i].path && paths[i].path[0] != '/')
			return err_set(err, ERR_INVALID, paths[i].field,
				"%s must be an absolute path", paths[i].field);
		else if (check_text(paths[i].field, paths[i].path, err) < 0)
			return -EINVAL;
	if (disk->uefi && !disk->kernel && !disk->nvram)
		return err_set(
			err, ERR_INVALID, "disk.nvram", "UEFI needs a place for its variables");
	return 0;
}

static int check_texts(const struct driver_guest *g, struct err *err)
{
	int r;

	if ((r = check_text("name", g->name, err)) < 0 ||
		(r = check_text("disk.cmdline", g->disk->cmdline, err)) < 0 ||
		(r = check_text("net.bridge", g->net.bridge, err)) < 0)
		return r;
	return check_text("net.link", g->net.link, err);
}

int define_check(const struct driver_guest *g, struct err *err)
{
	int r;

	if (!g->disk)
		return err_set(
			err, ERR_INVALID, "disk", "a machine needs a disk, not a tree of files");
	if (g->net.bridge && !g->net.link)
		return err_set(err, ERR_INVALID, "net.link", "a link on a bridge needs a name");
	r = check_texts(g, err);
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
	/* It goes first: from then on the guest is not listed. */
	int r = definition_remove(paths->definition, err);

	if (r < 0)
		return r;
	r = file_remove_tree(paths->state);
	if (r < 0)
		return err_errno(err, r, "cannot remove %s", paths->state);
	r = file_remove_tree(paths->run);
	if (r < 0)
		return err_errno(err, r, "cannot remove %s", paths->run);
	unlink(paths->ended);
	remove_logs(paths->console);
	return 0;
}
