/* A check by a command inside the guest: good when it exits with status 0. Its streams are
 * /dev/null; how it ended comes through a pipe. One that takes too long is killed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/life/check_internal.h"
#include "agent/node/agent.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"

/* The command runs, or could not be. It may have been waited for in vain already. */
static void replied(void *data, const struct driver_reply *reply)
{
	struct check *check = data;

	check->asked = false;
	/* From here on it is held by more than its number, which may be given out again. */
	if (reply->result == 0)
		check->pidfd = process_pidfd(reply->pid);
	if (!check->done) {
		process_signal(check->pidfd, SIGKILL);
		check_free(check);
	} else if (reply->result < 0) {
		check_end(check, reply->error.message);
	}
}

static int ask(struct check *check, const struct guest *guest, int status_fd, struct err *err)
{
	struct agent_driver *driver = agent_driver(check->agent, guest->driver, err);
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct driver_exec exec = {.argv = (const char *const *)guest->health.command,
		.stdin_fd = null,
		.stdout_fd = null,
		.stderr_fd = null,
		.status_fd = status_fd};
	const struct driver_request request = {
		.call = DRIVER_CALL_EXEC, .id = guest->id, .exec = &exec};

	if (!driver)
		return err_errnum(ERR_UNAVAILABLE);
	if (null < 0)
		return err_errno(err, errno, "cannot open /dev/null");
	return driver_client_call(driver->client, &request, replied, check, err);
}

static int exec_begin(struct check *check, const struct guest *guest, struct err *err)
{
	AUTOCLOSE int status_fd = -1;
	int r = file_pipe(&check->fd, &status_fd, O_NONBLOCK);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	r = check_wait(check, EPOLLIN, err);
	if (r == 0)
		r = ask(check, guest, status_fd, err);
	check->asked = r == 0;
	return r;
}

static void exec_ready(struct check *check, uint32_t events)
{
	char why[CHECK_WHY_MAX];
	int status;

	(void)events;
	if (read(check->fd, &status, sizeof(status)) != sizeof(status)) {
		/* A command that could not be run ends with the reply that says why. */
		if (check->asked)
			sd_event_source_set_enabled(check->io, SD_EVENT_OFF);
		else
			check_end(check, "the end of the command was not seen");
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "the command was ended by signal %d", WTERMSIG(status));
	else
		snprintf(
			why, sizeof(why), "the command exited with status %d", WEXITSTATUS(status));
	check_end(check, status == 0 ? NULL : why);
}

static bool exec_end(struct check *check)
{
	process_signal(check->pidfd, SIGKILL);
	/* The reply of the driver will free it. */
	if (check->asked) {
		check->timer = sd_event_source_disable_unref(check->timer);
		check->io = sd_event_source_disable_unref(check->io);
	}
	return !check->asked;
}

const struct check_kind CHECK_EXEC = {.begin = exec_begin, .ready = exec_ready, .end = exec_end};
