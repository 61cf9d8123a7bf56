/* Runs the confined helper (unpack/) and feeds it: the archive's bytes are counted and hashed
 * (source.c) on the trusted side, and handed on through a socket. The helper answers with one line.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "storage/pool.h"
#include "storage/source.h"

#define REPORT_MAX 600
#define POLL_MS	   200

struct unpacker {
	struct source *source;
	pid_t pid;
	int input;  /* our end of the helper's stdin; -1 once all was sent */
	int output; /* the helper's stdout */
	char report[REPORT_MAX + 1];
	size_t report_used;
};

/* --- The process ----------------------------------------------------------------------------- */

static void child_exec(const struct storage *s, int input, int output, int target)
{
	char size[24], entries[24];
	char *argv[] = {s->unpack_helper, size, entries, NULL};
	char *envp[] = {NULL};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t none;

	snprintf(size, sizeof(size), "%" PRIu64, s->image_max_size);
	snprintf(entries, sizeof(entries), "%" PRIu64, s->image_max_entries);
	/* Above the four first, so that none is overwritten before it is used. */
	input = fcntl(input, F_DUPFD_CLOEXEC, 4);
	output = fcntl(output, F_DUPFD_CLOEXEC, 4);
	target = fcntl(target, F_DUPFD_CLOEXEC, 4);
	null = fcntl(null, F_DUPFD_CLOEXEC, 4);
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0 || dup2(target, 3) < 0)
		_exit(126);
	syscall(SYS_close_range, 4U, ~0U, 0U);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(argv[0], argv, envp);
	_exit(127);
}

static int start(struct unpacker *u, const struct storage *s, int target, struct err *err)
{
	int in[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
		return err_errno(err, errno, "cannot start the unpacker");

	AUTOCLOSE int child_in = in[1];

	u->input = in[0];

	AUTOCLOSE int child_out = -1;

	r = file_pipe(&u->output, &child_out, 0);
	if (r < 0)
		return err_errno(err, r, "cannot start the unpacker");
	u->pid = fork();
	if (u->pid < 0)
		return err_errno(err, errno, "cannot start the unpacker");
	if (u->pid == 0)
		child_exec(s, child_in, child_out, target);
	return 0;
}

static int reap(struct unpacker *u)
{
	int status = 0;

	while (waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
		;
	u->pid = 0;
	return status;
}

static void unpacker_finish(struct unpacker *u)
{
	fd_close(u->input);
	fd_close(u->output);
	if (u->pid > 0) {
		kill(u->pid, SIGKILL);
		reap(u);
	}
}

/* --- Its food -------------------------------------------------------------------------------- */

/* A helper that does not want any more has said why, or died: its report tells. */
static void stop_feeding(struct unpacker *u)
{
	u->input = fd_close(u->input);
	u->source->used = u->source->sent = 0;
}

static bool has_chunk(const struct unpacker *u)
{
	return u->source->sent < u->source->used;
}

static void send_chunk(struct unpacker *u)
{
	struct source *source = u->source;
	ssize_t n = send(u->input, source->chunk + source->sent, source->used - source->sent,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		source->sent += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		stop_feeding(u);
	if (!has_chunk(u))
		source->sent = source->used = 0;
}

/* 1 at the end of the report. */
static int read_report(struct unpacker *u)
{
	ssize_t n = read(u->output, u->report + u->report_used, REPORT_MAX - u->report_used);

	if (n < 0)
		return errno == EINTR ? 0 : 1;
	u->report_used += (size_t)n;
	return n == 0 || u->report_used == REPORT_MAX;
}

/* One turn: 1 when the helper has ended. */
static int turn(struct unpacker *u, struct err *err)
{
	bool want_read = u->input >= 0 && !has_chunk(u) && !u->source->ended;
	struct pollfd fds[] = {
		{.fd = u->output, .events = POLLIN},
		{.fd = u->input >= 0 && has_chunk(u) ? u->input : -1, .events = POLLOUT},
		{.fd = want_read ? u->source->of->fd : -1, .events = POLLIN},
	};
	int r = 0;

	if (poll(fds, ARRAY_SIZE(fds), POLL_MS) < 0 && errno != EINTR)
		return err_errno(err, errno, "cannot wait for the unpacker");
	if (fds[2].revents)
		r = source_read(u->source, err);
	if (r < 0)
		return r;
	if (has_chunk(u) && u->input >= 0)
		send_chunk(u);
	if (u->input >= 0 && u->source->ended && !has_chunk(u))
		stop_feeding(u);
	return fds[0].revents ? read_report(u) : 0;
}

static int feed(struct unpacker *u, struct err *err)
{
	int r = 0, progress = 0;

	while (r == 0 && progress == 0) {
		r = turn(u, err);
		if (r >= 0)
			progress = source_progress(u->source, err);
	}
	return r < 0 ? r : progress;
}

/* --- Its answer ------------------------------------------------------------------------------ */

/* The message holds names from the archive and comes from a process that may have been taken over.
 */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static int judge_death(int status, struct err *err)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (sig == SIGXCPU || sig == SIGXFSZ)
		return err_set(err, ERR_TOO_LARGE, NULL, "the archive takes too much to unpack");
	if (sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT || sig == SIGSYS || sig == SIGILL ||
		sig == SIGFPE)
		return err_set(err, ERR_INVALID, NULL,
			"the archive made the unpacker crash (signal %d)", sig);
	return err_set(err, ERR_INTERNAL, NULL, "the unpacker ended without a word (status %#x)",
		(unsigned)status);
}

static int judge(struct unpacker *u, int status, struct unpack_result *ret, struct err *err)
{
	char code[32];
	int at = 0;

	u->report[u->report_used] = '\0';
	u->report[strcspn(u->report, "\n")] = '\0';
	make_printable(u->report);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
		sscanf(u->report, "ok %" SCNu64 " %" SCNu64, &ret->size, &ret->entries) == 2)
		return 0;
	if (sscanf(u->report, "error %31s %n", code, &at) == 1 && at > 0)
		return err_set(err, err_code_from_string(code), NULL, "%s", u->report + at);
	return judge_death(status, err);
}

int unpacker_run(const struct storage *storage, struct source *source, int target,
	struct unpack_result *ret, struct err *err)
{
	CLEANUP(unpacker_finish)
	struct unpacker u = {.source = source, .input = -1, .output = -1};
	struct unpack_result result = {0};
	int r = start(&u, storage, target, err);

	if (r == 0)
		r = feed(&u, err);
	if (r < 0)
		return r;
	r = judge(&u, reap(&u), &result, err);
	if (r == 0 && !source->ended)
		r = err_set(err, ERR_INTERNAL, NULL, "the unpacker left a part of the archive");
	if (r == 0)
		*ret = result;
	return r;
}
