/* Starting a driver's process. posix_spawn, because the agent has threads and memory that a plain
 * fork would have to carry. */
#include "drivers/client/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/protocol/wire.h"

static int spawn(const char *program, int wire, pid_t *ret)
{
	char *argv[] = {(char *)program, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(
		&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, wire, WIRE_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, WIRE_FD + 1);
	r = posix_spawn(ret, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

int driver_process_start(const char *program, struct driver_process *ret, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	int pair[2], r;

	r = wire_pair(pair);
	if (r < 0)
		return err_errno(err, r, "cannot make a socket pair for %s", program);
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, errno, "cannot make a socket pair for %s", program);
	r = spawn(program, theirs, &ret->pid);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, "cannot start %s: %s", program,
			strerrordesc_np(-r));
	ret->pidfd = process_pidfd(ret->pid);
	ret->socket = TAKE_FD(ours);
	return 0;
}

void driver_process_end(struct driver_process *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	p->pidfd = fd_close(p->pidfd);
	p->socket = fd_close(p->socket);
}
