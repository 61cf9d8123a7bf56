/* A session, from its agent's first word to its end. */
#include "session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "session/terminal.h"

#define HEAR_MAX     16384
#define EXIT_ROOM    512 /* kept free in the ring for the last frames */
#define READ_ROOM    (FRAME_HEAD + 32768 + EXIT_ROOM)
#define HANG_UP_MS   5000 /* from hanging up to killing */
#define KILL_MS	     2000 /* from killing to giving up on it */
#define LOOK_MS	     200  /* how often a deserted terminal is looked at */
#define QUIET_MS     100  /* a terminal that others still have is silent for so long */
#define KEEP_DEFAULT 60000

void session_init(struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
}

static void tell(struct session *s)
{
	s->untold = true;
}

/* --- Its beginning --------------------------------------------------------------------------- */

static int take_label(struct session *s)
{
	s->label_size = s->control.payload_size;
	s->label = malloc(s->label_size + 1);
	if (!s->label)
		return -ENOMEM;
	memcpy(s->label, s->control.payload, s->label_size);
	return 0;
}

static int take_start(struct session *s, struct command_options *ret)
{
	const struct control *c = &s->control;

	if (control_receive(s->agent, &s->control) <= 0 || !control_is(c, "start"))
		return -EPROTO;
	s->keep_ms = control_number(c, "keep_ms", KEEP_DEFAULT);
	s->timeout_ms = control_number(c, "timeout_ms", 0);
	s->persist = control_number(c, "persist", 0) != 0;
	s->awaited = control_number(c, "await", !s->persist) != 0;
	*ret = (struct command_options){
		.kind = (enum session_kind)control_number(c, "kind", SESSION_EXEC),
		.terminal = control_number(c, "terminal", 0) != 0,
		.input = control_number(c, "stdin", 0) != 0,
		.rows = (unsigned)control_number(c, "rows", 24),
		.columns = (unsigned)control_number(c, "columns", 80),
		.init = (pid_t)control_number(c, "init", 0)};
	return take_label(s);
}

