/* The table of sessions. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utlist.h>

#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/sessions/internal.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/log.h"
#include "base/parse.h"

#define PATIENCE_MS 2000 /* with those that are found again, in all */

/* --- The table ------------------------------------------------------------------------------- */

static const char *label_text(const json_t *label, const char *key)
{
	const char *text = json_string_value(json_object_get(label, key));

	return text ? text : "";
}

static void set_label(struct session *session, json_t *label)
{
	json_decref(session->label);
	session->label = label;
	session->kind =
		strcmp(label_text(label, "kind"), "console") == 0 ? SESSION_CONSOLE : SESSION_EXEC;
	snprintf(session->guest_id, sizeof(session->guest_id), "%s", label_text(label, "guest_id"));
}

struct session *session_add(struct sessions *sessions, const char *id, json_t *label)
{
	struct session *session = label ? calloc(1, sizeof(*session)) : NULL;

	if (!session) {
		json_decref(label);
		return NULL;
	}
	session->sessions = sessions;
	session->control = -1;
	session->code = -1;
	snprintf(session->id, sizeof(session->id), "%s", id);
	set_label(session, label);
	DL_APPEND(sessions->list, session);
	return session;
}

void session_remove(struct session *session)
{
	DL_DELETE(session->sessions->list, session);
	sd_event_source_disable_unref(session->readable);
	fd_close(session->control);
	json_decref(session->label);
	free(session);
}

struct session *sessions_find(const struct sessions *sessions, const char *id, struct err *err)
{
	struct session *session;

	DL_FOREACH (sessions->list, session)
		if (session->phase != SESSION_STARTING && strcmp(session->id, id) == 0)
			return session;
	err_set(err, ERR_NOT_FOUND, NULL, "there is no session %.64s; it may have ended", id);
	return NULL;
}

const char *session_id(const struct session *session)
{
	return session->id;
}

/* The guest's name as it is now. */
static const char *guest_name(const struct session *session)
{
	const struct guest_entry *entry =
		registry_by_id(session->sessions->agent->registry, session->guest_id);

	return entry ? entry->guest->name : label_text(session->label, "guest");
}

static const char *phase_to_string(enum session_phase phase)
{
	static const char *const NAMES[] = {"starting", "running", "ending", "ended"};

	return NAMES[phase];
}

static void add_end(const struct session *session, json_t *json)
{
	if (session->phase != SESSION_ENDED)
		return;
	json_object_set_new(json, "ended", json_string(FMT_TIME(session->ended_ms)));
	json_object_set_new(json, "output", json_integer((json_int_t)session->position));
	json_object_set_new(json, "dropped", json_integer((json_int_t)session->dropped));
	if (session->code >= 0)
		json_object_set_new(json, "status", json_integer(session->code));
	if (session->signal > 0)
		json_object_set_new(json, "signal", json_string(sigabbrev_np(session->signal)));
	if (session->timed_out)
		json_object_set_new(json, "timed_out", json_true());
	if (session->lost && session->kind == SESSION_EXEC)
		json_object_set_new(json, "lost", json_true());
}

json_t *session_to_json(const struct session *session)
{
	json_t *json = json_deep_copy(session->label);

	json_object_set_new(json, "guest", json_string(guest_name(session)));
	json_object_set_new(json, "state", json_string(phase_to_string(session->phase)));
	json_object_set_new(json, "clients", json_integer(session->clients));
	json_object_set_new(json, "persist", json_boolean(session->persist));
	if (session->pid > 0 && session->phase != SESSION_ENDED)
		json_object_set_new(json, "pid", json_integer(session->pid));
	add_end(session, json);
	return json;
}

json_t *sessions_to_json(const struct sessions *sessions, const char *guest_id)
{
	const struct session *session;
	json_t *list = json_array();

	DL_FOREACH (sessions->list, session)
		if (session->phase != SESSION_STARTING &&
			(!guest_id || strcmp(session->guest_id, guest_id) == 0))
			json_array_append_new(list, session_to_json(session));
	return list;
}

/* --- What its process tells ------------------------------------------------------------------ */

void session_tell(struct session *session, const char *type)
{
	struct agent *agent = session->sessions->agent;
	struct db_txn *txn = db_txn_create();
	json_t *fields = json_pack("{s:s, s:s, s:s, s:s}", "target", guest_name(session), "id",
		session->guest_id, "session", session->id, "kind",
		label_text(session->label, "kind"));

	add_end(session, fields);
	json_object_del(fields, "ended");
	events_publish(agent->events, txn, type, fields);
	agent_commit(agent, txn, false, NULL, NULL);
	log_info(
		type, "session=%s guest=%s pid=%d", session->id, guest_name(session), session->pid);
}

