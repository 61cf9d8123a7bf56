/* Commands inside guests, by liblxc's attach. */
#include "drivers/lxc/exec.h"

#include <errno.h>
#include <lxc/lxccontainer.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"

static int attach(
	struct lxc_container *c, const struct driver_exec *exec, int *ret_status, struct err *err)
{
	static const char *const plain[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TERM=linux", NULL};
	lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
	lxc_attach_command_t command = {
		.program = (char *)exec->argv[0], .argv = (char **)exec->argv};
	pid_t pid;

	options.env_policy = LXC_ATTACH_CLEAR_ENV;
	options.extra_env_vars = (char **)(exec->env ? exec->env : plain);
	options.initial_cwd = (char *)(exec->cwd ? exec->cwd : "/");
	options.uid = exec->uid;
	options.gid = exec->gid;
	options.stdin_fd = exec->stdin_fd;
	options.stdout_fd = exec->stdout_fd;
	options.stderr_fd = exec->stderr_fd;
	if (c->attach(c, lxc_attach_run_command, &command, &options, &pid) < 0)
		return err_set(err, ERR_DRIVER, NULL, "cannot run a command in the guest");
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "cannot wait for the command");
	return 0;
}

int lxc_guest_exec(const struct lxc *lxc, const char *id, const struct driver_exec *exec,
	int *ret_status, struct err *err)
{
	struct lxc_container *c = lxc_container_new(id, lxc->run_dir);
	int r;

	if (!c)
		return err_set(err, ERR_DRIVER, NULL, "liblxc cannot read the guest's definition");
	r = attach(c, exec, ret_status, err);
	lxc_container_put(c);
	lxc_log_close();
	return r;
}