int session_start(struct session *s, int64_t now)
{
	struct command_options options;
	int theirs[CONTROL_FDS_MAX];
	struct control_packet ready = {.head = "ready", .fds = theirs};
	int r = take_start(s, &options);

	if (r < 0)
		return r;
	r = command_open(&s->command, &options, theirs, &ready.fds_count);
	if (r < 0)
		return r;
	r = control_send(s->agent, &ready);
	for (size_t i = 0; i < ready.fds_count; i++)
		fd_close(theirs[i]);
	if (r < 0)
		return r;
	if (s->timeout_ms > 0)
		s->timeout_at = now + s->timeout_ms;
	return fcntl(s->agent, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* --- Its end --------------------------------------------------------------------------------- */

static void render_exit(const struct session *s, char *text, size_t size)
{
	const struct command *c = &s->command;
	const char *timeout = s->timed_out ? ",\"timeout\":true" : "";

	if (c->kind == SESSION_CONSOLE)
		snprintf(text, size, "{\"closed\":true}");
	else if (c->lost)
		snprintf(text, size, "{\"lost\":true%s}", timeout);
	else if (WIFSIGNALED(c->wait_status))
		snprintf(text, size, "{\"signal\":\"%s\"%s}",
			sigabbrev_np(WTERMSIG(c->wait_status)), timeout);
	else
		snprintf(text, size, "{\"status\":%d%s}", WEXITSTATUS(c->wait_status), timeout);
}

static void finish(struct session *s, int64_t now)
{
	char text[96];

	render_exit(s, text, sizeof(text));
	ring_push(&s->ring, FRAME_EXIT, text, strlen(text));
	s->phase = SESSION_ENDED;
	s->kill_at = s->lose_at = s->timeout_at = s->quiet_at = s->look_at = 0;
	/* Of a console there is nothing to come back for. */
	s->over_at = s->command.kind == SESSION_CONSOLE ? now : now + s->keep_ms;
	s->ended_ms = clock_realtime_ms();
	tell(s);
}

/* What an ended command has written is in its pipes by then; more would be somebody else's. What a
 * terminal holds may come a moment later, and ends with its last user. True: that was all. */
static bool drain(struct session *s, int *fd, enum frame_type type, int64_t now)
{
	while (*fd >= 0) {
		int r;

		if (!session_may_read(s))
			return false;
		r = command_read(&s->command, fd, type, &s->ring);
		if (r > 0) {
			s->quiet_at = 0;
			continue;
		}
		if (r == 0 && s->command.terminal && s->quiet_at == 0)
			s->quiet_at = now + QUIET_MS;
		if (r == 0 && s->command.terminal && now < s->quiet_at)
			return false;
		if (r == 0 && !s->command.terminal)
			*fd = fd_close(*fd);
		if (r == 0 && s->command.terminal)
			command_hang_up(&s->command);
	}
	return true;
}

static void settle(struct session *s, int64_t now)
{
	if (s->phase == SESSION_ENDED || !s->command.exited)
		return;
	if (drain(s, &s->command.out, FRAME_STDOUT, now) &&
		drain(s, &s->command.err, FRAME_STDERR, now))
		finish(s, now);
}

void session_exited(struct session *s, int64_t now)
{
	command_read_status(&s->command);
	settle(s, now);
}

static void kill_now(struct session *s, int64_t now)
{
	s->kill_at = 0;
	s->phase = SESSION_ENDING;
	if (s->command.kind == SESSION_CONSOLE || command_signal(&s->command, SIGKILL) == -ESRCH)
		s->lose_at = now;
	else
		s->lose_at = now + KILL_MS;
}

void session_end(struct session *s, int64_t now)
{
	if (s->phase == SESSION_ENDED) {
		s->over_at = now;
	} else if (s->phase == SESSION_ENDING) {
		kill_now(s, now);
	} else {
		s->phase = SESSION_ENDING;
		s->kill_at = now + HANG_UP_MS;
		command_hang_up(&s->command);
		/* Neither a console nor what was never started has more to say. */
		if (s->command.kind == SESSION_CONSOLE || s->command.pid == 0)
			s->kill_at = now;
		tell(s);
	}
}

static void time_out(struct session *s, int64_t now)
{
	s->timeout_at = 0;
	s->timed_out = true;
	kill_now(s, now);
	tell(s);
}

static void give_up(struct session *s, int64_t now)
{
	s->lose_at = 0;
	if (!s->command.exited)
		command_lose(&s->command);
	settle(s, now);
}

void session_timers(struct session *s, int64_t now)
{
	if (s->timeout_at && now >= s->timeout_at)
		time_out(s, now);
	if (s->kill_at && now >= s->kill_at)
		kill_now(s, now);
	if (s->lose_at && now >= s->lose_at)
		give_up(s, now);
	if (s->look_at && now >= s->look_at) {
		s->look_at = 0;
		s->command.deserted = false;
	}
	settle(s, now);
}

int64_t session_next_ms(const struct session *s)
{
	const int64_t all[] = {s->kill_at, s->lose_at, s->timeout_at, s->quiet_at, s->look_at,
		s->phase == SESSION_ENDED ? s->over_at : 0};
	int64_t next = -1;

	/* Room was made for what an ended command has left. */
	if (s->command.exited && s->phase != SESSION_ENDED && !s->quiet_at && session_may_read(s))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] && (next < 0 || all[i] < next))
			next = all[i];
	return next;
}

static bool has_clients(const struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			return true;
	return false;
}

bool session_is_over(const struct session *s, int64_t now)
{
	return s->phase == SESSION_ENDED && !has_clients(s) && (s->was_read || now >= s->over_at);
}

/* --- The command's output -------------------------------------------------------------------- */

/* As long as nothing is lost that the client who types has not got: that one is waited for, also
 * before it is there. */
