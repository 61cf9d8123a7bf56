/* Commands in guests; see command.h. */
#include "agent/life/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/node/agent.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

struct command {
	struct agent *agent;
	struct command_wanted wanted; /* no more of it than is called */
	bool cancelled;
	bool asked; /* the driver has not answered yet */
	int fd;	    /* gets the wait status */
	sd_event_source *io, *timer;
};

static void command_free(struct command *command)
{
	sd_event_source_disable_unref(command->io);
	sd_event_source_disable_unref(command->timer);
	fd_close(command->fd);
	free(command);
}

/* While the driver has not answered it is kept for the answer. */
static void let_go(struct command *command)
{
	command->cancelled = true;
	command->io = sd_event_source_disable_unref(command->io);
	command->timer = sd_event_source_disable_unref(command->timer);
	if (!command->asked)
		command_free(command);
}

static void end(struct command *command, const int *status, const struct err *err)
{
	const struct command_wanted wanted = command->wanted;

	let_go(command);
	wanted.ended(wanted.data, status, err);
}

static int ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct command *command = data;
	struct err err;
	int status;

	(void)source;
	(void)events;
	if (command->asked) {
		/* One that could not be run ends with the answer that says why. */
		sd_event_source_set_enabled(command->io, SD_EVENT_OFF);
	} else if (read(fd, &status, sizeof(status)) == sizeof(status)) {
		end(command, &status, NULL);
	} else {
		err_set(&err, ERR_INTERNAL, NULL, "its end was not seen");
		end(command, NULL, &err);
	}
	return 0;
}

static int too_long(sd_event_source *source, uint64_t usec, void *data)
{
	struct command *command = data;
	struct err err;

	(void)source;
	(void)usec;
	err_set(&err, ERR_TIMEOUT, NULL, "the command did not end in time");
	end(command, NULL, &err);
	return 0;
}

static void replied(void *data, const struct driver_reply *reply)
{
	struct command *command = data;

	command->asked = false;
	if (command->cancelled) {
		command_free(command);
	} else if (reply->result < 0) {
		end(command, NULL, &reply->error);
	} else {
		sd_event_source_set_enabled(command->io, SD_EVENT_ON);
		if (command->wanted.began)
			command->wanted.began(command->wanted.data);
	}
}

/* What it reads; all of it is in the pipe before the command runs. */
static int make_input(const char *text, int *ret, struct err *err)
{
	AUTOCLOSE int from = -1;
	AUTOCLOSE int to = -1;
	size_t size = text ? strlen(text) : 0;
	int r;

	if (!text) {
		*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return *ret < 0 ? err_errno(err, errno, "cannot open /dev/null") : 0;
	}
	r = file_pipe(&from, &to, 0);
	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	/* A pipe holds whole pages. */
	if (fcntl(to, F_GETPIPE_SZ) < (int)size + 8192 &&
		fcntl(to, F_SETPIPE_SZ, (int)size + 8192) < 0)
		return err_errno(err, errno, "cannot make a pipe of %zu bytes", size);
	r = file_write_all(to, text, size);
	if (r < 0)
		return err_errno(err, r, "cannot fill a pipe");
	*ret = TAKE_FD(from);
	return 0;
}

static int ask(struct command *command, const struct guest *guest, int status_fd, struct err *err)
{
	struct agent_driver *driver = agent_driver(command->agent, guest->driver, err);
	AUTOCLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	AUTOCLOSE int input = -1;
	int r = driver ? make_input(command->wanted.input, &input, err) : -ENODEV;

	const struct driver_exec exec = {.argv = command->wanted.argv,
		.stdin_fd = input,
		.stdout_fd = null,
		.stderr_fd = null,
		.status_fd = status_fd};
	const struct driver_request request = {
		.call = DRIVER_CALL_EXEC, .id = guest->id, .exec = &exec};

	if (r < 0)
		return r;
	if (null < 0)
		return err_errno(err, errno, "cannot open /dev/null");
	return driver_client_call(driver->client, &request, replied, command, err);
}

static int watch(struct command *command, struct err *err)
{
	sd_event *loop = command->agent->loop;
	uint64_t timeout_us = command->wanted.timeout_ms * 1000;
	int r = sd_event_add_io(loop, &command->io, command->fd, EPOLLIN, ready, command);

	if (r >= 0 && timeout_us > 0)
		r = sd_event_add_time_relative(
			loop, &command->timer, CLOCK_MONOTONIC, timeout_us, 0, too_long, command);
	return r < 0 ? err_errno(err, r, "cannot watch a pipe") : 0;
}

static int begin(struct command *command, const struct guest *guest, struct err *err)
{
	AUTOCLOSE int status_fd = -1;
	int r = file_pipe(&command->fd, &status_fd, O_NONBLOCK);

	if (r < 0)
		return err_errno(err, r, "cannot make a pipe");
	r = watch(command, err);
	if (r == 0)
		r = ask(command, guest, status_fd, err);
	command->asked = r == 0;
	return r;
}

int command_start(struct agent *agent, const struct guest *guest,
	const struct command_wanted *wanted, struct command **ret, struct err *err)
{
	struct command *command = calloc(1, sizeof(*command));
	int r;

	if (!command)
		return err_errno(err, ENOMEM, "cannot run a command");
	*command = (struct command){.agent = agent, .wanted = *wanted, .fd = -1};
	r = begin(command, guest, err);
	if (r < 0)
		command_free(command);
	else
		*ret = command;
	return r;
}

struct command *command_cancel(struct command *command)
{
	if (command)
		let_go(command);
	return NULL;
}
