/* What a guest of the driver has on the node. */
#include "drivers/lxc/define.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/definition.h"
#include "drivers/lxc/raw.h"

int lxc_paths(const struct lxc *lxc, const char *id, struct lxc_paths *p, struct err *err)
{
	const struct definition_path paths[] = {
		{p->state, lxc->dirs.state, ""},
		{p->definition, lxc->dirs.state, "/guest.json"},
		{p->config, lxc->dirs.run, "/config"},
		{p->run, lxc->dirs.run, ""},
		{p->pids, lxc->dirs.run, "/pids"},
		{p->starting, lxc->dirs.run, "/starting"},
		{p->exit, lxc->dirs.run, "/exit"},
		{p->log, lxc->dirs.log, ".log"},
		{p->console, lxc->dirs.log, ".console"},
		{p->console_older, lxc->dirs.log, ".console.1"},
	};

	return definition_paths(id, paths, ARRAY_SIZE(paths), err);
}

/* These become lines of a configuration: nothing in them may begin another one. */
int define_check(const struct driver_guest *g, struct err *err)
{
	int r;

	if ((r = definition_check_names(g, " /", err)) < 0 ||
		(r = definition_check_path("rootfs", g->rootfs, err)) < 0)
		return r;
	if (!g->rootfs)
		return err_set(err, ERR_INVALID, "rootfs",
			"a container needs a root file system, not a disk");
	return raw_check(g->raw, err);
}

int define_remove(const struct lxc_paths *paths, struct err *err)
{
	int r = definition_remove_with(paths->definition, paths->state, err);

	if (r < 0)
		return r;
	unlink(paths->log);
	unlink(paths->console);
	unlink(paths->console_older);
	return 0;
}
