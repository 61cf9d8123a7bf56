/* Files of guests, by a process of its own for each call. */
#include "drivers/inside/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/tree.h"

/* What the process answers; smaller than PIPE_BUF, so that it comes whole. */
struct answer {
	int result;
	struct err err;
	struct driver_file_info info;
};

/* --- In the process ----------------------------------------------------------------------------
 */

/* Rights about files, whoever owns them (capabilities(7)); of the guest's user namespace where it
 * has one. */
static int keep_file_rights(void)
{
	const uint32_t rights = 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE |
				1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | 1U << CAP_FSETID;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = rights, .permitted = rights}};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static bool same_user_namespace(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static int enter_running(int pidfd, pid_t pid, struct err *err)
{
	int spaces = CLONE_NEWNS | (same_user_namespace(pid) ? 0 : CLONE_NEWUSER);

	if (setns(pidfd, spaces) < 0 || setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
		setresuid(0, 0, 0) < 0)
		return err_errno(err, errno, "cannot enter the guest");
	return 0;
}

static int enter_stopped(const char *rootfs, struct err *err)
{
	if (chdir(rootfs) < 0 || chroot(".") < 0)
		return err_errno(err, errno, "cannot enter %s", rootfs);
	return 0;
}

static int enter_and_do(
	void *data, const struct driver_file *file, struct driver_file_info *ret, struct err *err)
{
	const struct visit *v = data;
	struct tree tree = {.self = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int r = v->init >= 0 ? enter_running(v->init, v->pid, err) : enter_stopped(v->rootfs, err);

	if (r < 0)
		return r;
	tree.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = keep_file_rights();
	if (r < 0 || tree.root < 0 || tree.self < 0)
		return err_errno(err, r < 0 ? r : errno, "cannot reach the guest's files");
	umask(0);
	/* Another user's process does not die with its parent unless it asks again. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return tree_do(&tree, file, ret, err);
}

/* --- In the call -------------------------------------------------------------------------------
 */

/* Waits for the answer. Where the process only writes, one that nobody reads from any more is
 * killed: it may hang in a file system of the guest's. */
static int await(pid_t child, int channel, const struct driver_file *file, struct answer *ret,
	struct err *err)
{
	bool writes = file->op == DRIVER_FILE_LIST || file->op == DRIVER_FILE_READ;
	struct pollfd p[] = {
		{.fd = channel, .events = POLLIN}, {.fd = writes ? file->fd : -1, .events = 0}};
	ssize_t n = 0;

	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	if (p[0].revents)
		n = read(channel, ret, sizeof(*ret));
	else
		kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (!p[0].revents)
		return err_set(err, ERR_CANCELLED, NULL, "nobody reads on");
	if (n != (ssize_t)sizeof(*ret))
		return err_set(err, ERR_DRIVER, NULL, "the process in the guest died");
	return 0;
}

static void be_visitor(visit_fn visit, void *data, const struct driver_file *file, int channel)
{
	struct answer a = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	a.result = visit(data, file, &a.info, &a.err);
	_exit(write(channel, &a, sizeof(a)) != sizeof(a));
}

int visit_run(visit_fn visit, void *data, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	struct answer a = {0};
	pid_t child;
	int r = file_pipe(&ours, &theirs, 0);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	child = fork();
	if (child < 0)
		return err_errno(err, errno, "cannot fork for the guest's files");
	if (child == 0)
		be_visitor(visit, data, file, theirs);
	theirs = fd_close(theirs);
	r = await(child, ours, file, &a, err);
	if (r < 0)
		return r;
	if (a.result < 0)
		*err = a.err;
	else if (ret)
		*ret = a.info;
	return a.result;
}

int visit_file(const struct visit *visit, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	return visit_run(enter_and_do, (void *)visit, file, ret, err);
}
