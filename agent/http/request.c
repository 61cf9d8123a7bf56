/* Requests: what handlers can ask about them, and how long they live. */
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define KEEP_MAX 4096 /* a buffer larger than this is not kept for the next request */

enum http_method http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->target.text;
}

const char *http_route_path(const struct http_request *request)
{
	return request->match.route ? request->match.route->path : NULL;
}

const char *http_param(const struct http_request *request, unsigned i)
{
	return i < HTTP_PARAMS_MAX ? request->match.params[i] : NULL;
}

const char *http_query(const struct http_request *request, const char *name)
{
	const struct http_route *route = request->match.route;

	for (unsigned i = 0; route && route->query && route->query[i]; i++)
		if (strcmp(route->query[i], name) == 0)
			return request->match.query[i];
	return NULL;
}

const char *http_header(const struct http_request *request, const char *name)
{
	if (!request->connection)
		return NULL;
	return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

const json_t *http_body(const struct http_request *request)
{
	return request->json;
}

uid_t http_peer_uid(const struct http_request *request)
{
	return request->uid;
}

gid_t http_peer_gid(const struct http_request *request)
{
	return request->gid;
}

void http_set_note(struct http_request *request, const char *note)
{
	snprintf(request->note, sizeof(request->note), "%s", note);
}

const char *http_note(const struct http_request *request)
{
	return request->note;
}

pid_t http_peer_pid(const struct http_request *request)
{
	return request->pid;
}

bool http_has_left(const struct http_request *request)
{
	return !request->connection;
}

bool http_is_head(const struct http_request *request)
{
	return request->head;
}

enum role http_peer_role(const struct http_request *request)
{
	return request->role;
}

void http_request_hash(const struct http_request *request, char ret[static 65])
{
	const char *method = http_method_to_string(request->method);
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, strlen(method) + 1, (const uint8_t *)method);
	/* Path, NUL, query, NUL: no two requests give the same text. */
	sha256_update(&ctx, request->target.used + 1, (const uint8_t *)request->target.text);
	sha256_update(&ctx, request->body.used, (const uint8_t *)request->body.text);
	sha256_digest(&ctx, sizeof(digest), digest);
	base16_encode_update(ret, sizeof(digest), digest);
	ret[BASE16_ENCODE_LENGTH(sizeof(digest))] = '\0';
}

void http_set_data(struct http_request *request, void *data, void (*release)(void *data))
{
	request->data = data;
	request->release = release;
}

void *http_get_data(const struct http_request *request)
{
	return request->data;
}

/* --- Life ----------------------------------------------------------------------------------- */

static void buffer_reset(struct strbuf *buf)
{
	if (buf->room > KEEP_MAX || buf->failed)
		strbuf_finish(buf);
	buf->used = 0;
}

void request_release(struct http_request *request)
{
	void (*release)(void *) = request->release;

	request->release = NULL;
	if (release)
		release(request->data);
	request->data = NULL;
}

/* Empties it for the next one. */
static void reset(struct http_request *request)
{
	struct http_request kept = {
		.server = request->server,
		.connection = request->connection,
		.upload.fd = -1,
		.upload.whole_fd = -1,
	};

	request_release(request);
	upload_finish(&request->upload);
	answer_reset(&request->answer);
	json_decref(request->json);
	buffer_reset(&request->target);
	buffer_reset(&request->body);
	kept.target = request->target;
	kept.scratch = request->scratch;
	kept.scratch_room = request->scratch_room;
	kept.body = request->body;
	*request = kept;
}

void request_free(struct http_request *request)
{
	if (!request)
		return;
	reset(request);
	strbuf_finish(&request->target);
	free(request->scratch);
	strbuf_finish(&request->body);
	free(request);
}

static bool take_target(struct http_request *request, const char *target)
{
	size_t size = strlen(target);
	const char *query = memchr(target, '?', size);

	request->path_size = query ? (size_t)(query - target) : size;
	strbuf_add_bytes(&request->target, target, size);
	if (request->target.failed)
		return false;
	if (query)
		request->target.text[request->path_size] = '\0';
	return true;
}

struct http_request *request_start(struct http_connection *connection, const char *target)
{
	struct http_request *request = connection->request;

	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return NULL;
		request->upload.fd = request->upload.whole_fd = -1;
		request->server = connection->server;
		request->connection = connection;
		connection->request = request;
	}
	request->phase = REQUEST_STARTED;
	request->method = HTTP_OTHER;
	request->started_ns = clock_monotonic_ns();
	request->uid = connection->peer.uid;
	request->gid = connection->peer.gids_count > 0 ? connection->peer.gids[0] : (gid_t)-1;
	request->pid = connection->peer.pid;
	return take_target(request, target) ? request : NULL;
}

/* Whether somebody will still answer it, and must find it when they do. */
static bool is_awaited(const struct http_request *request)
{
	const struct http_route *route = request->match.route;

	return request->handled && !request->answer.status &&
	       (!request->release || route->body == BODY_STREAM);
}

void request_finish(struct http_request *request)
{
	struct http_connection *connection = request->connection;

	connection->idle_since_ns = clock_monotonic_ns();
	if (request->events)
		events_finish(TAKE_PTR(request->events));
	if (request->pipe)
		pipe_finish(TAKE_PTR(request->pipe));
	upgrade_finish(request, -1, NULL, 0);
	if (!is_awaited(request)) {
		reset(request);
		return;
	}
	upload_finish(&request->upload);
	request->suspended = false;
	request->connection = NULL;
	connection->request = NULL;
	DL_APPEND(request->server->held, request);
}

void request_suspend(struct http_request *request)
{
	request->suspended = true;
	MHD_suspend_connection(request->connection->mhd);
	if (request->connection->hung_up)
		request_gone(request);
}

void request_gone(struct http_request *request)
{
	request->gone = true;
	request_resume(request);
}

void request_resume(struct http_request *request)
{
	if (!request->suspended)
		return;
	request->upload.writable = sd_event_source_disable_unref(request->upload.writable);
	request->suspended = false;
	MHD_resume_connection(request->connection->mhd);
	/* Without a thread of its own the library does not wake itself up for that. */
	sd_event_source_set_enabled(request->server->again, SD_EVENT_ONESHOT);
}
