/* What is said to dockerd, and what its refusals mean: functions of texts. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/docker/engine_internal.h"

/* --- Endpoints ------------------------------------------------------------------------------- */

int engine_endpoint(const char *endpoint, const char **ret, struct err *err)
{
	static const char scheme[] = "unix://";
	const char *path = endpoint && endpoint[0] ? endpoint : ENGINE_SOCKET;

	if (strncmp(path, scheme, strlen(scheme)) == 0)
		path += strlen(scheme);
	if (path[0] != '/')
		return err_set(err, ERR_INVALID, "endpoint",
			"the Docker driver cannot talk to %s: expected the path of dockerd's unix "
			"socket, like " ENGINE_SOCKET " or unix://" ENGINE_SOCKET,
			endpoint);
	if (strlen(path) >= sizeof((struct sockaddr_un){0}.sun_path))
		return err_set(err, ERR_INVALID, "endpoint",
			"the path of a unix socket has at most %zu characters",
			sizeof((struct sockaddr_un){0}.sun_path) - 1);
	*ret = path;
	return 0;
}

/* --- Requests -------------------------------------------------------------------------------- */

/* All but what RFC 3986 (2.3) calls unreserved. */
static void add_encoded(struct strbuf *buf, const char *text)
{
	for (const char *c = text; *c; c++)
		if (isalnum((unsigned char)*c) || strchr("-._~", *c))
			strbuf_add_bytes(buf, c, 1);
		else
			strbuf_addf(buf, "%%%02X", (unsigned char)*c);
}

int engine_check_name(const struct engine_request *request, struct err *err)
{
	struct err absent = {0};
	int r;

	if (!strstr(request->path, "{}") || (request->name && request->name[0]))
		return 0;
	r = err_set(&absent, ERR_NOT_FOUND, NULL, "it is not there any more");
	engine_prefix(request, &absent);
	if (err)
		*err = absent;
	return r;
}

char *engine_target(const struct engine *e, const struct engine_request *request)
{
	const char *place = strstr(request->path, "{}");
	struct strbuf buf = {0};
	char separator = '?';

	if (e->version > 0)
		strbuf_addf(&buf, "/v1.%u", e->version);
	if (place) {
		strbuf_add_bytes(&buf, request->path, (size_t)(place - request->path));
		add_encoded(&buf, request->name);
		strbuf_add(&buf, place + 2);
	} else {
		strbuf_add(&buf, request->path);
	}
	for (size_t i = 0; i < ENGINE_QUERY_MAX && request->query[i].key; i++) {
		if (!request->query[i].value)
			continue;
		strbuf_addf(&buf, "%c%s=", separator, request->query[i].key);
		add_encoded(&buf, request->query[i].value);
		separator = '&';
	}
	return strbuf_take(&buf);
}

char *engine_body(const struct engine_request *request)
{
	return request->body ? json_dumps(request->body, JSON_COMPACT) : strdup("");
}

int64_t engine_deadline(const struct engine *e, const struct engine_request *request)
{
	int64_t own = request->timeout_ms
			      ? clock_monotonic_ns() + (int64_t)request->timeout_ms * 1000000
			      : INT64_MAX;

	return e->deadline_ns && e->deadline_ns < own ? e->deadline_ns : own;
}

/* --- Errors ---------------------------------------------------------------------------------- */

void engine_prefix(const struct engine_request *request, struct err *err)
{
	if (request->what)
		err_prefix(err, "cannot %s", request->what);
	else
		err_prefix(err, "cannot ask dockerd for %s", request->path);
}

static const struct {
	int status;
	enum err_code code;
} CODES[] = {
	{400, ERR_INVALID},
	{401, ERR_DENIED},
	{403, ERR_DENIED},
	{404, ERR_NOT_FOUND},
	{409, ERR_CONFLICT},
};

static enum err_code code_of(int status, const char *message)
{
	/* It conflicts with what the container is doing. */
	static const char *const states[] = {"is not running", "is not paused", "is already paused",
		"is paused", "is restarting"};

	for (size_t i = 0; status == 409 && i < ARRAY_SIZE(states); i++)
		if (strstr(message, states[i]))
			return ERR_ILLEGAL_STATE;
	for (size_t i = 0; i < ARRAY_SIZE(CODES); i++)
		if (CODES[i].status == status)
			return CODES[i].code;
	return ERR_DRIVER;
}

int engine_refusal(const struct engine_request *request, int status, const char *answer,
	size_t size, struct err *err)
{
	json_t *json = json_loadb(answer, size, JSON_DISABLE_EOF_CHECK, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	struct err refused = {0};
	int r;

	if (message && message[0])
		r = err_set(&refused, code_of(status, message), NULL, "%s", message);
	else
		r = err_set(&refused, code_of(status, ""), NULL,
			"dockerd answers with status %d and does not say why", status);
	json_decref(json);
	engine_prefix(request, &refused);
	if (err)
		*err = refused;
	return r;
}

int engine_unreachable(const struct engine *e, int errnum, struct err *err)
{
	switch (errnum) {
	case ENOENT:
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"there is no %s: is Docker installed and running (systemctl start docker)?",
			e->socket);
	case ECONNREFUSED:
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"dockerd does not listen at %s: is it running (systemctl start docker)?",
			e->socket);
	case EACCES:
	case EPERM:
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"dockerd's socket %s may not be used: the driver has to run as root",
			e->socket);
	default:
		return err_set(err, ERR_UNAVAILABLE, NULL, "cannot reach dockerd at %s: %s",
			e->socket, errnum ? strerror(errnum) : "it does not say why");
	}
}

int engine_gone(struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE, NULL,
		"dockerd went away before it answered: was it restarted?");
}

int engine_late(const struct engine *e, const struct engine_request *request, struct err *err)
{
	struct err late = {0};
	int r = err_set(&late, ERR_TIMEOUT, NULL,
		"dockerd at %s does not answer in time: is it hung, or very busy?", e->socket);

	engine_prefix(request, &late);
	if (err)
		*err = late;
	return r;
}
