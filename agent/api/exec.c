/* Commands in guests: as a stream, in the background, or to their end. */
#include <errno.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "agent/sessions/sessions.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "base/utf8.h"
#include "model/reader.h"
#include "session/stream/frame.h"

#define WORDS_MAX     1024	  /* of a command, and variables */
#define TEXT_MAX      (32 * 1024) /* of all of them together */
#define TIMEOUT_MAX_S (7 * 24 * 3600)
#define WAIT_S	      60 /* how long a command may take that a request waits for, unless it says */

/* --- The body -------------------------------------------------------------------------------- */

struct exec_terminal {
	bool on;
	uint32_t rows, columns;
};

struct exec_body {
	char **command, **env;
	char *user, *cwd, *input;
	struct exec_terminal terminal;
	bool is_typed, persist, detach; /* is_typed: "stdin" */
	uint32_t timeout_s;
};

static void body_finish(struct exec_body *body)
{
	strv_free(body->command);
	strv_free(body->env);
	free(body->user);
	free(body->cwd);
	free(body->input);
}

static bool is_variable_name(const char *name)
{
	static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t n = strspn(name, LETTERS);

	return n > 0 && name[n + strspn(name + n, "0123456789"
						  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						  "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

static int add_variable(char **env, size_t i, const char *name, const json_t *value,
	const char *path, struct err *err)
{
	const char *text = json_string_value(value);
	char full[ERR_FIELD_MAX];

	reader_path(full, path, name);
	if (!is_variable_name(name))
		return err_set(err, ERR_INVALID, full,
			"a variable is named by letters, digits and _, and begins with no digit");
	if (!text || strlen(text) != json_string_length(value))
		return reader_expected(full, "a string without NUL bytes", err);
	if (asprintf(&env[i], "%s=%s", name, text) < 0) {
		env[i] = NULL;
		return err_errno(err, ENOMEM, "cannot read %s", full);
	}
	return 0;
}

static int read_env(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	CLEANUP(strv_freep) char **env = NULL;
	char ***owned = member;
	const json_t *text;
	const char *name;
	size_t i = 0;
	int r;

	(void)field;
	if (!json_is_object(value))
		return reader_expected(path, "an object of strings", err);
	if (json_object_size(value) > WORDS_MAX)
		return err_set(err, ERR_INVALID, path, "%s must be at most %d", path, WORDS_MAX);
	env = calloc(json_object_size(value) + 1, sizeof(*env));
	if (!env)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	json_object_foreach ((json_t *)value, name, text) {
		r = add_variable(env, i++, name, text, path, err);
		if (r < 0)
			return r;
	}
	*owned = TAKE_PTR(env);
	return 0;
}

#define TERMINAL(field_name, member)                                                               \
	{                                                                                          \
		.name = field_name, .read = reader_u32,                                            \
		.offset = offsetof(struct exec_terminal, member), .min = 1, .max = 65535           \
	}

static int read_terminal(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	static const struct reader_field SIZES[] = {
		TERMINAL("rows", rows), TERMINAL("columns", columns)};
	struct exec_terminal *terminal = member;

	(void)field;
	*terminal = (struct exec_terminal){.on = true, .rows = 24, .columns = 80};
	return reader_object(value, path, SIZES, ARRAY_SIZE(SIZES), terminal, err);
}

static int check_text(const char *text, const char *field, struct err *err)
{
	return text[0] ? 0 : err_set(err, ERR_INVALID, field, "%s must not be empty", field);
}

static int check_cwd(const char *text, const char *field, struct err *err)
{
	if (text[0] == '/')
		return 0;
	return err_set(err, ERR_INVALID, field, "%s must be a path that begins with /", field);
}

#define FIELD(field_name, reader, member)                                                          \
	.name = field_name, .read = reader, .offset = offsetof(struct exec_body, member)

static const struct reader_field FIELDS[] = {
	{FIELD("command", reader_texts, command), .required = true, .count = WORDS_MAX},
	{FIELD("env", read_env, env)},
	{FIELD("user", reader_text, user), .check = check_text},
	{FIELD("cwd", reader_text, cwd), .check = check_cwd},
	{FIELD("terminal", read_terminal, terminal)},
	{FIELD("stdin", reader_bool, is_typed)},
	{FIELD("input", reader_text, input)},
	{FIELD("persist", reader_bool, persist)},
	{FIELD("detach", reader_bool, detach)},
	{FIELD("timeout", reader_seconds, timeout_s), .max = TIMEOUT_MAX_S},
};

static size_t text_size(char *const *list)
{
	size_t size = 0;

	for (; list && *list; list++)
		size += strlen(*list) + 1;
	return size;
}

static int check_body(const struct exec_body *body, bool upgrade, struct err *err)
{
	if (!body->command || !body->command[0][0])
		return err_set(err, ERR_INVALID, "command",
			"command must be a program and its arguments, as an array of strings");
	if (text_size(body->command) + text_size(body->env) > TEXT_MAX)
		return err_set(err, ERR_INVALID, "command",
			"command and env together have more than %d bytes", TEXT_MAX);
	if (body->input && (upgrade || body->detach))
		return err_set(err, ERR_INVALID, "input",
			"input is for requests that wait for the end; send it through the stream");
	if (upgrade && body->detach)
		return err_set(err, ERR_INVALID, "detach",
			"detach and Upgrade exclude each other: attach later");
	return 0;
}

static int read_body(
	const struct http_request *request, bool upgrade, struct exec_body *ret, struct err *err)
{
	int r = reader_object(http_body(request), "", FIELDS, ARRAY_SIZE(FIELDS), ret, err);

	return r < 0 ? r : check_body(ret, upgrade, err);
}

/* --- To the end ------------------------------------------------------------------------------ */

struct exec {
	struct agent *agent;
	struct http_request *request;
	enum { EXEC_STREAM, EXEC_DETACH, EXEC_WAIT } mode;
	char *input;
	struct session_run *run;
};

static void exec_free(void *data)
{
	struct exec *exec = data;

	if (exec->run)
		session_run_cancel(exec->run);
	free(exec->input);
	free(exec);
}

static bool is_text(const char *text, size_t size)
{
	size_t at = 0, n;

	/* What is gathered ends with a NUL, so no character is looked for beyond it. */
	while (at < size && (n = utf8_length(text + at)) > 0)
		at += n;
	return at == size;
}

/* Bytes that are no text come as base64, and are named so. */
static void add_output(
	json_t *json, json_t *encoded, const char *name, const char *bytes, size_t size)
{
	AUTOFREE char *text = NULL;

	if (is_text(bytes, size)) {
		json_object_set_new(json, name, json_stringn(bytes, size));
		return;
	}
	text = malloc(BASE64_ENCODE_RAW_LENGTH(size) + 1);
	if (text)
		base64_encode_raw(text, size, (const uint8_t *)bytes);
	json_object_set_new(
		json, name, text ? json_stringn(text, BASE64_ENCODE_RAW_LENGTH(size)) : NULL);
	json_array_append_new(encoded, json_string(name));
}

static json_t *result_to_json(const struct session_result *result)
{
	json_t *json = json_object(), *encoded = json_array();

	json_object_set_new(
		json, "status", result->status >= 0 ? json_integer(result->status) : json_null());
	json_object_set_new(
		json, "signal", result->signal[0] ? json_string(result->signal) : json_null());
	add_output(json, encoded, "stdout", result->out, result->out_size);
	add_output(json, encoded, "stderr", result->errors, result->errors_size);
	json_object_set_new(json, "base64", encoded);
	json_object_set_new(json, "truncated", json_boolean(result->truncated));
	json_object_set_new(json, "timed_out", json_boolean(result->timed_out));
	json_object_set_new(json, "lost", json_boolean(result->lost));
	return json;
}

static void exec_ended(void *data, const struct session_result *result)
{
	struct exec *exec = data;

	exec->run = NULL;
	http_respond_json(exec->request, 200, result_to_json(result));
}

static void wait_for_end(struct exec *exec, struct session *session)
{
	struct http_request *request = exec->request;
	const char *input = exec->input ? exec->input : "";
	struct err err;

	exec->run = session_run(session, input, strlen(input), exec_ended, exec, &err);
	if (exec->run) {
		/* Who does not wait any longer hangs up. */
		http_set_data(request, exec, exec_free);
		return;
	}
	session_end(session);
	http_respond_error(request, &err, NULL);
	exec_free(exec);
}

/* --- As a stream ----------------------------------------------------------------------------- */

struct streamed {
	struct agent *agent;
	char id[SESSION_ID_LEN + 1];
	uint64_t after;
	bool input;
	bool begun; /* for this client */
};

static void stream_taken(void *data, int fd, const char *extra, size_t size)
{
	AUTOFREE struct streamed *streamed = data;
	struct session *session = sessions_find(streamed->agent->sessions, streamed->id, NULL);

	if (session && fd >= 0)
		session_attach(session, fd, streamed->after, streamed->input, extra, size);
	else if (session && streamed->begun)
		session_end(session);
	else
		fd_close(fd);
}

static void add_location(struct http_request *request, const struct session *session)
{
	char location[64];

	snprintf(location, sizeof(location), "/v1/sessions/%s", session_id(session));
	http_add_header(request, "Location", location);
}

void session_respond_stream(struct http_request *request, struct agent *agent,
	const struct session *session, uint64_t after, enum session_attachment how)
{
	struct streamed *streamed = calloc(1, sizeof(*streamed));
	struct err err;

	if (!streamed) {
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
		http_respond_error(request, &err, NULL);
		return;
	}
	*streamed = (struct streamed){.agent = agent,
		.after = after,
		.input = how != ATTACH_LOOK,
		.begun = how == ATTACH_BEGIN};
	snprintf(streamed->id, sizeof(streamed->id), "%s", session_id(session));
	add_location(request, session);
	http_respond_upgrade(request, STREAM_PROTOCOL, stream_taken, streamed);
}

/* --- Starting -------------------------------------------------------------------------------- */

static void exec_started(void *data, struct session *session, const struct err *err)
{
	struct exec *exec = data;

	if (!session) {
		http_respond_error(exec->request, err, NULL);
		exec_free(exec);
	} else if (exec->mode == EXEC_WAIT) {
		wait_for_end(exec, session);
	} else if (exec->mode == EXEC_STREAM) {
		session_respond_stream(exec->request, exec->agent, session, 0, ATTACH_BEGIN);
		exec_free(exec);
	} else {
		add_location(exec->request, session);
		http_respond_json(exec->request, 201, session_to_json(session));
		exec_free(exec);
	}
}

static int exec_start(
	struct exec *exec, struct exec_body *body, const struct guest_entry *entry, struct err *err)
{
	struct session_spec spec = {.kind = SESSION_EXEC,
		.command = body->command,
		.env = body->env,
		.user = body->user,
		.cwd = body->cwd,
		.terminal = body->terminal.on,
		.rows = body->terminal.rows,
		.columns = body->terminal.columns,
		.input = body->is_typed || body->input,
		.persist = body->persist || body->detach,
		.awaited = !body->detach,
		.timeout_ms = body->timeout_s * UINT64_C(1000),
		.uid = http_peer_uid(exec->request)};

	if (exec->mode == EXEC_WAIT && spec.timeout_ms == 0)
		spec.timeout_ms = WAIT_S * UINT64_C(1000);
	return session_start(exec->agent->sessions, entry, &spec, exec_started, exec, err);
}

void api_guest_exec(struct http_request *request, void *data)
{
	struct agent *agent = data;
	bool upgrade = http_wants_upgrade(request, STREAM_PROTOCOL);
	struct guest_entry *entry = requested_guest(request, agent);
	CLEANUP(body_finish) struct exec_body body = {0};
	struct exec *exec;
	struct err err;
	int r;

	if (!entry)
		return;
	r = read_body(request, upgrade, &body, &err);
	exec = calloc(1, sizeof(*exec));
	if (r == 0 && !exec)
		r = err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
	if (r == 0) {
		*exec = (struct exec){.agent = agent,
			.request = request,
			.mode = upgrade	      ? EXEC_STREAM
				: body.detach ? EXEC_DETACH
					      : EXEC_WAIT,
			.input = body.input};
		r = exec_start(exec, &body, entry, &err);
		if (r == 0)
			body.input = NULL;
	}
	if (r < 0) {
		free(exec);
		http_respond_error(request, &err, NULL);
	}
}
