/* Handlers of sessions, consoles and logs. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/api/piped.h"
#include "agent/node/registry.h"
#include "agent/sessions/sessions.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "session/stream/frame.h"

#define CONSOLE_TAIL 1024	       /* bytes of history that a console begins with */
#define LINES_MAX    1000000	       /* that may be asked of a log */
#define LOG_MAX	     (4 * 1024 * 1024) /* bytes that are looked through for lines */
#define LOG_TYPE     "text/plain; charset=utf-8"

/* --- Sessions -------------------------------------------------------------------------------- */

void api_session_list(struct http_request *request, void *data)
{
	struct agent *agent = data;
	const char *name = http_query(request, "guest"), *id = NULL;
	struct err err;

	if (name) {
		const struct guest_entry *entry = registry_by_name(agent->registry, name, &err);

		if (!entry) {
			http_respond_error(request, &err, NULL);
			return;
		}
		id = entry->guest->id;
	}
	http_respond_json(request, 200,
		json_pack("{s:o}", "sessions", sessions_to_json(agent->sessions, id)));
}

/* That of path parameter 0; NULL: the request is answered. */
static struct session *requested_session(struct http_request *request, struct agent *agent)
{
	struct err err;
	struct session *session = sessions_find(agent->sessions, http_param(request, 0), &err);

	if (!session)
		http_respond_error(request, &err, NULL);
	return session;
}

void api_session_get(struct http_request *request, void *data)
{
	const struct session *session = requested_session(request, data);

	if (session)
		http_respond_json(request, 200, session_to_json(session));
}

void api_session_end(struct http_request *request, void *data)
{
	struct session *session = requested_session(request, data);

	if (!session)
		return;
	session_end(session);
	http_respond_json(request, 200, session_to_json(session));
}

