/* Files of guests. A process of its own does each: it goes where nothing but the guest is (into the
 * user and mount namespaces of one that runs; with its root as the root of everything, of one that
 * does not), gives up all rights but those about files, and only then looks at a path. Owners come
 * out right by themselves: inside, the kernel maps them; on disk they are as the guest sees them,
 * since its root is mounted with a map. What hangs (a file system in the guest's hands) hangs that
 * process alone, which is killed with its call. */
#include "drivers/lxc/file.h"

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
#include "base/process.h"
#include "drivers/inside/tree.h"
#include "drivers/lxc/runtime.h"

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
	int pidfd, pid_t pid, const char *rootfs, const struct driver_file *file, struct answer *a)
{
	struct tree tree = {.self = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int r = pidfd >= 0 ? enter_running(pidfd, pid, &a->err) : enter_stopped(rootfs, &a->err);

	if (r < 0)
		return r;
	tree.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = keep_file_rights();
	if (r < 0 || tree.root < 0 || tree.self < 0)
		return err_errno(&a->err, r < 0 ? r : errno, "cannot reach the guest's files");
	umask(0);
	/* Another user's process does not die with its parent unless it asks again. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return tree_do(&tree, file, &a->info, &a->err);
}

/* --- In the call -------------------------------------------------------------------------------
 */

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

int lxc_guest_file(const struct lxc_paths *paths, const struct definition *d,
	const struct driver_file *file, struct driver_file_info *ret, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	AUTOCLOSE int init = -1;
	struct answer a = {0};
	pid_t pid = 0, child;
	int pair[2], r;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	ours = pair[0];
	theirs = pair[1];
	init = open_init(paths, &pid);
	child = fork();
	if (child < 0)
		return err_errno(err, errno, "cannot fork to enter the guest");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		a.result = enter_and_do(init, pid, d->guest.rootfs, file, &a);
		_exit(write(theirs, &a, sizeof(a)) != sizeof(a));
	}
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