bool session_say(struct session *session, const struct control_packet *packet)
{
	int r = session->control < 0 ? -ENOTCONN : control_send(session->control, packet);

	/* One that has ended needs not be told anything. */
	if (r < 0 && r != -EPIPE)
		log_warning("session.unsaid", "session=%s errno=%d", session->id, -r);
	return r == 0;
}

static bool say_word(struct session *session, const char *word)
{
	return session_say(session, &(struct control_packet){.head = word});
}

static void tell_end(struct session *session)
{
	if (session->noted)
		return;
	session->noted = true;
	session_tell(session, "session.ended");
	say_word(session, "noted");
}

/* What one is that was found again comes with its first word. */
static int introduce(struct session *session, const struct control *c)
{
	json_t *label = json_loadb(c->payload, c->payload_size, 0, NULL);

	if (!label)
		return -EBADMSG;
	set_label(session, label);
	log_info("session.found", "session=%s guest=%s", session->id, guest_name(session));
	return 0;
}

static int take_state(struct session *session, const struct control *c)
{
	int r = session->phase == SESSION_STARTING ? introduce(session, c) : 0;

	if (r < 0)
		return r;
	session->phase = (enum session_phase)control_number(c, "phase", SESSION_RUNNING);
	if (session->phase > SESSION_ENDED || session->phase < SESSION_RUNNING)
		session->phase = SESSION_RUNNING;
	session->pid = (pid_t)control_number(c, "pid", 0);
	session->code = (int)control_number(c, "code", -1);
	session->signal = (int)control_number(c, "signal", 0);
	session->lost = control_number(c, "lost", 0) != 0;
	session->timed_out = control_number(c, "timeout", 0) != 0;
	session->persist = control_number(c, "persist", 0) != 0;
	session->clients = (unsigned)control_number(c, "clients", 0);
	session->typed_in = control_number(c, "input", 0) != 0;
	session->position = (uint64_t)control_number(c, "position", 0);
	session->dropped = (uint64_t)control_number(c, "dropped", 0);
	session->ended_ms = control_number(c, "ended_ms", 0);
	session->noted = session->noted || control_number(c, "noted", 0) != 0;
	if (session->phase == SESSION_ENDED)
		tell_end(session);
	return 0;
}

/* Its process has ended: in order when it has told so before. One that was found again and has said
 * nothing yet is nobody's. */
static void gone(struct session *session)
{
	bool known = session->phase != SESSION_STARTING;
	char path[PATH_MAX];

	if (session->phase != SESSION_ENDED) {
		log_warning(
			"session.lost", "session=%s guest=%s", session->id, guest_name(session));
		session->phase = SESSION_ENDED;
		session->lost = true;
		if (known)
			session_tell(session, "session.ended");
		if (session_socket_path(session->sessions, session->id, path, sizeof(path)) == 0)
			unlink(path);
	}
	session_remove(session);
}

/* Takes all that has come. */
static void receive(struct session *session)
{
	struct control *c = &session->sessions->packet;
	int r;

	do {
		r = control_receive(session->control, c);
		if (r == 1 && control_is(c, "state") && take_state(session, c) < 0)
			r = -EBADMSG;
		control_close_fds(c);
	} while (r == 1);
	if (r != -EAGAIN)
		gone(session);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source, (void)fd, (void)events;
	receive(data);
	return 0;
}

int session_listen(struct session *session, int control, struct err *err)
{
	int r;

	session->control = control;
	r = fcntl(control, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(session->sessions->agent->loop, &session->readable, control,
			EPOLLIN, on_readable, session);
	/* What it says is known before a client that saw it asks. */
	if (r >= 0)
		r = sd_event_source_set_priority(session->readable, SD_EVENT_PRIORITY_IMPORTANT);
	return r < 0 ? err_errno(err, r, "cannot listen to a session") : 0;
}

/* --- What is asked of it --------------------------------------------------------------------- */

int session_check_attach(const struct session *session, bool input, struct err *err)
{
	if (!input || !session->typed_in)
		return 0;
	return err_set(err, ERR_CONFLICT, "input",
		"somebody is attached to session %s already: ask them to detach, or look on "
		"(input=false)",
		session->id);
}

void session_attach(
	struct session *session, int fd, uint64_t after, bool input, const char *sent, size_t size)
{
	char head[96];
	struct control_packet packet = {
		.head = head, .payload = sent, .payload_size = size, .fds = &fd, .fds_count = 1};

	snprintf(
		head, sizeof(head), "attach after=%llu input=%d", (unsigned long long)after, input);
	session->typed_in |= session_say(session, &packet) && input;
	fd_close(fd);
}

int session_signal(struct session *session, int number, struct err *err)
{
	char head[32];

	if (session->phase == SESSION_ENDED)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "session %s has ended", session->id);
	if (session->kind == SESSION_CONSOLE)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "a console gets no signals");
	snprintf(head, sizeof(head), "signal number=%d", number);
	session_say(session, &(struct control_packet){.head = head});
	return 0;
}

