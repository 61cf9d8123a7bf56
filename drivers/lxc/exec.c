/* Commands inside guests, by liblxc's attach: it is waited for by a process of its own. */
#include "drivers/lxc/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <lxc/lxccontainer.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static pid_t attach(const struct lxc *lxc, const char *id, const struct driver_exec *exec)
{
	static const char *const plain[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TERM=linux", NULL};
	struct lxc_container *c = lxc_container_new(id, lxc->run_dir);
	lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
	lxc_attach_command_t command = {
		.program = (char *)exec->argv[0], .argv = (char **)exec->argv};
	pid_t pid = -1;

	options.env_policy = LXC_ATTACH_CLEAR_ENV;
	options.extra_env_vars = (char **)(exec->env && exec->env[0] ? exec->env : plain);
	options.initial_cwd = (char *)(exec->cwd ? exec->cwd : "/");
	options.stdin_fd = exec->stdin_fd;
	options.stdout_fd = exec->stdout_fd;
	options.stderr_fd = exec->stderr_fd;
	if (!c || c->attach(c, lxc_attach_run_command, &command, &options, &pid) < 0)
		return -1;
	return pid;
}

static void wait_for_it(
	const struct lxc *lxc, const char *id, const struct driver_exec *exec, int report)
{
	pid_t pid;
	int status;

	setsid();
	pid = attach(lxc, id, exec);
	if (write(report, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	_exit(write(exec->status_fd, &status, sizeof(status)) != sizeof(status));
}

int lxc_guest_exec(const struct lxc *lxc, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	int pair[2];
	pid_t middle;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	ours = pair[0];
	theirs = pair[1];
	middle = fork();
	if (middle < 0)
		return err_errno(err, errno, "cannot fork for a command");
	if (middle == 0) {
		if (fork() == 0)
			wait_for_it(lxc, id, exec, theirs);
		_exit(0);
	}
	theirs = fd_close(theirs);
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	if (read(ours, ret_pid, sizeof(*ret_pid)) != sizeof(*ret_pid) || *ret_pid <= 0)
		return err_set(err, ERR_DRIVER, NULL, "cannot run a command in the guest");
	return 0;
}
