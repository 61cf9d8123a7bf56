/* Ending guests. The monitor is not left to clear up in its own time: it is killed with its guest,
 * and what it would have done (link, control groups) is done here, at once and side by side. */
#include "drivers/lxc/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/inside/link.h"
#include "drivers/inside/listen.h"
#include "drivers/lxc/groups.h"
#include "drivers/lxc/monitor.h"
#include "drivers/lxc/runtime.h"

#define END_MS 5000 /* a killed process that takes longer is stuck in the kernel */

/* A pidfd of exactly that process, or -1 when it is gone. */
static int open_process(const struct lxc_process *p)
{
	AUTOCLOSE int fd = p->pid > 0 ? process_pidfd(p->pid) : -1;

	return fd >= 0 && lxc_process_alive(p) ? TAKE_FD(fd) : -1;
}

static bool wait_end(int pidfd, uint64_t ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd < 0 || poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms) == 1;
}

/* Asks init to shut down and waits for its end. */
static void ask(pid_t pid, int pidfd, int signal, uint64_t timeout_ms)
{
	int64_t end = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000, left;

	listen_wait(pid, pidfd, signal, end);
	process_signal(pidfd, signal);
	fault_point("driver.lxc.stop.asked");
	left = end - clock_monotonic_ns();
	wait_end(pidfd, left > 0 ? (uint64_t)left / 1000000 : 0);
}

/* --- Monitors that a crash has left without a run file -----------------------------------------
 */

static void kill_lost_monitor(const struct lxc_paths *paths)
{
	struct lxc_process lost;

	monitor_read_starting(paths, &lost);

	AUTOCLOSE int pidfd = open_process(&lost);

	process_signal(pidfd, SIGKILL);
	wait_end(pidfd, END_MS);
}

/* --- Clearing up -------------------------------------------------------------------------------
 */

int lxc_guest_clear(const struct lxc *lxc, const struct definition *d,
	const struct lxc_paths *paths, struct err *err)
{
	const char *id = d->guest.id;
	int r;

	kill_lost_monitor(paths);
	r = groups_kill_all(&lxc->groups, id, END_MS);
	if (r < 0)
		return err_set(err, ERR_DRIVER, NULL, "processes of guest %s do not end", id);
	fault_point("driver.lxc.clear.killed");
	r = d->guest.net.bridge ? link_remove(d->guest.net.link, err) : 0;
	if (r < 0)
		return r;
	fault_point("driver.lxc.clear.unlinked");
	r = groups_remove(&lxc->groups, id);
	if (r < 0)
		return err_errno(err, r, "cannot remove the control groups of guest %s", id);
	fault_point("driver.lxc.clear.removed");
	unlink(paths->pids);
	r = file_remove_tree(paths->run);
	return r < 0 ? err_errno(err, r, "cannot remove %s", paths->run) : 0;
}

int lxc_guest_end(const struct lxc *lxc, const struct definition *d, const struct lxc_paths *paths,
	int signal, uint64_t timeout_ms, struct err *err)
{
	struct lxc_runtime now;

	runtime_load(paths, &now);

	AUTOCLOSE int init = open_process(&now.init);
	AUTOCLOSE int monitor = open_process(&now.monitor);

	if (init >= 0 && signal != SIGKILL) {
		/* Frozen ones hear nothing. */
		if (groups_are_frozen(&lxc->groups, d->guest.id))
			groups_freeze(&lxc->groups, d->guest.id, false);
		ask(now.init.pid, init, signal, timeout_ms);
	}
	process_signal(monitor, SIGKILL);
	process_signal(init, SIGKILL);
	if (init >= 0 && groups_are_frozen(&lxc->groups, d->guest.id))
		groups_freeze(&lxc->groups, d->guest.id, false);
	fault_point("driver.lxc.stop.killed");
	if (!wait_end(init, END_MS) || !wait_end(monitor, END_MS))
		return err_set(err, ERR_DRIVER, NULL, "guest %s does not end", d->guest.id);
	return lxc_guest_clear(lxc, d, paths, err);
}
