/* Commands inside guests. liblxc's attach brings a process into the guest, with the namespaces,
 * control groups, capabilities and system calls that the guest's configuration gives it; from there
 * it is drivers/inside/command's. Who calls attach becomes the parent of the command, so that is a
 * process of its own, which then keeps nothing but the descriptor for the wait status, and lives in
 * the monitor's control groups: whatever ends the guest ends it too. */
#include "drivers/lxc/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lxc/lxccontainer.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/apart.h"
#include "drivers/inside/command.h"

/* Where everything is in the process that waits. */
enum { IN, OUT, ERRS, STATUS, CHANNEL, DESCRIPTORS };

struct command {
	const struct driver_exec *exec;
	int failure[2];
};

static int be_command(void *data)
{
	const struct command *c = data;

	command_become(
		c->exec, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), c->failure[1], CHANNEL);
}

static pid_t attach(const struct lxc *lxc, const char *id, struct command *command)
{
	struct lxc_container *c = lxc_container_new(id, lxc->dirs.run);
	lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
	pid_t pid = -1;

	options.env_policy = LXC_ATTACH_CLEAR_ENV;
	options.initial_cwd = (char *)"/";
	if (!c || c->attach(c, be_command, command, &options, &pid) < 0)
		return -1;
	return pid;
}

/* The guest's root may give terminals and pipes on to its users only when they are its own. */
static void give_to_guest(const struct lxc *lxc)
{
	struct stat st;

	for (int fd = IN; fd <= ERRS; fd++)
		if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd)) &&
			fchown(fd, lxc->idmap_base, lxc->idmap_base) < 0)
			continue; /* it can still be used, but not opened again */
}

/* What was asked for. */
struct asked {
	const struct lxc *lxc;
	const struct definition *definition;
	const struct driver_exec *exec;
};

/* Keeps nothing but the descriptor for the wait status. */
static void wait_in_background(void *data, int call)
{
	const struct asked *asked = data;
	const struct lxc *lxc = asked->lxc;
	const struct definition *d = asked->definition;
	struct driver_exec e = *asked->exec;
	int *const fds[DESCRIPTORS] = {
		&e.stdin_fd, &e.stdout_fd, &e.stderr_fd, &e.status_fd, &call};
	struct command command = {.exec = &e};
	struct err err = {0};
	pid_t pid = -1;

	apart_keep_only(fds, DESCRIPTORS);
	if (!d->guest.privileged)
		give_to_guest(lxc);
	if (pipe2(command.failure, O_CLOEXEC) == 0)
		pid = attach(lxc, d->guest.id, &command);
	if (pid < 0) {
		err_set(&err, ERR_DRIVER, NULL, "cannot enter guest %s; its log may say why",
			d->guest.name);
		command_tell_failure(CHANNEL, &err);
		_exit(1);
	}
	for (int fd = IN; fd <= ERRS; fd++)
		close(fd);
	close(command.failure[1]);
	command_tell(pid, command.failure[0], CHANNEL);
	syscall(SYS_close_range, (unsigned)CHANNEL, ~0U, 0U);
	prctl(PR_SET_NAME, "corpus-waiter");
	groups_join_monitor(&lxc->groups, d->guest.id);
	command_wait(pid, STATUS);
}

int lxc_guest_exec(const struct lxc *lxc, const struct definition *d,
	const struct driver_exec *exec, pid_t *ret_pid, struct err *err)
{
	struct asked asked = {lxc, d, exec};

	return command_start(wait_in_background, &asked, ret_pid, err);
}
