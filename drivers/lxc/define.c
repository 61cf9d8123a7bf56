/* What a guest of the driver has on the node. */
#include "drivers/lxc/define.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/definition.h"
#include "drivers/lxc/raw.h"

int lxc_paths(const struct lxc *lxc, const char *id, struct lxc_paths *p, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	if (file_path(p->state, PATH_MAX, "%s/%s", lxc->state_dir, id) < 0 ||
		file_path(p->definition, PATH_MAX, "%s/%s/guest.json", lxc->state_dir, id) < 0 ||
		file_path(p->config, PATH_MAX, "%s/%s/config", lxc->run_dir, id) < 0 ||
		file_path(p->run, PATH_MAX, "%s/%s", lxc->run_dir, id) < 0 ||
		file_path(p->pids, PATH_MAX, "%s/%s/pids", lxc->run_dir, id) < 0 ||
		file_path(p->starting, PATH_MAX, "%s/%s/starting", lxc->run_dir, id) < 0 ||
		file_path(p->exit, PATH_MAX, "%s/%s/exit", lxc->run_dir, id) < 0 ||
		file_path(p->log, PATH_MAX, "%s/%s.log", lxc->log_dir, id) < 0 ||
		file_path(p->console, PATH_MAX, "%s/%s.console", lxc->log_dir, id) < 0 ||
		file_path(p->console_older, PATH_MAX, "%s/%s.console.1", lxc->log_dir, id) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return 0;
}

/* These become lines of a configuration: nothing in them may begin another one. */
static int check_text(const char *field, const char *text, const char *refused, struct err *err)
{
	for (const char *p = text ? text : ""; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || strchr(refused, *p))
			return err_set(err, ERR_INVALID, field,
				"%s has a character that cannot be used", field);
	return 0;
}

int define_check(const struct driver_guest *g, struct err *err)
{
	int r;

	if ((r = check_text("name", g->name, " /", err)) < 0 ||
		(r = check_text("rootfs", g->rootfs, "", err)) < 0 ||
		(r = check_text("net.bridge", g->net.bridge, " /", err)) < 0 ||
		(r = check_text("net.link", g->net.link, " /", err)) < 0)
		return r;
	if (!g->rootfs)
		return err_set(err, ERR_INVALID, "rootfs",
			"a container needs a root file system, not a disk");
	if (g->rootfs[0] != '/')
		return err_set(err, ERR_INVALID, "rootfs", "rootfs must be an absolute path");
	if (g->net.bridge && !g->net.link)
		return err_set(err, ERR_INVALID, "net.link", "a link on a bridge needs a name");
	return raw_check(g->raw, err);
}

int define_remove(const struct lxc_paths *paths, struct err *err)
{
	/* It goes first: from then on the guest is not listed. */
	int r = definition_remove(paths->definition, err);

	if (r < 0)
		return r;
	r = file_remove_tree(paths->state);
	if (r < 0)
		return err_errno(err, r, "cannot remove %s", paths->state);
	unlink(paths->log);
	unlink(paths->console);
	unlink(paths->console_older);
	return 0;
}
