/* Starting a session: its process on a worker, then the command by the driver, on the descriptors
 * that the process made. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "agent/core/worker.h"
#include "agent/node/registry.h"
#include "agent/sessions/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/process.h"
#include "base/random.h"
#include "base/strv.h"

#define READY_MS 5000

struct start {
	struct sessions *sessions;
	struct session *session;
	enum session_kind kind;
	char **command, **env;
	char *user, *cwd;
	bool terminal;
	uint64_t tail;
	char driver[DRIVER_NAME_MAX + 1];

	/* For the worker */
	char path[PATH_MAX];
	char head[256];
	char *label; /* as text */
	int control;
	struct control ready; /* with the guest's ends */
	int r;
	struct err err;

	session_started_fn started;
	void *data;
};

static void start_free(struct start *start)
{
	strv_free(start->command);
	strv_free(start->env);
	free(start->user);
	free(start->cwd);
	free(start->label);
	fd_close(start->control);
	control_finish(&start->ready);
	free(start);
}

static void fail(struct start *start, const struct err *err)
{
	session_remove(start->session);
	start->started(start->data, NULL, err);
	start_free(start);
}

/* --- The driver's part ----------------------------------------------------------------------- */

/* The process waits for this word. Where it is gone already, that is seen by its end. */
static void succeed(struct start *start, pid_t pid)
{
	struct session *session = start->session;
	char head[32];
	struct err err;

	snprintf(head, sizeof(head), "started pid=%d", pid);
	if (session_listen(session, TAKE_FD(start->control), &err) < 0) {
		fail(start, &err);
		return;
	}
	session->phase = SESSION_RUNNING;
	session->pid = pid;
	session_say(session, &(struct control_packet){.head = head});
	session_tell(session, "session.started");
	start->started(start->data, session, NULL);
	start_free(start);
}

static void driver_replied(void *data, const struct driver_reply *reply)
{
	struct start *start = data;

	(void)fault_point("sessions.start.replied");
	if (reply->result < 0) {
		control_send(start->control, &(struct control_packet){.head = "failed"});
		fail(start, &reply->error);
		return;
	}
	succeed(start, reply->pid);
}

static int call_driver(struct start *start, struct err *err)
{
	const int *fds = start->ready.fds;
	struct agent_driver *driver = agent_driver(start->sessions->agent, start->driver, err);
	struct driver_exec exec = {.argv = (const char *const *)start->command,
		.env = (const char *const *)start->env,
		.user = start->user,
		.cwd = start->cwd,
		.terminal = start->terminal,
		.stdin_fd = fds[0],
		.stdout_fd = fds[1],
		.stderr_fd = fds[2],
		.status_fd = fds[3]};
	struct driver_console console = {
		.fd = fds[0], .tail = start->tail, .follow = true, .input = true};
	struct driver_request request = {.id = start->session->guest_id};

	if (!driver)
		return -ENOENT;
	if (start->kind == SESSION_CONSOLE) {
		request.call = DRIVER_CALL_CONSOLE;
		request.console = &console;
	} else {
		request.call = DRIVER_CALL_EXEC;
		request.exec = &exec;
	}
	return driver_client_call(driver->client, &request, driver_replied, start, err);
}

static void process_started(void *data)
{
	struct start *start = data;
	struct err err = start->err;
	int r = start->r;

	if (r == 0)
		r = call_driver(start, &err);
	/* The driver's process has duplicates, or nobody needs them. */
	control_close_fds(&start->ready);
	if (r < 0)
		fail(start, &err);
}

/* --- The process, on a worker ---------------------------------------------------------------- */

static int await_ready(struct start *start, struct err *err)
{
	struct pollfd p = {.fd = start->control, .events = POLLIN};
	size_t wanted = start->kind == SESSION_CONSOLE ? 1 : 4;
	int r;

	do
		r = poll(&p, 1, READY_MS);
	while (r < 0 && errno == EINTR);
	r = r == 1 ? control_receive(start->control, &start->ready) : -ETIMEDOUT;
	if (r != 1 || !control_is(&start->ready, "ready") || start->ready.fds_count != wanted)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the session's process did not come up: there may be too few resources; "
			"see corpusd's log, and try again");
	return 0;
}

static int start_process(struct start *start, struct err *err)
{
	const char *const argv[] = {start->sessions->program, start->path, NULL};
	AUTOCLOSE int theirs = -1;
	struct control_packet packet = {
		.head = start->head, .payload = start->label, .payload_size = strlen(start->label)};
	struct process_options options = {.argv = argv, .stdout_fd = -1};
	pid_t pid;
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, errno, "cannot make a socket for a session");
	start->control = fds[0];
	theirs = fds[1];
	r = control_send(start->control, &packet);
	if (r < 0)
		return err_errno(err, r, "cannot tell a session what it is");
	options.stdin_fd = theirs;
	pid = process_start_detached(&options, err);
	theirs = fd_close(theirs);
	return pid < 0 ? (int)pid : await_ready(start, err);
}

static void work(void *data)
{
	struct start *start = data;

	start->r = start_process(start, &start->err);
}

/* --- Acceptance ------------------------------------------------------------------------------ */

