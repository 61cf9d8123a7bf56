/* Commands inside guests. */
#include "drivers/inside/command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/apart.h"
#include "drivers/inside/user.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TERM_DEFAULT "linux"

/* Smaller than PIPE_BUF, so that it comes whole. */
struct report {
	pid_t pid;
	int result; /* 0, or that of the failure */
	struct err error;
};

/* --- In what is to be the command --------------------------------------------------------------
 */

/* As a program expects them: all by default, none held back. */
static void reset_signals(void)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_terminal(struct err *err)
{
	setsid(); /* fails where it leads one already, which is as good */
	return ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0
		       ? err_set(err, ERR_INVALID, "terminal",
				 "standard input cannot be its terminal: %s",
				 strerrordesc_np(errno))
		       : 0;
}

/* Terminals and pipes become the user's: programs open them again by /dev/stderr and the like. */
static void give_descriptors(const struct user *user)
{
	struct stat st;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd)) &&
			fchown(fd, user->uid, user->gid) < 0)
			continue; /* not ours to give: it can still be used */
}

static int become_user(const struct user *user, struct err *err)
{
	if (setgroups(user->groups_count, user->groups) < 0 ||
		setresgid(user->gid, user->gid, user->gid) < 0 ||
		setresuid(user->uid, user->uid, user->uid) < 0)
		return err_set(err, ERR_INVALID, "user",
			"the guest cannot have the user %u with the group %u: %s", user->uid,
			user->gid, strerrordesc_np(errno));
	return 0;
}

static int set_environment(const char *const *env, const struct user *user, struct err *err)
{
	clearenv();
	setenv("PATH", PATH_DEFAULT, 1);
	setenv("HOME", user->home, 1);
	setenv("TERM", TERM_DEFAULT, 1);
	for (; env && *env; env++) {
		const char *equals = strchr(*env, '=');

		if (!equals || equals == *env)
			return err_set(err, ERR_INVALID, "env",
				"\"%.60s\" is no KEY=VALUE of an environment", *env);
		putenv((char *)*env);
	}
	return 0;
}

static int change_directory(const char *cwd, const struct user *user, struct err *err)
{
	if (!cwd)
		return chdir(user->home) < 0 && chdir("/") < 0
			       ? err_errno(err, errno, "cannot change to /")
			       : 0;
	return chdir(cwd) < 0
		       ? err_set(err, ERR_INVALID, "cwd", "%.200s: %s", cwd, strerrordesc_np(errno))
		       : 0;
}

/* Also a program that is there may lack what it needs to be executed. */
static int not_executed(const char *command, int errnum, struct err *err)
{
	if (errnum == ENOENT && strchr(command, '/') && access(command, F_OK) == 0)
		return err_set(err, ERR_INVALID, "command",
			"%.200s needs an interpreter that the guest does not have", command);
	if (errnum == ENOENT || errnum == ENOTDIR)
		return err_set(err, ERR_NOT_FOUND, "command", "the guest has no command \"%.200s\"",
			command);
	return err_set(err, ERR_INVALID, "command", "%.200s cannot be executed: %s", command,
		strerrordesc_np(errnum));
}

static int prepare(const struct driver_exec *exec, int root, struct err *err)
{
	struct user user;
	int r = exec->terminal ? take_terminal(err) : 0;

	if (r == 0)
		r = user_find(root, exec->user, &user, err);
	if (r < 0)
		return r;
	give_descriptors(&user);
	/* Only root can be somebody else: the fake driver may be anybody. */
	r = geteuid() == 0 ? become_user(&user, err) : 0;
	if (r == 0)
		r = set_environment(exec->env, &user, err);
	return r < 0 ? r : change_directory(exec->cwd, &user, err);
}

static bool somebody_reads(int channel)
{
	struct pollfd p = {.fd = channel};

	return poll(&p, 1, 0) == 0;
}

void command_become(const struct driver_exec *exec, int root, int failure, int call)
{
	struct err err = {0};
	int r;

	/* Until it is another program, nobody in the guest has any business with it. */
	prctl(PR_SET_DUMPABLE, 0);
	umask(022);
	r = prepare(exec, root, &err);
	if (r == 0 && !somebody_reads(call))
		_exit(1);
	if (r == 0) {
		for (int fd = 0; fd <= STDERR_FILENO; fd++)
			fcntl(fd, F_SETFD, 0);
		syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, CLOSE_RANGE_CLOEXEC);
		reset_signals();
		execvp(exec->argv[0], (char *const *)exec->argv);
		not_executed(exec->argv[0], errno, &err);
	}
	command_tell_failure(failure, &err);
	_exit(1);
}

/* --- In what waits for it ----------------------------------------------------------------------
 */

static bool tell(int fd, const struct report *report)
{
	return write(fd, report, sizeof(*report)) == sizeof(*report);
}

void command_tell_failure(int fd, const struct err *error)
{
	struct report report = {.result = err_errnum(error->code), .error = *error};

	signal(SIGPIPE, SIG_IGN);
	tell(fd, &report);
}

bool command_tell_started(pid_t pid, int call)
{
	signal(SIGPIPE, SIG_IGN);
	return tell(call, &(struct report){.pid = pid});
}

void command_tell(pid_t pid, int failure, int call)
{
	struct report report;
	ssize_t n;

	signal(SIGPIPE, SIG_IGN);
	do
		n = read(failure, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		report = (struct report){.pid = pid};
	if (!tell(call, &report))
		kill(pid, SIGKILL);
	if (n == 0)
		return;
	waitpid(pid, NULL, 0);
	_exit(1);
}

void command_wait(pid_t pid, int status_fd)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	_exit(write(status_fd, &status, sizeof(status)) != sizeof(status));
}

/* --- In the call -------------------------------------------------------------------------------
 */

static int await(int call, pid_t *ret_pid, struct err *err)
{
	struct report report = {0};
	ssize_t n;

	do
		n = read(call, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(report))
		return err_set(err, ERR_DRIVER, NULL, "the command was not started");
	if (report.result < 0)
		*err = report.error;
	else
		*ret_pid = report.pid;
	return report.result;
}

int command_start(void (*be)(void *data, int call), void *data, pid_t *ret_pid, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	int r = file_pipe(&ours, &theirs, 0);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	r = apart_fork();
	if (r < 0)
		return err_errno(err, r, "cannot fork for a command");
	if (r == 0) {
		be(data, theirs);
		_exit(1);
	}
	theirs = fd_close(theirs);
	return await(ours, ret_pid, err);
}
