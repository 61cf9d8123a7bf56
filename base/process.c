/* Other programs. */
#include "base/process.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#define STDERR_KEPT 300
#define CANCEL_MS   200

/* Exit statuses of what never became the program, as a shell's. */
#define NOT_ENTERED 126
#define NOT_FOUND   127

/* In the child, between fork and exec: only what a signal handler might do. */
static void complain(const char *program, int errnum)
{
	const char *why = strerrordesc_np(errnum);
	const char *const parts[] = {program, ": ", why ? why : "unknown error", "\n"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
			return;
}

/* In the child: the three standard descriptors as told, all others closed, default signals. When
 * the program cannot be run, its negative errno goes to `failure_fd`, or words to stderr where that
 * is -1. */
static void child_exec(const struct process_options *o, int stderr_fd, int failure_fd)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);
	int in = o->stdin_fd >= 0 ? o->stdin_fd : null;
	int out = o->stdout_fd >= 0 ? o->stdout_fd : null;
	int failure;

	/* Above the standard three first, so that none is overwritten before it is used. */
	in = fcntl(in, F_DUPFD, 3);
	out = fcntl(out, F_DUPFD, 3);
	stderr_fd = fcntl(stderr_fd, F_DUPFD, 3);
	if (failure_fd >= 0)
		failure_fd = fcntl(failure_fd, F_DUPFD, 3);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(stderr_fd, 2) < 0)
		_exit(NOT_ENTERED);
	syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	failure = o->enter ? o->enter(o->data) : 0;
	if (failure < 0) {
		complain("cannot confine it", -failure);
		_exit(NOT_ENTERED);
	}
	execvp(o->argv[0], (char *const *)o->argv);
	failure = -errno;
	if (failure_fd < 0)
		complain(o->argv[0], -failure);
	else if (write(failure_fd, &failure, sizeof(failure)) < 0)
		_exit(NOT_ENTERED);
	_exit(NOT_FOUND);
}

/* The last bytes of what a program wrote to stderr. */
struct tail {
	size_t used;
	char text[STDERR_KEPT + 1];
};

/* Takes what is there; false at the end of file. */
static bool tail_read(struct tail *tail, int fd)
{
	char chunk[STDERR_KEPT];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	if (tail->used + (size_t)n > STDERR_KEPT) {
		size_t drop = tail->used + (size_t)n - STDERR_KEPT;

		memmove(tail->text, tail->text + drop, tail->used - drop);
		tail->used -= drop;
	}
	memcpy(tail->text + tail->used, chunk, (size_t)n);
	tail->used += (size_t)n;
	tail->text[tail->used] = '\0';
	return true;
}

