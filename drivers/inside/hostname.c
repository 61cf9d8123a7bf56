/* The host name of a guest, which belongs to its UTS namespace. */
#include "drivers/inside/hostname.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define KERNEL_MAX (sizeof(((struct utsname *)0)->nodename) - 1)

int hostname_length(const char *name)
{
	size_t length = strlen(name);

	return (int)(length <= KERNEL_MAX ? length : strcspn(name, "."));
}

static bool is_ours(int namespace)
{
	struct stat ours, theirs;

	return stat("/proc/self/ns/uts", &ours) == 0 && fstat(namespace, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* In a process of its own: who went there does not come back. */
static int set_inside(int namespace, const char *name)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(setns(namespace, CLONE_NEWUTS) < 0 ||
					sethostname(name, (size_t)hostname_length(name)) < 0
				? errno
				: 0);
	if (child < 0)
		return -errno;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int hostname_set(pid_t init, const char *name, struct err *err)
{
	AUTOCLOSE int namespace = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/uts", init);
	namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace < 0 && errno == ENOENT)
		return 0; /* it has ended meanwhile */
	/* One that shares the node's namespace has the node's name. */
	if (namespace >= 0 && is_ours(namespace))
		return 0;
	r = namespace < 0 ? -errno : set_inside(namespace, name);
	return r < 0 ? err_errno(err, r, "cannot give the guest the host name %s", name) : 0;
}
