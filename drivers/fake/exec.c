/* Commands of fake guests. As with real drivers a process of its own waits for the end of each: of
 * the command, or of the guest, with which the command ends too. */
#include "drivers/fake/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"

#define WAIT_STEPS 5000 /* of a millisecond */

/* What became of the command, from its process to the call: a pid, or how it failed. */
struct report {
	pid_t pid;
	int errnum; /* 0: not failed so far */
	char field[12];
};

/* --- In the command's process ------------------------------------------------------------------
 */

static void fail(int channel, const char *field)
{
	struct report report = {.errnum = errno};

	snprintf(report.field, sizeof(report.field), "%s", field);
	_exit(write(channel, &report, sizeof(report)) < 0);
}

static void become(const struct driver_exec *e, int channel)
{
	if (dup2(e->stdin_fd, 0) < 0 || dup2(e->stdout_fd, 1) < 0 || dup2(e->stderr_fd, 2) < 0)
		fail(channel, "");
	setsid();
	if (e->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
		fail(channel, "terminal");
	if (chdir(e->cwd ? e->cwd : "/") < 0)
		fail(channel, "cwd");
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "linux", 1);
	for (size_t i = 0; e->env && e->env[i]; i++)
		putenv((char *)e->env[i]);
	signal(SIGPIPE, SIG_DFL);
	execvp(e->argv[0], (char *const *)e->argv);
	fail(channel, "command");
}

/* --- In the process that waits -----------------------------------------------------------------
 */

static void keep_only(int status_fd, int guest, int lock)
{
	dup2(status_fd, 3);
	dup2(guest, 4);
	dup2(lock, 5);
	syscall(SYS_close_range, 6U, ~0U, 0U);
	syscall(SYS_close_range, 0U, 2U, 0U);
}

static void wait_for(pid_t command)
{
	struct pollfd p[] = {
		{.fd = process_pidfd(command), .events = POLLIN}, {.fd = 4, .events = POLLIN}};
	int status;

	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	if (!p[0].revents) {
		kill(-command, SIGKILL);
		kill(command, SIGKILL);
		waitpid(command, NULL, 0);
		_exit(0);
	}
	while (waitpid(command, &status, 0) < 0 && errno == EINTR)
		;
	_exit(write(3, &status, sizeof(status)) < 0);
}

/* `channel` closes itself where the command is executed: then it has nothing to report. */
static void wait_in_background(
	const struct driver_exec *exec, int guest, const char *lock_file, int channel)
{
	int lock = open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct report report = {0};
	int status_fd, high;

	setsid();
	if (lock < 0 || flock(lock, LOCK_SH) < 0)
		fail(channel, "");
	report.pid = fork();
	if (report.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(exec, channel);
	}
	if (report.pid < 0 || write(channel, &report, sizeof(report)) < 0)
		_exit(1);
	prctl(PR_SET_NAME, "fake-waiter");
	/* Out of the way of the numbers that are about to be used. */
	status_fd = fcntl(exec->status_fd, F_DUPFD, 10);
	high = fcntl(guest, F_DUPFD, 10);
	keep_only(status_fd, high, fcntl(lock, F_DUPFD, 10));
	wait_for(report.pid);
}

/* --- In the call -------------------------------------------------------------------------------
 */

static int describe(const struct report *r, const char *command, struct err *err)
{
	bool is_command = strcmp(r->field, "command") == 0;

	if (!r->field[0])
		return err_errno(err, r->errnum, "cannot run a command");
	if (is_command && r->errnum == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "command",
			"there is no command %.100s in the guest", command);
	return err_set(err, ERR_INVALID, r->field, "%s: %s", r->field, strerrordesc_np(r->errnum));
}

/* The waiter tells the pid, then the command how it failed, or nothing. */
static int read_reports(int channel, const char *command, pid_t *ret_pid, struct err *err)
{
	struct report report;

	while (read(channel, &report, sizeof(report)) == sizeof(report)) {
		if (report.errnum)
			return describe(&report, command, err);
		*ret_pid = report.pid;
	}
	return *ret_pid > 0 ? 0 : err_set(err, ERR_DRIVER, NULL, "the command was not started");
}

int fake_exec_start(const struct driver_exec *exec, pid_t guest, const char *lock_file,
	pid_t *ret_pid, struct err *err)
{
	AUTOCLOSE int pidfd = process_pidfd(guest);
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	int pair[2];
	pid_t middle;

	if (pidfd < 0 || pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot run a command");
	ours = pair[0];
	theirs = pair[1];
	middle = fork();
	if (middle < 0)
		return err_errno(err, errno, "cannot fork for a command");
	if (middle == 0) {
		if (fork() == 0)
			wait_in_background(exec, pidfd, lock_file, theirs);
		_exit(0);
	}
	theirs = fd_close(theirs);
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	*ret_pid = 0;
	return read_reports(ours, exec->argv[0], ret_pid, err);
}

void fake_exec_wait_all(const char *lock_file)
{
	AUTOCLOSE int lock = open(lock_file, O_RDWR | O_CLOEXEC);

	for (int i = 0; lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0 && i < WAIT_STEPS; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	unlink(lock_file);
}