/* Milliseconds for poll() until the deadline, rounded up; -1: no deadline; 0: it has passed. */
static int wait_ms(int64_t deadline_ns)
{
	int64_t left;

	if (!deadline_ns)
		return -1;
	left = deadline_ns - clock_monotonic_ns();
	if (left <= 0)
		return 0;
	left = left / 1000000 + 1;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Reads stderr until the process has ended: not until the end of file, which a daemon that it
 * left behind may keep away, or which may come long before. -ETIMEDOUT, -ECANCELED. */
static int follow(
	const struct process_options *o, int pidfd, int fd, int64_t deadline_ns, struct tail *tail)
{
	struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	for (;;) {
		int wait = wait_ms(deadline_ns);

		if (wait == 0)
			return -ETIMEDOUT;
		if (o->cancelled && o->cancelled(o->data) != 0)
			return -ECANCELED;
		if (o->cancelled && (wait < 0 || wait > CANCEL_MS))
			wait = CANCEL_MS;
		if (poll(p, ARRAY_SIZE(p), wait) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		/* What it wrote before its end is there at its end: read all of that first. */
		if (p[1].fd >= 0 && p[1].revents) {
			if (!tail_read(tail, fd))
				p[1].fd = -1;
		} else if (p[0].revents) {
			return 0;
		}
	}
}

static void tail_trim(struct tail *tail)
{
	while (tail->used > 0 && tail->text[tail->used - 1] == '\n')
		tail->text[--tail->used] = '\0';
}

static int report(const struct process_options *o, int status, const char *text, struct err *err)
{
	bool ran = WIFEXITED(status) && WEXITSTATUS(status) != NOT_ENTERED &&
		   WEXITSTATUS(status) != NOT_FOUND;

	if (ran && o->ret_status)
		*o->ret_status = WEXITSTATUS(status);
	if (ran && (WEXITSTATUS(status) == 0 || o->ret_status))
		return 0;
	if (WIFEXITED(status))
		return err_set(err, ERR_INTERNAL, NULL, "%s exited with status %d: %s", o->argv[0],
			WEXITSTATUS(status), text);
	return err_set(err, ERR_INTERNAL, NULL, "%s was killed by signal %d: %s", o->argv[0],
		WTERMSIG(status), text);
}

static int64_t deadline_of(uint64_t timeout_ms)
{
	int64_t now = clock_monotonic_ns();

	if (!timeout_ms)
		return 0;
	return timeout_ms > (uint64_t)(INT64_MAX - now) / 1000000
		       ? INT64_MAX
		       : now + (int64_t)timeout_ms * 1000000;
}

/* In the child. It ends with us: after our death nobody knows of it, and what it was doing is begun
 * again. A group of its own lets its children be ended with it. */
static void child_run(const struct process_options *o, int stderr_fd, pid_t parent)
{
	setpgid(0, 0);
	/* A parent in another pid namespace reads as 0. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (getppid() != parent && getppid() != 0))
		_exit(NOT_ENTERED);
	child_exec(o, stderr_fd, -1);
}

/* Waits for the end of the child; at the deadline its whole group is killed. */
static int finish(const struct process_options *o, pid_t pid, int stderr_fd, struct tail *tail,
	int *ret_status)
{
	AUTOCLOSE int pidfd = process_pidfd(pid);
	int64_t deadline = deadline_of(o->timeout_ms);
	int r = pidfd < 0 ? pidfd : follow(o, pidfd, stderr_fd, deadline, tail);

	if (r < 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	return r;
}

int process_run(const struct process_options *o, struct err *err)
{
	AUTOCLOSE int read_end = -1;
	AUTOCLOSE int write_end = -1;
	struct tail tail = {0};
	pid_t pid, self = getpid();
	int status = 0, r = file_pipe(&read_end, &write_end, 0);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe for %s", o->argv[0]);
	if (fcntl(read_end, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, errno, "cannot read what %s writes", o->argv[0]);
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start %s", o->argv[0]);
	if (pid == 0)
		child_run(o, write_end, self);
	setpgid(pid, pid); /* here too: whoever comes first */
	write_end = fd_close(write_end);
	r = finish(o, pid, read_end, &tail, &status);
	tail_trim(&tail);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, NULL, "%s did not end within %llu ms: %s",
			o->argv[0], (unsigned long long)o->timeout_ms, tail.text);
	if (r == -ECANCELED)
		return err_set(err, ERR_CANCELLED, NULL, "%s was cancelled", o->argv[0]);
	if (r < 0)
		return err_errno(err, r, "cannot wait for %s", o->argv[0]);
	return report(o, status, tail.text, err);
}

int process_read(
	const char *const *argv, uint64_t timeout_ms, size_t max, char **ret_text, struct err *err)
{
	AUTOCLOSE int fd = memfd_create("output", MFD_CLOEXEC);
	const struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = fd, .timeout_ms = timeout_ms};
	int r = fd < 0 ? err_errno(err, errno, "cannot run %s", argv[0])
		       : process_run(&options, err);

	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 || (r = file_read_fd(fd, max, ret_text, NULL)) < 0)
		return err_errno(err, r < 0 ? r : errno, "cannot read what %s says", argv[0]);
	return 0;
}

bool process_is_installed(const char *program)
{
	AUTOFREE char *copy =
		strdup("/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
	char *rest = copy, *folder;
	char path[PATH_MAX];

	while ((folder = strsep(&rest, ":")))
		if (file_path(path, sizeof(path), "%s/%s", folder, program) == 0 &&
			access(path, X_OK) == 0)
			return true;
	return false;
}

/* In the process between: has the program started by a grandchild, tells its pid, and ends. */
static void child_detach(const struct process_options *o, int tell_fd)
{
	pid_t pid;

	setsid();
	pid = fork();
	if (pid == 0)
		child_exec(o, STDERR_FILENO, tell_fd);
	if (pid < 0)
		pid = -errno;
	if (write(tell_fd, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	_exit(0);
}

/* What the two children tell, in any order: the pid, and the negative errno of a failed start. The
 * end of file is the start of the program, since exec closes its end. */
static pid_t hear_start(int fd)
{
	pid_t pid = -EIO, heard;
	bool failed = false;

	for (;;) {
		ssize_t n = read(fd, &heard, sizeof(heard));

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(heard))
			return pid;
		if (!failed)
			pid = heard;
		failed = failed || heard < 0;
	}
}

pid_t process_start_detached(const struct process_options *o, struct err *err)
{
	AUTOCLOSE int read_end = -1;
	AUTOCLOSE int write_end = -1;
	int status, r = file_pipe(&read_end, &write_end, 0);
	pid_t middle, pid;

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe for %s", o->argv[0]);
	middle = fork();
	if (middle < 0)
		return err_errno(err, errno, "cannot start %s", o->argv[0]);
	if (middle == 0)
		child_detach(o, write_end);
	write_end = fd_close(write_end);
	pid = hear_start(read_end);
	while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 ? pid : err_errno(err, pid, "cannot start %s", o->argv[0]);
}

int process_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int process_signal(int pidfd, int signal)
{
	if (pidfd < 0)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int process_start_time(pid_t pid, uint64_t *ret)
{
	AUTOFREE char *text = NULL;
	unsigned long long ticks;
	char path[64];
	char *after;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	r = file_read(path, 4096, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	/* The command's name, in brackets, may hold anything: fields count from the last bracket.
	 */
	after = strrchr(text, ')');
	if (!after || sscanf(after + 1,
			      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			      " %*d %*d %llu",
			      &ticks) != 1)
		return -EBADMSG;
	*ret = ticks;
	return 0;
}

int process_set_limits(const struct process_limit *limits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct rlimit limit = {limits[i].most, limits[i].most};

		if (setrlimit((__rlimit_resource_t)limits[i].what, &limit) < 0)
			return -errno;
	}
	return 0;
}

void process_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}
