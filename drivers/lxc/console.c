/* Consoles of guests. The monitor writes all that comes from a guest's console into a log, which it
 * rotates (lxc.console in config.c); history and what follows are read from there. Input goes
 * through a terminal that the monitor gives to one at a time, and from which it also sends the
 * output: that has to be taken, or the monitor would stand still, and is thrown away.
 *
 * Where liblxc (5.0.2) begins a new log in the middle of what it has just read, at most 1 KiB, it
 * writes the beginning of that a second time instead of the rest. */
#include "drivers/lxc/console.h"

#include <fcntl.h>
#include <lxc/lxccontainer.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/inside/console.h"
#include "drivers/lxc/runtime.h"

/* The monitor, which lives on when the guest reboots; -1: the guest does not run. */
static int open_monitor(const struct lxc_paths *paths)
{
	struct lxc_runtime now;
	AUTOCLOSE int pidfd = -1;

	runtime_load(paths, &now);
	if (now.monitor.pid > 0)
		pidfd = process_pidfd(now.monitor.pid);
	return pidfd >= 0 && lxc_process_alive(&now.monitor) ? TAKE_FD(pidfd) : -1;
}

/* The terminal is ours for as long as *ret_hold stays open. */
static int open_terminal(
	const struct lxc *lxc, const char *id, int *ret_hold, int *ret_terminal, struct err *err)
{
	struct lxc_container *c = lxc_container_new(id, lxc->dirs.run);
	int number = 0, hold = -1;

	if (c)
		hold = c->console_getfd(c, &number, ret_terminal);
	lxc_container_put(c);
	lxc_log_close();
	if (hold < 0)
		return err_set(err, ERR_CONFLICT, NULL,
			"somebody is at the guest's console already: it can still be followed");
	*ret_hold = hold;
	fcntl(*ret_terminal, F_SETFL, O_NONBLOCK);
	return 0;
}

int lxc_guest_console(
	const struct lxc *lxc, const char *id, const struct driver_console *wanted, struct err *err)
{
	AUTOCLOSE int monitor = -1;
	AUTOCLOSE int hold = -1;
	AUTOCLOSE int terminal = -1;
	struct lxc_paths paths;
	int r = lxc_paths(lxc, id, &paths, err);

	if (r < 0)
		return r;
	monitor = open_monitor(&paths);
	if (wanted->input && monitor >= 0)
		r = open_terminal(lxc, id, &hold, &terminal, err);
	if (r < 0)
		return r;

	struct console console = {.log = paths.console,
		.life = monitor,
		.input = terminal,
		.hold = hold,
		.echo = true};

	return console_connect(&console, wanted, err);
}
