/* The sieve's process, from outside: started, confined, ended. */
#include "drivers/docker/sieve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/docker/sieve_internal.h"

#define NOBODY	   65534
#define MEMORY_MAX (512UL * 1024 * 1024) /* what the largest windows of compression need */

/* --- In the process -------------------------------------------------------------------------- */

enum { AT_ARCHIVE = 3, AT_WHOLE, AT_OUT, AT_REPORT, AT_END };

/* It has nothing open but what it is for. */
static void keep_only(int *archive, int *whole, int *out, int *report)
{
	int *fds[] = {archive, whole, out, report};

	for (int i = 0; i < (int)ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			*fds[i] = fcntl(*fds[i], F_DUPFD, AT_END);
	for (int i = 0; i < (int)ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			*fds[i] = dup2(*fds[i], AT_ARCHIVE + i);
	close_range(AT_END, ~0U, 0);
}

static bool confine(void)
{
	struct rlimit none = {0}, memory = {MEMORY_MAX, MEMORY_MAX};

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (setrlimit(RLIMIT_AS, &memory) < 0)
		return false;
#else
	(void)memory;
#endif
	/* It sees no network and no files but the list of those that it has open. */
	return unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 && chroot("/proc/self/fdinfo") == 0 &&
	       chdir("/") == 0 && setrlimit(RLIMIT_FSIZE, &none) == 0 &&
	       setrlimit(RLIMIT_NPROC, &none) == 0 && setgroups(0, NULL) == 0 &&
	       setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
}

static void become_sieve(struct sieve_work work, pid_t parent, int out, int report)
{
	struct err err = {0};

	signal(SIGPIPE, SIG_IGN);
	keep_only(&work.fd, &work.whole_fd, &out, &report);
	if (!confine())
		err_errno(&err, errno, "cannot confine what reads archives");
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* after what takes it away */
	if (getppid() != parent)
		_exit(1);
	if (err.code == ERR_OK)
		sieve_run(&work, out, &err);
	/* Whoever sees the end of `out` finds this. */
	_exit(file_write_all(report, &err, sizeof(err)) < 0);
}

/* --- From outside ---------------------------------------------------------------------------- */

int sieve_start(const struct sieve_work *work, struct sieve *ret, struct err *err)
{
	AUTOCLOSE int out = -1, child_out = -1, report = -1, child_report = -1;
	pid_t parent = getpid();
	int r = file_pipe(&out, &child_out, 0);

	if (r == 0)
		r = file_pipe(&report, &child_report, 0);
	if (r < 0)
		return err_errno(err, r, "cannot start what reads archives");
	*ret = (struct sieve){.out = TAKE_FD(out), .report = TAKE_FD(report), .pid = fork()};
	if (ret->pid == 0)
		become_sieve(*work, parent, child_out, child_report);
	if (ret->pid < 0) {
		int errnum = errno;

		sieve_finish(ret);
		return err_errno(err, errnum, "cannot start what reads archives");
	}
	return 0;
}

int sieve_end(struct sieve *s, struct err *err)
{
	struct err told = {0};
	ssize_t n;

	do
		n = read(s->report, &told, sizeof(told));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(told))
		return err_set(err, ERR_INVALID, NULL,
			"the archive could not be read: it needs more than %lu MiB of memory, or "
			"what reads it died of it",
			MEMORY_MAX / 1024 / 1024);
	if (told.code != ERR_OK && err)
		*err = told;
	return told.code == ERR_OK ? 0 : err_errnum(told.code);
}

void sieve_finish(struct sieve *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	s->pid = 0;
	s->out = fd_close(s->out);
	s->report = fd_close(s->report);
}
