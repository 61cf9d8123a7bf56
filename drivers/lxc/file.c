/* Files of guests. On disk they belong to whom the guest sees as their owners, since its root is
 * mounted with a map: also those of one that does not run come out right by themselves. */
#include "drivers/lxc/file.h"

#include "base/cleanup.h"
#include "base/process.h"
#include "drivers/inside/visit.h"
#include "drivers/lxc/runtime.h"

/* A pidfd of the guest's init; -1 when it does not run. */
static int open_init(const struct lxc_paths *paths, pid_t *ret_pid)
{
	struct lxc_runtime now;
	AUTOCLOSE int pidfd = -1;

	runtime_load(paths, &now);
	if (now.init.pid <= 0)
		return -1;
	*ret_pid = now.init.pid;
	pidfd = process_pidfd(now.init.pid);
	return pidfd >= 0 && lxc_process_alive(&now.init) ? TAKE_FD(pidfd) : -1;
}

int lxc_guest_file(const struct lxc_paths *paths, const struct definition *d,
	const struct driver_file *file, struct driver_file_info *ret, struct err *err)
{
	struct visit visit = {.rootfs = d->guest.rootfs};
	AUTOCLOSE int init = open_init(paths, &visit.pid);

	visit.init = init;
	return visit_file(&visit, file, ret, err);
}