static int check_bounds(
	const struct sessions *sessions, const struct guest_entry *entry, struct err *err)
{
	const struct config *config = sessions->agent->config;
	const struct session *session;
	unsigned all = 0, here = 0;

	DL_FOREACH (sessions->list, session) {
		if (session->phase == SESSION_ENDED)
			continue;
		all++;
		here += strcmp(session->guest_id, entry->guest->id) == 0;
	}
	if (here >= config->sessions_per_guest)
		return err_set(err, ERR_RATE, NULL,
			"guest %s has %u sessions already, as many as it may: end some, or raise "
			"sessions_per_guest in the agent's configuration",
			entry->guest->name, here);
	if (all >= config->sessions_max)
		return err_set(err, ERR_RATE, NULL,
			"the node has %u sessions already, as many as it may: end some, or raise "
			"sessions_max in the agent's configuration",
			all);
	return 0;
}

static int check_console(
	const struct sessions *sessions, const struct guest_entry *entry, struct err *err)
{
	const struct session *session;

	DL_FOREACH (sessions->list, session)
		if (session->kind == SESSION_CONSOLE && session->phase != SESSION_ENDED &&
			strcmp(session->guest_id, entry->guest->id) == 0)
			return err_set(err, ERR_CONFLICT, NULL,
				"somebody is at the console of guest %s already (session %s): ask "
				"them to leave, end the session, or follow the logs",
				entry->guest->name, session->id);
	return 0;
}

static int check(const struct sessions *sessions, const struct guest_entry *entry,
	const struct session_spec *spec, struct err *err)
{
	const struct guest *guest = entry->guest;

	if (guest->state != GUEST_RUNNING)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is %s: %s", guest->name,
			guest_state_to_string(guest->state),
			guest->state == GUEST_FROZEN ? "thaw it first"
						     : "this is possible only when it is running");
	if (spec->kind == SESSION_CONSOLE) {
		int r = check_console(sessions, entry, err);

		if (r < 0)
			return r;
	}
	return check_bounds(sessions, entry, err);
}

static json_t *make_label(
	const char *id, const struct guest *guest, const struct session_spec *spec)
{
	json_t *label = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "id", id, "guest",
		guest->name, "guest_id", guest->id, "kind",
		spec->kind == SESSION_CONSOLE ? "console" : "exec", "created",
		FMT_TIME(clock_realtime_ms()), "uid", (int)spec->uid, "terminal", spec->terminal);
	json_t *command = spec->command ? json_array() : NULL;

	for (size_t i = 0; command && spec->command[i]; i++)
		json_array_append_new(command, json_string(spec->command[i]));
	if (command)
		json_object_set_new(label, "command", command);
	if (spec->user)
		json_object_set_new(label, "user", json_string(spec->user));
	return label;
}

static int copy_spec(struct start *start, const struct session_spec *spec, struct err *err)
{
	start->kind = spec->kind;
	start->terminal = spec->terminal;
	start->tail = spec->tail;
	start->user = spec->user ? strdup(spec->user) : NULL;
	start->cwd = spec->cwd ? strdup(spec->cwd) : NULL;
	if (!strv_copy(&start->command, spec->command) || !strv_copy(&start->env, spec->env) ||
		(spec->user && !start->user) || (spec->cwd && !start->cwd))
		return err_errno(err, ENOMEM, "cannot start a session");
	return 0;
}

static int prepare(struct start *start, const struct guest *guest, const struct session_spec *spec,
	struct err *err)
{
	struct sessions *sessions = start->sessions;
	char id[SESSION_ID_LEN + 1];
	int r = copy_spec(start, spec, err);

	if (r < 0)
		return r;
	random_hex(id, SESSION_ID_LEN);
	r = session_socket_path(sessions, id, start->path, sizeof(start->path));
	if (r < 0)
		return err_errno(err, r, "cannot make a socket in %s", sessions->directory);
	snprintf(start->driver, sizeof(start->driver), "%s", guest->driver);
	snprintf(start->head, sizeof(start->head),
		"start kind=%d terminal=%d rows=%u columns=%u stdin=%d persist=%d await=%d "
		"keep_ms=%llu "
		"timeout_ms=%llu init=%d",
		(int)spec->kind, spec->terminal, spec->rows, spec->columns, spec->input,
		spec->persist, spec->awaited,
		(unsigned long long)sessions->agent->config->session_keep_ms,
		(unsigned long long)spec->timeout_ms, guest->pid);
	start->session = session_add(sessions, id, make_label(id, guest, spec));
	if (!start->session)
		return err_errno(err, ENOMEM, "cannot start a session");
	start->label = json_dumps(start->session->label, JSON_COMPACT);
	if (!start->label)
		return err_errno(err, ENOMEM, "cannot start a session");
	start->session->persist = spec->persist;
	return 0;
}

int session_start(struct sessions *sessions, const struct guest_entry *entry,
	const struct session_spec *spec, session_started_fn started, void *data, struct err *err)
{
	struct start *start;
	int r = check(sessions, entry, spec, err);

	if (r < 0)
		return r;
	start = calloc(1, sizeof(*start));
	if (!start)
		return err_errno(err, ENOMEM, "cannot start a session");
	*start = (struct start){
		.sessions = sessions, .control = -1, .started = started, .data = data};
	r = prepare(start, entry->guest, spec, err);
	if (r == 0 && workers_submit(sessions->agent->workers, work, process_started, start) < 0)
		r = err_errno(err, ENOMEM, "cannot start a session");
	if (r < 0) {
		if (start->session)
			session_remove(start->session);
		start_free(start);
	}
	return r;
}
