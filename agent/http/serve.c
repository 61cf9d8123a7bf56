/* What libmicrohttpd calls for each request: once with the headers, then with pieces of the body,
 * at last when all is there. It takes an answer only at the first (and then closes the connection)
 * or the last of these, so a refusal waits, where that is reasonable, until the rest of the body
 * has been thrown away. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/http/body.h"
#include "agent/http/internal.h"
#include "base/err.h"
#include "base/parse.h"

/* What the headers say about the body that follows. */
struct framing {
	unsigned hosts, lengths, encodings, types;
	const char *encoding, *type;
	uint64_t length;
	bool malformed, expects;
};

void *serve_target(void *server, const char *target, struct MHD_Connection *mhd)
{
	struct http_connection *connection = connection_of(mhd);

	(void)server;
	return connection ? request_start(connection, target ? target : "") : NULL;
}

/* A name is a token (RFC 9110, 5.6.2); anything else might be read differently by somebody else. */
static bool is_token(const char *name)
{
	static const char OTHERS[] = "!#$%&'*+-.^_`|~";
	size_t n = 0;

	for (; name[n]; n++) {
		char c = name[n];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    strchr(OTHERS, c)))
			return false;
	}
	return n > 0;
}

static enum MHD_Result read_header(
	void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *framing = data;

	(void)kind;
	value = value ? value : "";
	if (!is_token(name)) {
		framing->malformed = true;
	} else if (strcasecmp(name, "Host") == 0) {
		framing->hosts++;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		framing->lengths++;
		framing->malformed |= parse_u64(value, UINT64_MAX, &framing->length) < 0;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		framing->encodings++;
		framing->encoding = value;
	} else if (strcasecmp(name, "Content-Type") == 0) {
		framing->types++;
		framing->type = value;
	} else if (strcasecmp(name, "Expect") == 0) {
		framing->expects = true;
	}
	return MHD_YES;
}

/* Where a body ends must be beyond doubt (RFC 9112, 6.3), else the next request is not either. */
static int check_framing(const struct framing *framing, const char *version, struct err *err)
{
	if (framing->malformed)
		return err_set(err, ERR_MALFORMED, NULL, "a header is malformed");
	if (framing->hosts > 1 || (framing->hosts == 0 && strcmp(version, "HTTP/1.1") == 0))
		return err_set(err, ERR_MALFORMED, NULL, "there must be one Host header");
	if (framing->lengths > 1 || framing->types > 1 || framing->encodings > 1)
		return err_set(err, ERR_MALFORMED, NULL, "a header is given twice");
	if (framing->encodings && framing->lengths)
		return err_set(err, ERR_MALFORMED, NULL,
			"Content-Length and Transfer-Encoding exclude each other");
	if (framing->encodings && strcasecmp(framing->encoding, "chunked") != 0)
		return err_set(err, ERR_MALFORMED, NULL, "the only Transfer-Encoding is chunked");
	return 0;
}

static int check_body(
	const struct http_request *request, const struct framing *framing, struct err *err)
{
	unsigned kind = request->match.route->body;
	bool present = framing->length > 0 || framing->encodings;

	if (kind == BODY_STREAM || !present)
		return 0;
	if (kind == BODY_NONE && framing->length > 0)
		return err_set(err, ERR_MALFORMED, NULL, "this request takes no body");
	if (framing->length > HTTP_BODY_MAX)
		return err_set(err, ERR_TOO_LARGE, NULL, "a body may have at most %d bytes",
			HTTP_BODY_MAX);
	if (kind != BODY_NONE && (!framing->type || !body_type_is_json(framing->type)))
		return err_set(
			err, ERR_MEDIA_TYPE, NULL, "the body must be application/json, in UTF-8");
	return 0;
}

/* One buffer: first what the path becomes, then what the query becomes. */
static char *scratch(struct http_request *request, size_t room)
{
	if (request->scratch_room < room) {
		free(request->scratch);
		request->scratch = malloc(room);
		request->scratch_room = request->scratch ? room : 0;
	}
	return request->scratch;
}

static int check_role(struct http_request *request, struct err *err)
{
	const struct http_config *config = &request->server->config;
	const struct peer *peer = &request->connection->peer;
	enum role needed = request->match.route->role;

	request->role = config->role_of(config->agent, peer->uid, peer->gids, peer->gids_count);
	if (request->role >= needed)
		return 0;
	return err_set(err, ERR_DENIED, NULL,
		"this needs the role %s; uid %u has the role %s. An administrator can grant it in "
		"the agent's configuration",
		role_to_string(needed), peer->uid, role_to_string(request->role));
}

