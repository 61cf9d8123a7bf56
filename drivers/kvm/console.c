/* Consoles of machines. All that comes out of the serial port is in a log, which virtlogd writes
 * and rotates; history and what follows are read from there. Input goes through QEMU's socket,
 * which takes one peer at a time and lets others wait without a word: so a lock says who it is.
 * What comes back on it is in the log, too: it is taken and thrown away, or the machine's port
 * would stand still. */
#include "drivers/kvm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/inside/console.h"
#include "drivers/kvm/guest.h"

/* The machine's process; -1: it does not run, or not on this node. */
static int open_life(const struct kvm_guest *g)
{
	pid_t pid = guest_is_active(g) ? guest_pid(g->definition.guest.id) : 0;

	return pid > 0 ? process_pidfd(pid) : -1;
}

/* A path of any length. */
static int connect_to(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	AUTOCLOSE int place = open(path, O_PATH | O_CLOEXEC);
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (place < 0 || fd < 0)
		return -errno;
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", place);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : TAKE_FD(fd);
}

/* Ours for as long as *ret_hold stays open. */
static int open_input(const struct kvm_guest *g, int *ret_hold, int *ret_input, struct err *err)
{
	char path[PATH_MAX];
	AUTOCLOSE int hold = -1;
	int r = file_path(path, sizeof(path), "%s.lock", g->paths.console_socket);

	if (r == 0)
		hold = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (r < 0 || hold < 0)
		return err_errno(err, r < 0 ? r : errno, "cannot lock the console");
	if (flock(hold, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_CONFLICT, NULL,
			"somebody is at the guest's console already: it can still be followed");
	*ret_input = connect_to(g->paths.console_socket);
	if (*ret_input < 0)
		return err_set(err, ERR_DRIVER, NULL, "the machine's console does not answer: %s",
			strerrordesc_np(-*ret_input));
	*ret_hold = TAKE_FD(hold);
	return 0;
}

/* A guest that does not run has its history, whatever libvirt does. */
static int find(struct driver *driver, const char *id, const struct driver_console *wanted,
	struct kvm_guest *g, struct err *err)
{
	return wanted->follow || wanted->input ? guest_connect(driver, id, g, err)
					       : guest_load(driver, id, g, err);
}

int kvm_console(
	struct driver *driver, const char *id, const struct driver_console *wanted, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	AUTOCLOSE int life = -1;
	AUTOCLOSE int hold = -1;
	AUTOCLOSE int input = -1;
	int r = find(driver, id, wanted, &g, err);

	if (r < 0)
		return r;
	life = open_life(&g);
	if (wanted->input && life >= 0)
		r = open_input(&g, &hold, &input, err);
	if (r < 0)
		return r;

	struct console console = {.log = g.paths.console,
		.older = ".0", /* as virtlogd calls it */
		.life = life,
		.input = input,
		.hold = hold,
		.echo = true};

	return console_connect(&console, wanted, err);
}
