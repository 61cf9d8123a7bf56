/* Commands of fake guests. As with real drivers a process of its own waits for the end of each: of
 * the command, or of the guest, with which the command ends too. */
#include "drivers/fake/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/inside/apart.h"
#include "drivers/inside/command.h"

#define WAIT_STEPS 5000 /* of a millisecond */

/* Where everything is in the process that waits. */
enum { IN, OUT, ERRS, STATUS, CHANNEL, ROOT, GUEST, LOCK };

/* The guest may end first. */
static void wait_for(pid_t command)
{
	struct pollfd p[] = {
		{.fd = process_pidfd(command), .events = POLLIN}, {.fd = GUEST, .events = POLLIN}};

	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	if (!p[0].revents) {
		kill(-command, SIGKILL);
		kill(command, SIGKILL);
	}
	command_wait(command, STATUS);
}

/* With nothing of the node's in sight: what is run in a machine may change what it finds. */
static void shut_in(void)
{
	if (fchdir(ROOT) < 0 || chroot(".") < 0)
		_exit(1);
}

static void wait_in_background(const struct driver_exec *exec, bool machine)
{
	int failure[2];
	pid_t pid = pipe2(failure, O_CLOEXEC) < 0 ? -1 : fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		if (machine)
			shut_in();
		command_become(exec, ROOT, failure[1], CHANNEL);
	}
	for (int fd = IN; fd <= ERRS; fd++)
		close(fd);
	if (pid < 0)
		_exit(1);
	close(failure[1]);
	command_tell(pid, failure[0], CHANNEL);
	close(CHANNEL);
	prctl(PR_SET_NAME, "fake-waiter");
	wait_for(pid);
}

/* The lock is held for as long as the process that waits lives. */
static int open_lock(const char *path)
{
	AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd >= 0 && flock(fd, LOCK_SH) == 0 ? TAKE_FD(fd) : -1;
}

/* What was asked for, and what is held meanwhile. */
struct asked {
	const struct driver_exec *exec;
	bool machine;
	int root, guest, lock;
};

static void be_waiter(void *data, int call)
{
	struct asked asked = *(const struct asked *)data;
	struct driver_exec e = *asked.exec;
	int *const fds[] = {&e.stdin_fd, &e.stdout_fd, &e.stderr_fd, &e.status_fd, &call,
		&asked.root, &asked.guest, &asked.lock};

	apart_keep_only(fds, ARRAY_SIZE(fds));
	wait_in_background(&e, asked.machine);
}

int fake_exec_start(const struct driver_exec *exec, const struct fake_exec *where, pid_t *ret_pid,
	struct err *err)
{
	AUTOCLOSE int guest = process_pidfd(where->guest);
	AUTOCLOSE int root = open(where->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTOCLOSE int lock = open_lock(where->lock_file);
	struct asked asked = {exec, where->machine, root, guest, lock};

	if (guest < 0 || root < 0 || lock < 0)
		return err_errno(err, errno, "cannot run a command");
	return command_start(be_waiter, &asked, ret_pid, err);
}

void fake_exec_wait_all(const char *lock_file)
{
	AUTOCLOSE int lock = open(lock_file, O_RDWR | O_CLOEXEC);

	for (int i = 0; lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0 && i < WAIT_STEPS; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	unlink(lock_file);
}