static int find_route(struct http_request *request, const char *method, struct err *err)
{
	size_t room = ROUTE_SCRATCH(request->target.used);
	const char *path = request->target.text;
	char *text = scratch(request, 2 * room);
	int r;

	if (!text)
		return err_set(err, ERR_UNAVAILABLE, NULL, "out of memory");
	request->method = route_method(method);
	request->head = strcmp(method, "HEAD") == 0;
	r = route_find(&request->server->router, request->method, path, text, &request->match, err);
	if (r < 0)
		return r;
	r = check_role(request, err);
	if (r < 0 || request->path_size == request->target.used)
		return r;
	return route_query(&request->match, path + request->path_size + 1, text + room, err);
}

static void refuse(struct http_request *request, const struct err *err)
{
	if (request->match.allow[0])
		http_add_header(request, "Allow", request->match.allow);
	http_respond_error(request, err, NULL);
}

static void handle(struct http_request *request)
{
	request->handled = true;
	request->match.route->handle(request, request->server->config.agent);
}

/* --- The headers are here */

static enum MHD_Result begin(struct http_request *request, const char *method, const char *version)
{
	struct framing framing = {0};
	struct err err;
	int r;

	request->phase = REQUEST_BODY;
	request->modern = strcmp(version, "HTTP/1.1") == 0;
	MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, read_header, &framing);
	r = check_framing(&framing, version, &err);
	if (r < 0) {
		refuse(request, &err);
		return answer_queue(request);
	}
	r = find_route(request, method, &err);
	if (r == 0)
		r = check_body(request, &framing, &err);
	if (r < 0)
		refuse(request, &err);
	else if (request->match.route->body == BODY_STREAM)
		handle(request);
	/* Who waits for a leave to send the body, or has too much of it, hears at once. */
	if (request->answer.status && (framing.expects || framing.length > DRAIN_MAX))
		return answer_queue(request);
	return MHD_YES;
}

/* --- A piece of the body is here */

static enum MHD_Result drain(struct http_request *request, size_t *size)
{
	request->drained += *size;
	*size = 0;
	if (request->drained <= DRAIN_MAX)
		return MHD_YES;
	answer_send_raw(request);
	return MHD_NO;
}

static void collect(struct http_request *request, const char *data, size_t *size)
{
	struct err err;

	if (request->match.route->body == BODY_NONE) {
		err_set(&err, ERR_MALFORMED, NULL, "this request takes no body");
		refuse(request, &err);
	} else if (*size > HTTP_BODY_MAX - request->body.used) {
		err_set(&err, ERR_TOO_LARGE, NULL, "a body may have at most %d bytes",
			HTTP_BODY_MAX);
		refuse(request, &err);
	} else {
		strbuf_add_bytes(&request->body, data, *size);
		*size = 0;
	}
}

static enum MHD_Result take(struct http_request *request, const char *data, size_t *size)
{
	if (!request->answer.status) {
		if (request->match.route->body == BODY_STREAM)
			upload_take(request, data, size);
		else
			collect(request, data, size);
	}
	return request->answer.status ? drain(request, size) : MHD_YES;
}

/* --- All is here */

static int parse_body(struct http_request *request, struct err *err)
{
	unsigned kind = request->match.route->body;

	if (request->body.failed)
		return err_set(err, ERR_UNAVAILABLE, NULL, "out of memory");
	if (kind == BODY_NONE || (kind == BODY_JSON_OPTIONAL && request->body.used == 0))
		return 0;
	return body_parse(request->body.text, request->body.used, &request->json, err);
}

static void complete(struct http_request *request)
{
	struct err err;

	request->phase = REQUEST_WHOLE;
	if (request->answer.status)
		return;
	if (request->match.route->body == BODY_STREAM) {
		upload_end(request);
		return;
	}
	if (parse_body(request, &err) < 0)
		refuse(request, &err);
	else
		handle(request);
}

static enum MHD_Result end(struct http_request *request)
{
	if (request->phase != REQUEST_WHOLE)
		complete(request);
	if (request->answer.status)
		return answer_queue(request);
	request_suspend(request);
	return MHD_YES;
}

enum MHD_Result serve(void *data, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *upload, size_t *size, void **context)
{
	const struct http_server *server = data;
	struct http_request *request = *context;

	(void)mhd, (void)url;
	if (!request || request->gone || server->stopping)
		return MHD_NO;
	if (request->phase == REQUEST_STARTED)
		return begin(request, method, version);
	return *size > 0 ? take(request, upload, size) : end(request);
}

void serve_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code)
{
	(void)server, (void)mhd, (void)code;
	if (*context)
		request_finish(*context);
	*context = NULL;
}
