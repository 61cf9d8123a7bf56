/* Other programs. */
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#define STDERR_KEPT 300

/* In the child: the three standard descriptors as told, all others closed, default signals. */
static void child_exec(const struct process_options *o, int stderr_fd)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);
	int in = o->stdin_fd >= 0 ? o->stdin_fd : null;
	int out = o->stdout_fd >= 0 ? o->stdout_fd : null;

	/* Above the standard three first, so that none is overwritten before it is used. */
	in = fcntl(in, F_DUPFD, 3);
	out = fcntl(out, F_DUPFD, 3);
	stderr_fd = fcntl(stderr_fd, F_DUPFD, 3);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(stderr_fd, 2) < 0)
		_exit(126);
	syscall(SYS_close_range, 3U, ~0U, 0U);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(o->argv[0], (char *const *)o->argv);
	dprintf(2, "%s: %s\n", o->argv[0], strerror(errno));
	_exit(127);
}

/* Keeps the last bytes of what comes until the end of file or the deadline: -ETIMEDOUT. */
static int drain(int fd, int64_t deadline_ns, char kept[static STDERR_KEPT + 1])
{
	size_t used = 0;
	char chunk[STDERR_KEPT];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int wait_ms = -1;
		ssize_t n;

		if (deadline_ns) {
			int64_t left = deadline_ns - clock_monotonic_ns();

			if (left <= 0)
				return -ETIMEDOUT;
			wait_ms = (int)(left / 1000000) + 1;
		}
		if (poll(&p, 1, wait_ms) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return 0;
		if (used + (size_t)n > STDERR_KEPT) {
			size_t drop = used + (size_t)n - STDERR_KEPT;

			memmove(kept, kept + drop, used - drop);
			used -= drop;
		}
		memcpy(kept + used, chunk, (size_t)n);
		used += (size_t)n;
		kept[used] = '\0';
	}
}

static int report(const struct process_options *o, int status, char *text, struct err *err)
{
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		return err_set(err, ERR_INTERNAL, NULL, "%s exited with status %d: %s", o->argv[0],
			WEXITSTATUS(status), text);
	return err_set(err, ERR_INTERNAL, NULL, "%s was killed by signal %d: %s", o->argv[0],
		WTERMSIG(status), text);
}

int process_run(const struct process_options *o, struct err *err)
{
	AUTOCLOSE int read_end = -1;
	AUTOCLOSE int write_end = -1;
	char text[STDERR_KEPT + 1] = "";
	int64_t deadline =
		o->timeout_ms ? clock_monotonic_ns() + (int64_t)o->timeout_ms * 1000000 : 0;
	int pipefd[2], status = 0, r;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe for %s", o->argv[0]);
	read_end = pipefd[0];
	write_end = pipefd[1];
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start %s", o->argv[0]);
	if (pid == 0)
		child_exec(o, write_end);
	write_end = fd_close(write_end);
	r = drain(read_end, deadline, text);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_set(err, ERR_TIMEOUT, NULL, "%s did not end within %llu ms", o->argv[0],
			(unsigned long long)o->timeout_ms);
	return report(o, status, text, err);
}

pid_t process_start_detached(const struct process_options *o, struct err *err)
{
	AUTOCLOSE int read_end = -1;
	AUTOCLOSE int write_end = -1;
	pid_t middle, pid = 0;
	int pipefd[2], status;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe for %s", o->argv[0]);
	read_end = pipefd[0];
	write_end = pipefd[1];
	middle = fork();
	if (middle < 0)
		return err_errno(err, errno, "cannot start %s", o->argv[0]);
	if (middle == 0) {
		setsid();
		pid = fork();
		if (pid == 0)
			child_exec(o, STDERR_FILENO);
		if (write(write_end, &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		_exit(0);
	}
	write_end = fd_close(write_end);
	if (read(read_end, &pid, sizeof(pid)) != sizeof(pid))
		pid = -EIO;
	while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 ? pid : err_errno(err, EIO, "cannot start %s", o->argv[0]);
}

int process_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
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