static int signal_from_name(const char *name)
{
	if (name && strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; name && i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return 0;
}

static int read_signal(const json_t *body, int *ret, struct err *err)
{
	const json_t *value;
	const char *key;

	json_object_foreach ((json_t *)body, key, value)
		if (strcmp(key, "signal") != 0)
			return err_set(err, ERR_INVALID, key, "unknown field %.60s", key);
	*ret = signal_from_name(json_string_value(json_object_get(body, "signal")));
	if (*ret)
		return 0;
	return err_set(
		err, ERR_INVALID, "signal", "signal must name one, like \"TERM\" or \"HUP\"");
}

void api_session_signal(struct http_request *request, void *data)
{
	struct session *session = requested_session(request, data);
	struct err err;
	int number, r;

	if (!session)
		return;
	r = read_signal(http_body(request), &number, &err);
	if (r == 0)
		r = session_signal(session, number, &err);
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else
		http_respond_json(request, 200, session_to_json(session));
}

static int check_upgrade(const struct http_request *request, struct err *err)
{
	if (http_wants_upgrade(request, STREAM_PROTOCOL))
		return 0;
	return err_set(err, ERR_MALFORMED, NULL,
		"this path is a stream: ask with the headers Connection: Upgrade and Upgrade: "
		"%s",
		STREAM_PROTOCOL);
}

void api_session_attach(struct http_request *request, void *data)
{
	struct session *session = NULL;
	uint64_t after = 0;
	struct err err;
	bool input = true;
	int r = query_number(request, "after", 0, INT64_MAX, 0, &after, &err);

	if (r == 0)
		r = query_bool(request, "input", true, &input, &err);
	if (r == 0 && !(session = requested_session(request, data)))
		return;
	if (r == 0)
		r = check_upgrade(request, &err);
	if (r == 0)
		r = session_check_attach(session, input, &err);
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else
		session_respond_stream(
			request, data, session, after, input ? ATTACH_TYPE : ATTACH_LOOK);
}

/* --- Consoles -------------------------------------------------------------------------------- */

struct console {
	struct agent *agent;
	struct http_request *request;
};

static void console_started(void *data, struct session *session, const struct err *err)
{
	AUTOFREE struct console *console = data;

	if (session)
		session_respond_stream(console->request, console->agent, session, 0, ATTACH_BEGIN);
	else
		http_respond_error(console->request, err, NULL);
}

void api_guest_console(struct http_request *request, void *data)
{
	struct agent *agent = data;
	const struct session_spec spec = {.kind = SESSION_CONSOLE,
		.input = true,
		.awaited = true,
		.tail = CONSOLE_TAIL,
		.uid = http_peer_uid(request)};
	struct guest_entry *entry = requested_guest(request, agent);
	struct console *console;
	struct err err;
	int r;

	if (!entry)
		return;
	r = check_upgrade(request, &err);
	console = r == 0 ? malloc(sizeof(*console)) : NULL;
	if (r == 0 && !console)
		r = err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
	if (r == 0) {
		*console = (struct console){agent, request};
		r = session_start(agent->sessions, entry, &spec, console_started, console, &err);
	}
	if (r < 0) {
		free(console);
		http_respond_error(request, &err, NULL);
	}
}

/* --- Logs ------------------------------------------------------------------------------------ */

struct log_request {
	struct agent *agent;
	struct http_request *request;
	char guest_id[GUEST_ID_LEN + 1];
	uint64_t lines;
	bool follow;
};

/* Where the last so many lines begin; one without an end counts. */
static const char *last_lines(const char *text, size_t size, uint64_t lines)
{
	const char *at = text + size;

	if (at > text && at[-1] == '\n')
		at--;
	while (at > text) {
		if (at[-1] == '\n' && --lines == 0)
			break;
		at--;
	}
	return at;
}

static void answer_log(struct log_request *log, uint64_t tail)
{
	const struct guest_entry *entry = registry_by_id(log->agent->registry, log->guest_id);
	struct driver_console console = {.tail = tail, .follow = log->follow};
	struct driver_request call = {
		.call = DRIVER_CALL_CONSOLE, .id = log->guest_id, .console = &console};
	struct driver_client *client;
	struct err err;

	if (!entry)
		err_set(&err, ERR_NOT_FOUND, NULL, "the guest is gone");
	client = entry ? guest_driver(log->agent, entry, &err) : NULL;
	if (client)
		piped_answer(log->request, log->agent, client, &call, LOG_TYPE, -1);
	else
		http_respond_error(log->request, &err, NULL);
}

/* Following begins anew with as many bytes as the lines have: what is written between the two
 * shortens the oldest line, and nothing is lost or comes twice. */
static void log_gathered(void *data, const char *text, size_t size, const struct err *err)
{
	AUTOFREE struct log_request *log = data;
	const char *from;

	if (!text) {
		http_respond_error(log->request, err, NULL);
		return;
	}
	from = log->lines ? last_lines(text, size, log->lines) : text + size;
	if (log->follow)
		answer_log(log, (uint64_t)(text + size - from));
	else
		http_respond_text(log->request, 200, LOG_TYPE, from, (size_t)(text + size - from));
}

static int gather_log(struct log_request *log, const struct guest_entry *entry, struct err *err)
{
	struct driver_console console = {.tail = LOG_MAX};
	struct driver_request call = {
		.call = DRIVER_CALL_CONSOLE, .id = log->guest_id, .console = &console};
	struct driver_client *client = guest_driver(log->agent, entry, err);

	if (!client)
		return -ENOENT;
	return piped_gather(log->agent, client, &call, 2 * LOG_MAX, log_gathered, log, err);
}

static int read_log(struct log_request *log, const struct guest_entry *entry, struct err *err)
{
	int r = query_bool(log->request, "follow", false, &log->follow, err);

	if (r == 0)
		r = query_number(log->request, "tail", 0, LINES_MAX, 0, &log->lines, err);
	if (r < 0 || http_query(log->request, "tail"))
		return r < 0 ? r : gather_log(log, entry, err);
	answer_log(log, UINT64_MAX);
	free(log);
	return 0;
}

void api_guest_logs(struct http_request *request, void *data)
{
	struct guest_entry *entry = requested_guest(request, data);
	struct log_request *log;
	struct err err;
	int r;

	if (!entry)
		return;
	log = calloc(1, sizeof(*log));
	if (!log) {
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
		http_respond_error(request, &err, NULL);
		return;
	}
	*log = (struct log_request){.agent = data, .request = request};
	memcpy(log->guest_id, entry->guest->id, sizeof(log->guest_id));
	r = read_log(log, entry, &err);
	if (r < 0) {
		free(log);
		http_respond_error(request, &err, NULL);
	}
}
