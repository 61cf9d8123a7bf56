/* The command's side of a session. */
#include "session/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "session/terminal.h"

#define PIECE 32768

static int set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* --- Opening --------------------------------------------------------------------------------- */

static int open_terminal(
	struct command *command, const struct command_options *options, int theirs[])
{
	int r = terminal_open(options->init, &command->out, &theirs[0]);

	if (r < 0)
		return r;
	command->in = command->out;
	terminal_resize(command->out, options->rows, options->columns);
	for (int i = 1; i < 3; i++) {
		theirs[i] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 3);
		if (theirs[i] < 0)
			return -errno;
	}
	return 0;
}

static int open_pipes(struct command *command, bool input, int theirs[])
{
	int r = 0;

	if (input)
		r = file_pipe(&theirs[0], &command->in, 0);
	else if ((theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	if (r == 0)
		r = file_pipe(&command->out, &theirs[1], 0);
	if (r == 0)
		r = file_pipe(&command->err, &theirs[2], 0);
	if (r == 0 && input)
		r = set_nonblocking(command->in);
	if (r == 0)
		r = set_nonblocking(command->out);
	return r < 0 ? r : set_nonblocking(command->err);
}

static int open_console(struct command *command, int theirs[])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	command->in = command->out = fds[0];
	theirs[0] = fds[1];
	return set_nonblocking(fds[0]);
}

static int open_ends(struct command *command, const struct command_options *options, int theirs[])
{
	int r;

	if (options->kind == SESSION_CONSOLE)
		return open_console(command, theirs);
	r = file_pipe(&command->status, &theirs[3], 0);
	if (r < 0)
		return r;
	return options->terminal ? open_terminal(command, options, theirs)
				 : open_pipes(command, options->input, theirs);
}

int command_open(struct command *command, const struct command_options *options,
	int ret_theirs[static CONTROL_FDS_MAX], size_t *ret_count)
{
	int r;

	*command = (struct command){.kind = options->kind,
		.terminal = options->terminal,
		.in = -1,
		.out = -1,
		.err = -1,
		.status = -1,
		.pidfd = -1};
	*ret_count = options->kind == SESSION_CONSOLE ? 1 : 4;
	for (size_t i = 0; i < CONTROL_FDS_MAX; i++)
		ret_theirs[i] = -1;
	command->input = malloc(INPUT_MAX);
	r = command->input ? open_ends(command, options, ret_theirs) : -ENOMEM;
	for (size_t i = 0; r < 0 && i < CONTROL_FDS_MAX; i++)
		ret_theirs[i] = fd_close(ret_theirs[i]);
	return r;
}

void command_started(struct command *command, pid_t pid)
{
	command->pid = pid;
	if (pid > 0 && !command->exited)
		command->pidfd = process_pidfd(pid);
}

/* --- Input ----------------------------------------------------------------------------------- */

size_t command_input_room(const struct command *command)
{
	return INPUT_MAX - command->input_used;
}

static void end_input(struct command *command)
{
	command->input_over = true;
	command->input_used = 0;
	if (command->in != command->out)
		command->in = fd_close(command->in);
}

void command_type(struct command *command, const char *data, size_t size)
{
	if (command->input_over || command->input_ends || command->in < 0)
		return;
	if (size > command_input_room(command))
		size = command_input_room(command);
	memcpy(command->input + command->input_used, data, size);
	command->input_used += size;
	command_flush_input(command);
}

void command_type_end(struct command *command)
{
	if (command->input_ends || command->in < 0)
		return;
	if (command->terminal) {
		char eof = terminal_eof(command->in);

		if (eof)
			command_type(command, &eof, 1);
	} else if (command->kind == SESSION_EXEC) {
		command->input_ends = true;
		command_flush_input(command);
	}
}

bool command_has_input(const struct command *command)
{
	return command->in >= 0 && command->input_used > 0;
}

void command_flush_input(struct command *command)
{
	size_t done = 0;

	while (command->in >= 0 && done < command->input_used) {
		ssize_t n = write(command->in, command->input + done, command->input_used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			end_input(command); /* it reads no more */
			return;
		}
		done += (size_t)n;
	}
	command->input_used -= done;
	memmove(command->input, command->input + done, command->input_used);
	if (command->input_used == 0 && command->input_ends)
		end_input(command);
}

/* --- Output and end -------------------------------------------------------------------------- */

int command_read(struct command *command, int *fd, enum frame_type type, struct ring *ring)
{
	static char piece[PIECE];
	ssize_t n;

	do
		n = read(*fd, piece, sizeof(piece));
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		ring_push(ring, type, piece, (size_t)n);
		return 1;
	}
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (command->terminal && !command->exited) {
		command->deserted = true;
		return 0;
	}
	if (command->in == *fd)
		command->in = -1;
	*fd = fd_close(*fd);
	return -1;
}

void command_read_status(struct command *command)
{
	ssize_t n;

	do
		n = read(command->status, &command->wait_status, sizeof(command->wait_status));
	while (n < 0 && errno == EINTR);
	command->lost = n != sizeof(command->wait_status);
	command->exited = true;
	command->status = fd_close(command->status);
	command->pidfd = fd_close(command->pidfd);
	end_input(command);
}

void command_lose(struct command *command)
{
	command->lost = command->exited = true;
	command->status = fd_close(command->status);
	command->pidfd = fd_close(command->pidfd);
	end_input(command);
}

int command_signal(const struct command *command, int number)
{
	/* Also for one that is a zombie still: until it is reaped its number is no other's. */
	int r = process_signal(command->pidfd, 0);

	if (r < 0)
		return r;
	if (getpgid(command->pid) == command->pid)
		return kill(-command->pid, number) < 0 ? -errno : 0;
	return process_signal(command->pidfd, number);
}

void command_hang_up(struct command *command)
{
	if (command->kind == SESSION_EXEC && !command->terminal) {
		command_signal(command, SIGHUP);
		return;
	}
	/* The kernel hangs up for us: to all who have it for their terminal. */
	command->out = fd_close(command->out);
	command->in = -1;
}

void command_close(struct command *command)
{
	if (command->in != command->out)
		fd_close(command->in);
	fd_close(command->out);
	fd_close(command->err);
	fd_close(command->status);
	fd_close(command->pidfd);
	free(command->input);
}