bool session_may_read(const struct session *s)
{
	if (s->awaited && !s->was_attached && s->phase <= SESSION_RUNNING &&
		ring_room(&s->ring, s->ring.tail) < READ_ROOM)
		return false;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = &s->clients[i];

		if (client->fd >= 0 && client->input &&
			ring_room(&s->ring, client->cursor) < READ_ROOM)
			return false;
	}
	return true;
}

void session_read(struct session *s, int *fd, enum frame_type type)
{
	int r = command_read(&s->command, fd, type, &s->ring);

	if (r < 0 && s->command.kind == SESSION_CONSOLE)
		command_lose(&s->command);
	if (s->command.deserted)
		s->look_at = clock_monotonic_ns() / 1000000 + LOOK_MS;
}

/* --- Clients --------------------------------------------------------------------------------- */

bool session_may_hear(const struct session *s, const struct client *client)
{
	return !client->ended && (!client->input || command_input_room(&s->command) >= HEAR_MAX);
}

/* Who sees the end of the connection and comes back at once must not be told that somebody is
 * here: the agent is told first. */
static void part(struct session *s, struct client *client)
{
	if (s->parting_count < CLIENTS_MAX)
		s->parting[s->parting_count++] = TAKE_FD(client->fd);
	client_end(client);
	tell(s);
}

void session_client_gone(struct session *s, struct client *client)
{
	bool typed = client->input, left = client->has_left;

	part(s, client);
	if (!typed || s->phase != SESSION_RUNNING)
		return;
	if (s->command.kind == SESSION_CONSOLE || !(left || s->persist))
		session_end(s, clock_monotonic_ns() / 1000000);
}

static int signal_number(const char *name)
{
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return 0;
}

static void take_resize(struct session *s, const struct frame *frame)
{
	const uint8_t *data = (const uint8_t *)frame->data;

	if (frame->size == 4 && s->command.terminal && s->command.out >= 0)
		terminal_resize(s->command.out, data[0] * 256u + data[1], data[2] * 256u + data[3]);
}

static void take_frame(struct session *s, struct client *client, const struct frame *frame)
{
	if (frame->type == FRAME_DETACH)
		client->has_left = true;
	if (!client->input)
		return;
	if (frame->type == FRAME_STDIN)
		command_type(&s->command, frame->data, frame->size);
	else if (frame->type == FRAME_STDIN_EOF)
		command_type_end(&s->command);
	else if (frame->type == FRAME_RESIZE)
		take_resize(s, frame);
	else if (frame->type == FRAME_SIGNAL && signal_number(frame->data))
		command_signal(&s->command, signal_number(frame->data));
}

/* False: it means nothing. */
static bool take_bytes(struct session *s, struct client *client, const char *data, size_t size)
{
	struct frame frame;
	int r;

	while (!client->has_left && (r = frame_next(&client->reader, &data, &size, &frame)) != 0) {
		if (r < 0 || frame.type >= FRAME_STDOUT)
			return false;
		take_frame(s, client, &frame);
	}
	return true;
}

static void take_or_refuse(struct session *s, struct client *client, const char *data, size_t size)
{
	if (!take_bytes(s, client, data, size)) {
		client_refuse(client, "this is no frame of " STREAM_PROTOCOL);
		session_client_gone(s, client);
	} else if (client->has_left) {
		session_client_gone(s, client);
	}
}

void session_hear(struct session *s, struct client *client)
{
	static char data[HEAR_MAX];
	ssize_t n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		take_or_refuse(s, client, data, (size_t)n);
	else if (n == 0)
		client->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		session_client_gone(s, client);
}

static struct client *free_place(struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd < 0)
			return &s->clients[i];
	return NULL;
}

static bool somebody_types(const struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0 && s->clients[i].input)
			return true;
	return false;
}

static void refuse(int fd, const char *problem)
{
	struct client client = {.fd = fd};

	client_refuse(&client, problem);
	client_end(&client);
}