void session_end(struct session *session)
{
	say_word(session, "end");
}

void sessions_guest_gone(struct sessions *sessions, const char *guest_id)
{
	struct session *session;

	if (!sessions)
		return;
	DL_FOREACH (sessions->list, session)
		if (strcmp(session->guest_id, guest_id) == 0)
			say_word(session, "end");
}

/* --- Finding them again ---------------------------------------------------------------------- */

int session_socket_path(const struct sessions *sessions, const char *id, char *buf, size_t size)
{
	struct sockaddr_un address;
	int r = file_path(buf, size, "%s/%s", sessions->directory, id);

	return r == 0 && strlen(buf) >= sizeof(address.sun_path) ? -ENAMETOOLONG : r;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (file_path(address.sun_path, sizeof(address.sun_path), "%s", path) < 0)
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Its first word comes at once, so that all are known before anybody asks; but who does not run
 * just now says it later. */
static void adopt(struct sessions *sessions, const char *id, int fd, int64_t end_ns)
{
	AUTOCLOSE int control = fd;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left_ns = end_ns - clock_monotonic_ns();
	struct session *session = session_add(sessions, id, json_object());
	struct err err;

	if (!session)
		return;
	if (session_listen(session, TAKE_FD(control), &err) < 0) {
		log_warning("session.not_adopted", "session=%s error=%s", id, LOG_Q(err.message));
		session_remove(session);
		return;
	}
	if (poll(&p, 1, left_ns > 0 ? (int)(left_ns / 1000000) : 0) == 1)
		receive(session);
	else
		log_warning("session.silent", "session=%s", id);
}

static int find_all(struct sessions *sessions, struct err *err)
{
	CLEANUP(closedirp) DIR *directory = opendir(sessions->directory);
	int64_t end_ns = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;
	struct dirent *entry;

	if (!directory)
		return err_errno(err, errno, "cannot read %s", sessions->directory);
	while ((entry = readdir(directory))) {
		char path[PATH_MAX];
		int fd;

		if (entry->d_name[0] == '.' ||
			session_socket_path(sessions, entry->d_name, path, sizeof(path)) < 0)
			continue;
		fd = connect_to(path);
		if (fd >= 0)
			adopt(sessions, entry->d_name, fd, end_ns);
		else if (fd == -ECONNREFUSED)
			unlink(path); /* its process was killed */
	}
	return 0;
}

static int prepare(struct sessions *sessions, struct err *err)
{
	int r = asprintf(&sessions->directory, "%s/sessions", sessions->agent->config->run_dir);

	if (r < 0)
		return err_errno(err, ENOMEM, "cannot make the table of sessions");
	r = libexec_find("corpus-session", &sessions->program, err);
	if (r < 0)
		return r;
	r = file_mkdirs(sessions->directory, 0700);
	if (r < 0)
		return err_errno(err, r, "cannot make %s", sessions->directory);
	return find_all(sessions, err);
}

int sessions_create(struct agent *agent, struct sessions **ret, struct err *err)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));
	int r;

	if (!sessions)
		return err_errno(err, ENOMEM, "cannot make the table of sessions");
	sessions->agent = agent;
	r = prepare(sessions, err);
	if (r < 0) {
		sessions_destroy(sessions);
		return r;
	}
	*ret = sessions;
	return 0;
}

struct sessions *sessions_destroy(struct sessions *sessions)
{
	struct session *session, *next;

	if (!sessions)
		return NULL;
	DL_FOREACH_SAFE(sessions->list, session, next)
	session_remove(session);
	control_finish(&sessions->packet);
	free(sessions->directory);
	free(sessions->program);
	free(sessions);
	return NULL;
}
