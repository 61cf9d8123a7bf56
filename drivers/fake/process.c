/* The processes that stand for fake guests. */
#include "drivers/fake/process.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/process.h"

#define KILL_WAIT_MS 5000

/* In the guest. Locks of open files, unlike those of processes, can be asked about without taking
 * them, and end with their process. */
static void be_guest(const char *pid_file, bool stubborn, int ready)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(pid_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0 || ftruncate(fd, 0) < 0 ||
		file_write_all(fd, pid, strlen(pid)) < 0)
		_exit(1);
	prctl(PR_SET_NAME, "fake-guest");
	signal(SIGTERM, stubborn ? SIG_IGN : SIG_DFL);
	if (write(ready, "", 1) != 1)
		_exit(1);
	fd = dup2(fd, 0);
	syscall(SYS_close_range, 1U, ~0U, 0U);
	for (;;)
		pause();
}

int fake_process_start(const char *pid_file, bool stubborn, struct err *err)
{
	AUTOCLOSE int read_end = -1;
	AUTOCLOSE int write_end = -1;
	int status, r;
	char byte;
	pid_t middle;

	if (fake_process_pid(pid_file) > 0)
		return 0;
	r = file_pipe(&read_end, &write_end, 0);
	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	middle = fork();
	if (middle < 0)
		return err_errno(err, errno, "cannot start a fake guest");
	if (middle == 0) {
		setsid();
		if (fork() == 0)
			be_guest(pid_file, stubborn, write_end);
		_exit(0);
	}
	write_end = fd_close(write_end);
	while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
		;
	/* It is also there when another call was faster. */
	if (read(read_end, &byte, 1) != 1 && fake_process_pid(pid_file) == 0)
		return err_set(err, ERR_DRIVER, NULL, "the fake guest did not come up");
	return 0;
}

pid_t fake_process_pid(const char *pid_file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	AUTOCLOSE int fd = open(pid_file, O_RDWR | O_CLOEXEC);
	AUTOFREE char *text = NULL;
	uint64_t pid = 0;

	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	if (file_read(pid_file, 16, &text, NULL) < 0 || parse_u64(text, INT_MAX, &pid) < 0)
		return 0;
	return (pid_t)pid;
}

bool fake_process_is_frozen(pid_t pid)
{
	AUTOFREE char *text = NULL;
	const char *after;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(path, 4096, &text, NULL) < 0)
		return false;
	after = strrchr(text, ')');
	return after && strncmp(after, ") T", 3) == 0;
}

uint64_t fake_process_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool wait_end(int pidfd, uint64_t ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms) == 1;
}

int fake_process_end(const char *pid_file, int signal, uint64_t timeout_ms, struct err *err)
{
	pid_t pid = fake_process_pid(pid_file);
	AUTOCLOSE int pidfd = pid > 0 ? process_pidfd(pid) : -1;

	/* The lock still held says that the descriptor is of the guest and not of a later process
	 * with the same pid. */
	if (pidfd >= 0 && fake_process_pid(pid_file) == pid) {
		kill(pid, signal);
		kill(pid, SIGCONT);
		if (!wait_end(pidfd, timeout_ms))
			kill(pid, SIGKILL);
		if (!wait_end(pidfd, KILL_WAIT_MS))
			return err_set(err, ERR_DRIVER, NULL, "fake guest %d does not end", pid);
	}
	unlink(pid_file);
	return 0;
}
