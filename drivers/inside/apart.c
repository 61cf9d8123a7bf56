/* Processes that belong to no call. */
#include "drivers/inside/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASIDE 64

int apart_fork(void)
{
	pid_t middle = fork(), inner;

	if (middle < 0)
		return -errno;
	if (middle == 0) {
		setsid();
		inner = fork();
		if (inner == 0)
			return 0;
		_exit(inner < 0 ? errno : 0);
	}

	int status = 0;

	while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1
	       : WIFEXITED(status)			     ? -WEXITSTATUS(status)
							     : -EAGAIN;
}

void apart_keep_only(int *const *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*fds[i] = *fds[i] >= 0 ? fcntl(*fds[i], F_DUPFD_CLOEXEC, ASIDE) : -1;
	syscall(SYS_close_range, 0U, ASIDE - 1U, 0U);
	for (size_t i = 0; i < count; i++)
		*fds[i] = *fds[i] >= 0 ? fcntl(*fds[i], F_DUPFD_CLOEXEC, 0) : -1;
	syscall(SYS_close_range, (unsigned)count, ~0U, 0U);
}