static void take_attach(struct session *s)
{
	struct control *c = &s->control;
	bool input = control_number(c, "input", 0) != 0;
	struct client *client = free_place(s);
	int fd;

	if (c->fds_count != 1)
		return;
	fd = TAKE_FD(c->fds[0]);
	if (!client || (input && somebody_types(s))) {
		refuse(fd, client ? "somebody types in this session already"
				  : "this session has too many clients");
		return;
	}
	client_begin(client, fd, s->id, &s->ring, (uint64_t)control_number(c, "after", 0));
	client->input = input;
	s->was_attached |= input;
	tell(s);
	take_or_refuse(s, client, c->payload, c->payload_size);
}

/* --- The agent ------------------------------------------------------------------------------- */

static int tell_now(struct session *s)
{
	const struct command *c = &s->command;
	bool known = s->phase == SESSION_ENDED && !c->lost && c->kind == SESSION_EXEC;
	unsigned clients = 0;
	char head[400];
	struct control_packet packet = {
		.head = head, .payload = s->label, .payload_size = s->label_size};

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		clients += s->clients[i].fd >= 0;
	snprintf(head, sizeof(head),
		"state phase=%d pid=%d code=%d signal=%d lost=%d timeout=%d persist=%d clients=%u "
		"input=%d position=%" PRIu64 " dropped=%" PRIu64 " ended_ms=%" PRId64 " noted=%d",
		(int)s->phase, c->pid,
		known && WIFEXITED(c->wait_status) ? WEXITSTATUS(c->wait_status) : -1,
		known && WIFSIGNALED(c->wait_status) ? WTERMSIG(c->wait_status) : 0, c->lost,
		s->timed_out, s->persist, clients, somebody_types(s), s->ring.position_head,
		s->ring.dropped, s->ended_ms, s->noted);
	return control_send(s->agent, &packet);
}

static void agent_gone(struct session *s, int64_t now)
{
	s->agent = fd_close(s->agent);
	/* Nobody was told of this session, so nobody will ask for it. */
	if (!s->was_attached && s->awaited) {
		s->keep_ms = 0;
		session_end(s, now);
	}
}

void session_agent_came(struct session *s, int fd)
{
	fd_close(s->agent);
	s->agent = fd;
	tell(s);
}

static void take_started(struct session *s)
{
	command_started(&s->command, (pid_t)control_number(&s->control, "pid", 0));
	if (s->phase == SESSION_STARTING)
		s->phase = SESSION_RUNNING;
	tell(s);
}

static void take_failed(struct session *s, int64_t now)
{
	s->phase = SESSION_ENDED;
	s->over_at = now;
}

static void take_packet(struct session *s, int64_t now)
{
	const struct control *c = &s->control;

	if (control_is(c, "started"))
		take_started(s);
	else if (control_is(c, "failed"))
		take_failed(s, now);
	else if (control_is(c, "attach"))
		take_attach(s);
	else if (control_is(c, "signal"))
		command_signal(&s->command, (int)control_number(c, "number", 0));
	else if (control_is(c, "end"))
		session_end(s, now);
	else if (control_is(c, "noted"))
		s->noted = true;
}

void session_agent_says(struct session *s, int64_t now)
{
	for (;;) {
		int r = control_receive(s->agent, &s->control);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			agent_gone(s, now);
			return;
		}
		take_packet(s, now);
		control_close_fds(&s->control);
	}
}

/* --- After each turn ------------------------------------------------------------------------- */

void session_flush(struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &s->clients[i];

		if (client->fd < 0)
			continue;
		if (!client_flush(client, &s->ring)) {
			session_client_gone(s, client);
		} else if (s->phase == SESSION_ENDED && !client_wants_to_send(client, &s->ring)) {
			s->was_read = true;
			part(s, client);
		}
	}
	if (s->untold && s->agent >= 0 && s->phase != SESSION_STARTING)
		s->untold = tell_now(s) == -EAGAIN;
	while (s->parting_count > 0)
		fd_close(s->parting[--s->parting_count]);
}
