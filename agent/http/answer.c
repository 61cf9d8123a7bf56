/* Answers: kept with the request until libmicrohttpd asks for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "agent/http/internal.h"
#include "agent/http/problem.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define JSON_TYPE    "application/json"
#define PROBLEM_TYPE "application/problem+json"

void answer_reset(struct answer *answer)
{
	free(answer->body);
	strbuf_finish(&answer->headers);
	*answer = (struct answer){0};
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
	struct strbuf *headers = &request->answer.headers;

	if (!is_printable(name) || !is_printable(value)) {
		log_error("http.header_dropped", "name=%s", LOG_Q(name));
		return;
	}
	strbuf_add_bytes(headers, name, strlen(name) + 1);
	strbuf_add_bytes(headers, value, strlen(value) + 1);
}

/* The next pair, from NULL; NULL at the end. */
static const char *next_header(const struct answer *answer, const char *name, const char **value)
{
	if (!answer->headers.text)
		return NULL;
	name = name ? *value + strlen(*value) + 1 : answer->headers.text;
	if (name == answer->headers.text + answer->headers.used)
		return NULL;
	*value = name + strlen(name) + 1;
	return name;
}

static bool has_header(const struct answer *answer, const char *wanted)
{
	const char *value;

	for (const char *name = next_header(answer, NULL, &value); name;
		name = next_header(answer, name, &value))
		if (strcmp(name, wanted) == 0)
			return true;
	return false;
}

/* The one way by which a request is answered. Takes the body over. */
static void respond(
	struct http_request *request, unsigned status, const char *type, char *body, size_t size)
{
	struct http_server *server = request->server;
	struct answer *answer = &request->answer;

	if (answer->status) {
		log_error("http.answered_twice", "path=%s", LOG_Q(http_path(request)));
		free(body);
		return;
	}
	answer->status = status;
	answer->body = body;
	answer->size = size;
	snprintf(answer->type, sizeof(answer->type), "%s", type);
	upload_finish(&request->upload);
	if (server && server->config.answered)
		server->config.answered(server->config.agent, request, status,
			clock_monotonic_ns() - request->started_ns);
	if (request->connection) {
		/* At once, so that no timer or waiter hung on it can answer again. */
		if (!request->events)
			request_release(request);
		request_resume(request);
		return;
	}
	if (server)
		DL_DELETE(server->held, request);
	request_free(request);
}

/* Without memory for a document there is still the status to send. */
static void respond_rendered(
	struct http_request *request, unsigned status, const char *type, char *text)
{
	respond(request, text ? status : 503, text ? type : "", text, text ? strlen(text) : 0);
}

static int append(const char *text, size_t size, void *data)
{
	strbuf_add_bytes(data, text, size);
	return 0;
}

void http_respond_json(struct http_request *request, unsigned status, json_t *json)
{
	struct strbuf buf = {0};
	/* 12 digits: enough for any fraction here, and 1.005 stays 1.005. */
	int r = json ? json_dump_callback(
			       json, append, &buf, JSON_COMPACT | JSON_REAL_PRECISION(12))
		     : -1;

	json_decref(json);
	if (r < 0) {
		struct err err;

		strbuf_finish(&buf);
		err_set(&err, ERR_INTERNAL, NULL, "the answer could not be rendered");
		http_respond_error(request, &err, NULL);
		return;
	}
	strbuf_add(&buf, "\n");
	respond_rendered(request, status, JSON_TYPE, strbuf_take(&buf));
}

void http_respond_text(struct http_request *request, unsigned status, const char *content_type,
	const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);

	if (!copy) {
		respond(request, 503, "", NULL, 0);
		return;
	}
	memcpy(copy, text, size);
	respond(request, status, content_type, copy, size);
}

void http_respond_empty(struct http_request *request, unsigned status)
{
	respond(request, status, "", NULL, 0);
}

static const char *retry_after(unsigned status)
{
	return status == 429 ? "1" : status == 503 ? "5" : NULL;
}

void http_respond_error(struct http_request *request, const struct err *err, const char *operation)
{
	unsigned status = (unsigned)err_http_status(err->code);
	const char *retry = retry_after(status);

	if (retry && !has_header(&request->answer, "Retry-After"))
		http_add_header(request, "Retry-After", retry);
	respond_rendered(request, status, PROBLEM_TYPE,
		problem_render(err, status, operation, http_path(request)));
}

/* --- Sending ---------------------------------------------------------------------------------- */

static ssize_t never_read(void *data, uint64_t position, char *buf, size_t max)
{
	(void)data, (void)position, (void)buf, (void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct http_request *request)
{
	struct answer *answer = &request->answer;
	struct MHD_Response *response;

	if (request->events)
		return events_response(request->events);
	if (request->pipe)
		return pipe_response(request->pipe);
	if (request->upgrade.taken)
		return upgrade_response(request);
	if (request->head && answer->length > 0)
		return MHD_create_response_from_callback(
			(uint64_t)answer->length, 1024, never_read, NULL, NULL);
	if (!answer->body)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	response =
		MHD_create_response_from_buffer(answer->size, answer->body, MHD_RESPMEM_MUST_FREE);
	if (response)
		answer->body = NULL;
	return response;
}

enum MHD_Result answer_queue(struct http_request *request)
{
	const struct answer *answer = &request->answer;
	struct MHD_Response *response = make_response(request);
	const char *value;
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	if (answer->type[0])
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	for (const char *name = next_header(answer, NULL, &value); name;
		name = next_header(answer, name, &value))
		MHD_add_response_header(response, name, value);
	r = MHD_queue_response(request->connection->mhd, answer->status, response);
	MHD_destroy_response(response);
	return r;
}

/* A client that does not take it at once does not get it. */
static void send_raw(int fd, const struct answer *answer)
{
	struct strbuf buf = {0};
	const char *value;

	strbuf_addf(&buf, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
		answer->status, MHD_get_reason_phrase_for(answer->status), answer->size);
	if (answer->type[0])
		strbuf_addf(&buf, "Content-Type: %s\r\n", answer->type);
	for (const char *name = next_header(answer, NULL, &value); name;
		name = next_header(answer, name, &value))
		strbuf_addf(&buf, "%s: %s\r\n", name, value);
	strbuf_add(&buf, "\r\n");
	if (answer->body)
		strbuf_add_bytes(&buf, answer->body, answer->size);
	if (!buf.failed && send(fd, buf.text, buf.used, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("http.unsent", "errno=%d", errno);
	strbuf_finish(&buf);
}

void answer_send_raw(struct http_request *request)
{
	send_raw(request->connection->fd, &request->answer);
}

void answer_refuse(int fd, const struct err *err)
{
	struct answer answer = {
		.status = (unsigned)err_http_status(err->code), .type = PROBLEM_TYPE};

	answer.body = problem_render(err, answer.status, NULL, NULL);
	answer.size = answer.body ? strlen(answer.body) : 0;
	if (retry_after(answer.status))
		strbuf_add_bytes(&answer.headers, "Retry-After\0001", sizeof("Retry-After\0001"));
	send_raw(fd, &answer);
	answer_reset(&answer);
}
