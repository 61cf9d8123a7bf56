/* Commands in containers: from what is asked to the moment when it runs. dockerd hands its
 * connection over before it tries to execute anything, and an exit status of 126 or 127 says
 * nothing: commands have such ones, too. So what tells is whether dockerd's process has a pid, and
 * then whether that is no longer corpus-gate (gate/gate.h); what comes by the connection until then
 * is held back, and is the reason when either never happens. */
#include "drivers/docker/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/process.h"
#include "drivers/docker/define.h"
#include "drivers/docker/exec_internal.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/docker/guest.h"
#include "drivers/docker/note.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/command.h"
#include "drivers/inside/user.h"

#define BEGIN_MS   9000 /* from being asked to being executed */
#define HELD_MAX   65536
#define PAUSE_MIN  1 /* ms between two looks at whether it has begun: they grow */
#define PAUSE_MAX  20
#define REASON_MAX 1000
#define REASON_MS  500 /* for the rest of what dockerd says about a failure */

/* For what may come of a command that was given up. */
#define UNSEEN_NS      (INT64_C(60) * 1000000000)
#define UNSEEN_STEP_MS 200

/* --- What can be known before ----------------------------------------------------------------- */

/* A descriptor of what has that path in the guest, or -1 with errno. */
static int look_up(int root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static bool is_there(int root, const char *path, int flags)
{
	AUTOCLOSE int fd = look_up(root, path, flags);

	return fd >= 0;
}

static int check_cwd(int root, const char *cwd, struct err *err)
{
	if (!cwd || (cwd[0] == '/' && is_there(root, cwd, O_DIRECTORY)))
		return 0;
	return err_set(err, ERR_INVALID, "cwd", "%.200s: %s", cwd,
		cwd[0] == '/' ? strerrordesc_np(errno) : "is no absolute path");
}

/* Which of them a container has is not looked up in it: its root may be where that guest wants. */
static bool has_gate(const struct inside *in)
{
	struct note note;

	return note_read(in->paths->note, &note) < 0 || note.pid != in->pid ||
	       note.gate >= GATE_VERSION_EXEC;
}

static int through_gate(json_t *body, struct err *err)
{
	json_t *words = json_object_get(body, "Cmd");

	if (json_array_insert_new(words, 0, json_string(GATE_EXEC)) < 0 ||
		json_array_insert_new(words, 0, json_string(GATE_PROGRAM)) < 0)
		return err_errno(err, ENOMEM, "no memory for a command");
	return 0;
}

static int check(
	const struct driver_exec *exec, const struct inside *in, json_t **ret, struct err *err)
{
	AUTOCLOSE int root = -1;
	struct user user;
	int r;

	if (exec->terminal && !isatty(exec->stdin_fd))
		return err_set(err, ERR_INVALID, "terminal",
			"standard input cannot be its terminal: it is none");
	root = inside_root(in, err);
	if (root < 0)
		return root;
	r = user_find(root, exec->user, &user, err);
	if (r == 0)
		r = check_cwd(root, exec->cwd, err);
	if (r == 0 && !exec->argv[0][0])
		r = exec_explain(exec, "executable file not found", err);
	if (r == 0)
		r = exec_body(exec, in->info, &user,
			user.home[0] == '/' && is_there(root, user.home, O_DIRECTORY), ret, err);
	return r == 0 && has_gate(in) ? through_gate(*ret, err) : r;
}

/* --- Beginning -------------------------------------------------------------------------------- */

static int create(struct carrier *c, const struct inside *in, json_t *body, struct err *err)
{
	struct engine_request request = {.method = "POST",
		.path = "/containers/{}/exec",
		.name = in->container,
		.body = body,
		.what = "prepare the command",
		.timeout_ms = c->begin_ms};
	json_auto_t *reply = NULL;
	const char *id = "";
	int r = engine_call(c->engine, &request, &reply, err);

	if (r == 0)
		r = reply_text(reply, "Id", &id, err);
	if (r < 0)
		return r;
	if (strlen(id) >= sizeof(c->id))
		return err_set(err, ERR_DRIVER, NULL, "dockerd's name for a command is too long");
	snprintf(c->id, sizeof(c->id), "%s", id);
	return 0;
}

static int start(struct carrier *c, struct err *err)
{
	json_auto_t *body = json_pack("{sb sb}", "Detach", 0, "Tty", c->exec.terminal);
	struct engine_request request = {.method = "POST",
		.path = "/exec/{}/start",
		.name = c->id,
		.body = body,
		.what = "start the command",
		.timeout_ms = c->begin_ms};
	AUTOFREE char *rest = NULL;
	size_t size = 0;
	int r = engine_hijack(c->engine, &request, &c->stream, &rest, &size, err);

	c->started = r == 0 || err->code == ERR_TIMEOUT || err->code == ERR_UNAVAILABLE;
	if (r < 0)
		return r;
	strbuf_add_bytes(&c->held, rest, size);
	return fcntl(c->stream, F_SETFL, O_NONBLOCK) < 0
		       ? err_errno(err, errno, "cannot use dockerd's connection")
		       : 0;
}

/* Takes what has come within `ms`; false when no more will. */
static bool hold(struct carrier *c, int ms)
{
	bool room = c->held.used < HELD_MAX;
	struct pollfd p = {.fd = room ? c->stream : -1, .events = POLLIN};
	char buf[4096];
	ssize_t n;

	if (poll(&p, 1, ms) <= 0 || !p.revents)
		return true;
	n = read(c->stream, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n > 0)
		strbuf_add_bytes(&c->held, buf, (size_t)n);
	else
		c->stream = fd_close(c->stream);
	return n > 0;
}

static int add_words(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	(void)stream;
	strbuf_add_bytes(data, bytes, size);
	return 0;
}

static int explain(struct carrier *c, struct err *err)
{
	int64_t end = clock_monotonic_ns() + REASON_MS * 1000000LL;
	CLEANUP(strbuf_finish) struct strbuf words = {0};
	struct frames frames = {0};

	while (c->stream >= 0 && clock_monotonic_ns() < end && hold(c, REASON_MS))
		;
	if (c->exec.terminal)
		strbuf_add_bytes(&words, c->held.text, c->held.used);
	else
		frames_take(&frames, c->held.text, c->held.used, add_words, &words, NULL);
	if (words.used > REASON_MAX)
		words.text[REASON_MAX] = '\0';
	return exec_explain(&c->exec, words.text ? words.text : "", err);
}

int exec_inspect(struct carrier *c, uint64_t timeout_ms, json_t **ret, struct err *err)
{
	struct engine_request request = {.path = "/exec/{}/json",
		.name = c->id,
		.what = "look at the command",
		.timeout_ms = timeout_ms};

	return engine_call(c->engine, &request, ret, err);
}

/* By a descriptor. dockerd may name one that has ended, and whose pid another process has by now.
 */
static void open_pid(struct carrier *c)
{
	c->pidfd = process_pidfd(c->pid);
	if (c->pidfd >= 0 && !guest_has_process(c->container, c->pid))
		c->pidfd = fd_close(c->pidfd);
}

static int longer(int pause)
{
	return pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
}

static int fail_late(struct err *err)
{
	return err_set(err, ERR_TIMEOUT, NULL, "dockerd does not execute the command in time");
}

/* Waits until dockerd has executed something. */
static int await_pid(struct carrier *c, int64_t end, struct err *err)
{
	for (int pause = PAUSE_MIN; clock_monotonic_ns() < end; pause = longer(pause)) {
		json_auto_t *reply = NULL;
		int r = exec_inspect(c, c->begin_ms, &reply, err);
		bool ended = c->stream < 0 || json_is_integer(json_object_get(reply, "ExitCode"));

		if (r < 0)
			return r;
		c->pid = (pid_t)reply_number_or_none(reply, "Pid");
		if (c->pid > 0) {
			open_pid(c);
			return 0;
		}
		if (ended && !reply_is_true(reply, "Running"))
			return explain(c, err);
		hold(c, pause);
	}
	return fail_late(err);
}

static bool has_begun(const struct carrier *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	return c->pidfd < 0 || poll(&p, 1, 0) == 1 || !gatekeeper_holds(c->pid);
}

static void give_up(const struct carrier *c)
{
	process_signal(c->pidfd, SIGKILL);
}

/* Whether there is nothing to come any more. */
static bool is_over(struct carrier *c)
{
	json_auto_t *reply = NULL;
	struct err failed = {0};

	if (exec_inspect(c, BEGIN_MS, &reply, &failed) < 0)
		return failed.code == ERR_NOT_FOUND;
	c->pid = (pid_t)reply_number_or_none(reply, "Pid");
	if (c->pid > 0)
		open_pid(c);
	return c->pid > 0 || json_is_integer(json_object_get(reply, "ExitCode"));
}

/* dockerd executes what it was asked for although nobody waits for it any more, and who was told
 * that it failed may ask again. */
static void end_unseen(struct carrier *c)
{
	int64_t end = clock_monotonic_ns() + UNSEEN_NS;

	while (c->started && c->pidfd < 0 && !is_over(c) && clock_monotonic_ns() < end)
		poll(NULL, 0, UNSEEN_STEP_MS);
	give_up(c);
}

/* And until that is the command. What had come before corpus-gate was seen is its own word. */
static int await_command(struct carrier *c, int64_t end, struct err *err)
{
	for (int pause = PAUSE_MIN; clock_monotonic_ns() < end; pause = longer(pause)) {
		bool spoke = c->held.used > 0;

		if (has_begun(c))
			return 0;
		if (spoke) {
			give_up(c);
			return explain(c, err);
		}
		hold(c, pause);
	}
	give_up(c);
	return fail_late(err);
}

/* --- The carrier ------------------------------------------------------------------------------ */

/* What was asked for. */
struct asked {
	const struct inside *in;
	const struct driver_exec *exec;
	json_t *body;
};

static int begin(struct carrier *c, const struct asked *asked, struct err *err)
{
	int64_t end = clock_monotonic_ns() + (int64_t)c->begin_ms * 1000000;
	int r = engine_open(asked->in->docker->socket, 0, &c->engine, err);

	if (r == 0 && c->exec.terminal)
		r = carry_take_terminal(c->exec.stdin_fd, &c->signals, err);
	if (r == 0)
		r = create(c, asked->in, asked->body, err);
	fault_point("driver.docker.exec.created");
	if (r == 0)
		r = start(c, err);
	fault_point("driver.docker.exec.started");
	if (r == 0)
		r = await_pid(c, end, err);
	fault_point("driver.docker.exec.executed");
	return r == 0 ? await_command(c, end, err) : r;
}

static void carry(struct carrier *c, const struct asked *asked)
{
	int status;

	if (begin(c, asked, &c->err) < 0) {
		command_tell_failure(c->call, &c->err);
		c->call = fd_close(c->call);
		end_unseen(c);
		return;
	}
	if (!command_tell_started(c->pid, c->call)) {
		give_up(c); /* nobody waits for it any more */
		return;
	}
	c->call = fd_close(c->call);
	if (exec_carry(c, &status) && write(c->exec.status_fd, &status, sizeof(status)) < 0)
		return; /* nobody wants to know */
}

/* Written to without waiting even where it is a terminal, which others have, too. */
static int open_output(int fd)
{
	char path[40];
	int own;

	if (!isatty(fd))
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return fd;
	close(fd);
	return own;
}

static void be_carrier(void *data, int call)
{
	const struct asked *asked = data;
	struct carrier c = {.exec = *asked->exec,
		.container = asked->in->container,
		.begin_ms = fault_point("driver.docker.exec.late") ? 500 : BEGIN_MS,
		.call = call,
		.life = process_pidfd(asked->in->pid),
		.stream = -1,
		.signals = -1,
		.pidfd = -1};
	int *const fds[] = {&c.exec.stdin_fd, &c.exec.stdout_fd, &c.exec.stderr_fd,
		&c.exec.status_fd, &c.call, &c.life};

	carry_begin(fds, ARRAY_SIZE(fds));
	c.outputs[EXEC_OUT].fd = open_output(c.exec.stdout_fd);
	c.outputs[EXEC_ERR].fd = open_output(c.exec.stderr_fd);
	carry(&c, asked);
	_exit(0);
}

int docker_exec(
	const struct inside *in, const struct driver_exec *exec, pid_t *ret_pid, struct err *err)
{
	json_auto_t *body = NULL;
	struct asked asked = {.in = in, .exec = exec};
	int r = inside_running(in, err);

	if (r == 0)
		r = check(exec, in, &body, err);
	if (r < 0)
		return r;
	asked.body = body;
	return command_start(be_carrier, &asked, ret_pid, err);
}
