/* HTTP by libcurl: one handle, one connection, kept between requests. */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/source.h"

#define ANSWER_MAX	   (256 * 1024 * 1024)
#define RETRY_PAUSE_MS	   100
#define CONNECT_TIMEOUT_MS 5000L

struct client {
	CURL *curl;
	char *socket;
	bool cut, answered;
};

/* One sending of a request. */
struct exchange {
	struct client *client;
	const struct request *request;
	struct strbuf body; /* of the answer */
	struct err source_error;
	bool source_failed;
};

DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)

struct client *client_create(const char *socket_path)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	/* No TLS on a unix socket: setting that up would take longer than most requests. */
	curl_global_init(CURL_GLOBAL_NOTHING);
	client->curl = curl_easy_init();
	client->socket = strdup(socket_path);
	if (!client->curl || !client->socket)
		return client_destroy(client);
	return client;
}

struct client *client_destroy(struct client *client)
{
	if (!client)
		return NULL;
	if (client->curl)
		curl_easy_cleanup(client->curl);
	free(client->socket);
	free(client);
	return NULL;
}

bool client_was_cut(const struct client *client)
{
	return client->cut;
}

bool client_was_answered(const struct client *client)
{
	return client->answered;
}

void response_finish(struct response *response)
{
	free(response->text);
	json_decref(response->json);
	*response = (struct response){0};
}

/* --- Callbacks ------------------------------------------------------------------------------- */

static size_t take_answer(char *data, size_t unit, size_t count, void *user)
{
	struct exchange *exchange = user;
	const struct request *request = exchange->request;
	size_t size = unit * count;
	long status = 0;

	curl_easy_getinfo(exchange->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (request->on_data && status == 200)
		return request->on_data(request->data, data, size) ? size : 0;
	if (exchange->body.used + size > ANSWER_MAX)
		return 0;
	strbuf_add_bytes(&exchange->body, data, size);
	return exchange->body.failed ? 0 : size;
}

static size_t take_header(char *line, size_t unit, size_t count, void *user)
{
	struct exchange *exchange = user;
	size_t size = unit * count, length = strcspn(line, ":\r\n");
	char name[64], value[512];

	if (!exchange->request->on_header || length >= size || line[length] != ':')
		return size;
	snprintf(name, sizeof(name), "%.*s", (int)length, line);
	length += 1 + strspn(line + length + 1, " ");
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + length, "\r\n"), line + length);
	exchange->request->on_header(exchange->request->data, name, value);
	return size;
}

static size_t give_upload(char *data, size_t unit, size_t count, void *user)
{
	struct exchange *exchange = user;
	int64_t n =
		source_read(exchange->request->source, data, unit * count, &exchange->source_error);

	if (n < 0) {
		exchange->source_failed = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)n;
}

static int watch(void *user, curl_off_t total, curl_off_t now, curl_off_t to_send, curl_off_t sent)
{
	const struct exchange *exchange = user;

	(void)total;
	(void)now;
	(void)to_send;
	if (exchange->request->on_sent)
		exchange->request->on_sent(exchange->request->data, (uint64_t)sent);
	return cli_interrupted();
}

/* --- Sending --------------------------------------------------------------------------------- */

static int add_header(
	struct curl_slist **headers, const char *name, const char *value, struct err *err)
{
	AUTOFREE char *line = NULL;
	struct curl_slist *grown;

	if (!value)
		return 0;
	if (asprintf(&line, "%s: %s", name, value) < 0)
		return err_errno(err, ENOMEM, "making a request");
	grown = curl_slist_append(*headers, line);
	if (!grown)
		return err_errno(err, ENOMEM, "making a request");
	*headers = grown;
	return 0;
}

static int add_quoted(
	struct curl_slist **headers, const char *name, const char *value, struct err *err)
{
	AUTOFREE char *quoted = NULL;

	if (asprintf(&quoted, "\"%s\"", value) < 0)
		return err_errno(err, ENOMEM, "making a request");
	return add_header(headers, name, quoted, err);
}

static int add_headers(struct curl_slist **headers, const struct request *request, struct err *err)
{
	const char *type = request->body ? "application/json" : request->content_type;
	/* An empty value takes a header back that libcurl would add by itself. */
	int r = add_header(headers, "Idempotency-Key", request->key, err);

	if (r == 0)
		r = add_header(headers, "Last-Event-ID", request->last_event_id, err);
	if (r == 0 && request->if_match)
		r = add_quoted(headers, "If-Match", request->if_match, err);
	return r < 0 ? r : add_header(headers, "Content-Type", type ? type : "", err);
}

static void set_connection(struct client *client)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "corpus/" CORPUS_VERSION);
}

static void set_body(CURL *curl, const struct exchange *exchange, const char *text)
{
	const struct request *request = exchange->request;

	if (request->source) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_upload);
		curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
		curl_easy_setopt(
			curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)source_size(request->source));
		curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024L);
	} else if (text || strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)(text ? strlen(text) : 0));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text ? text : "");
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_exchange(CURL *curl, const struct exchange *exchange, const struct curl_slist *list)
{
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	if (strcmp(exchange->request->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static CURLcode send_once(struct exchange *exchange, const char *body, struct curl_slist *headers)
{
	CURL *curl = exchange->client->curl;
	AUTOFREE char *url = NULL;

	if (asprintf(&url, "http://localhost%s", exchange->request->path) < 0)
		return CURLE_OUT_OF_MEMORY;
	strbuf_finish(&exchange->body);
	set_connection(exchange->client);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	set_body(curl, exchange, body);
	set_exchange(curl, exchange, headers);
	return curl_easy_perform(curl);
}

/* --- Repeating ------------------------------------------------------------------------------- */

/* The request may have arrived: only an answer would tell. */
static bool was_lost(CURLcode code)
{
	return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
	       code == CURLE_PARTIAL_FILE;
}

static bool is_repeatable(const struct request *request)
{
	if (request->on_data || (request->source && !source_rewind(request->source)))
		return false;
	return request->key || strcmp(request->method, "GET") == 0;
}

static void pause_ms(int64_t ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

static CURLcode send_again(struct exchange *exchange, const char *body, struct curl_slist *headers)
{
	int64_t end = clock_monotonic_ns() + CLIENT_PATIENCE_MS * INT64_C(1000000);
	CURLcode code;

	for (;;) {
		code = send_once(exchange, body, headers);
		if (code != CURLE_COULDNT_CONNECT || cli_interrupted() ||
			clock_monotonic_ns() > end)
			return code;
		pause_ms(RETRY_PAUSE_MS);
	}
}

static CURLcode send_safely(struct exchange *exchange, const char *body, struct curl_slist *headers)
{
	CURLcode code = send_once(exchange, body, headers);

	if (was_lost(code) && !cli_interrupted() && is_repeatable(exchange->request))
		code = send_again(exchange, body, headers);
	return code;
}

/* --- Answers --------------------------------------------------------------------------------- */

static int report_connect(const struct client *client, struct err *err)
{
	long errnum = 0;

	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &errnum);
	if (errnum == EACCES || errnum == EPERM)
		return err_set(err, ERR_DENIED, NULL, "you may not open %s", client->socket);
	return err_set(err, ERR_UNAVAILABLE, NULL, "no agent answers at %s%s%s", client->socket,
		errnum ? ": " : "", errnum ? strerrordesc_np((int)errnum) : "");
}

static int report_failure(struct exchange *exchange, CURLcode code, struct err *err)
{
	struct client *client = exchange->client;

	if (exchange->source_failed) {
		if (err)
			*err = exchange->source_error;
		return -(exchange->source_error.errnum ? exchange->source_error.errnum : EIO);
	}
	if (cli_interrupted())
		return err_set(err, ERR_CANCELLED, NULL, "interrupted");
	client->cut = code == CURLE_COULDNT_CONNECT || was_lost(code);
	if (code == CURLE_COULDNT_CONNECT)
		return report_connect(client, err);
	if (was_lost(code))
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the agent closed the connection before it answered");
	return err_set(
		err, ERR_INTERNAL, NULL, "talking to the agent: %s", curl_easy_strerror(code));
}

static int report_problem(const struct response *response, struct err *err)
{
	const char *code = json_text(response->json, "code");
	const char *detail = json_text(response->json, "detail");
	const char *field = json_text(response->json, "field");

	if (!*code && response->status == 404)
		return err_set(err, ERR_NOT_FOUND, NULL, "it is not there");
	if (!*code)
		return err_set(err, ERR_INTERNAL, NULL,
			"the agent answered with HTTP status %ld and no reason", response->status);
	return err_set(err, err_code_from_string(code), *field ? field : NULL, "%s",
		*detail ? detail : json_text(response->json, "title"));
}

static int take_response(struct exchange *exchange, struct response *ret, struct err *err)
{
	curl_easy_getinfo(exchange->client->curl, CURLINFO_RESPONSE_CODE, &ret->status);
	exchange->client->answered = true;
	ret->size = exchange->body.used;
	ret->text = strbuf_take(&exchange->body);
	if (!ret->text)
		return err_errno(err, ENOMEM, "reading the answer");
	ret->json = json_loadb(ret->text, ret->size, JSON_ALLOW_NUL, NULL);
	if (ret->status >= 400)
		return report_problem(ret, err);
	if (!ret->json && !exchange->request->on_data && !exchange->request->on_header &&
		ret->status != 204)
		return err_set(err, ERR_INTERNAL, NULL,
			"the agent's answer (HTTP status %ld) is not JSON", ret->status);
	return 0;
}

int client_perform(
	struct client *client, const struct request *request, struct response *ret, struct err *err)
{
	struct exchange exchange = {.client = client, .request = request};
	CLEANUP(curl_slist_free_allp) struct curl_slist *headers = NULL;
	AUTOFREE char *body = NULL;
	CURLcode code;
	int r = add_headers(&headers, request, err);

	*ret = (struct response){0};
	cli_catch_signals();
	client->cut = client->answered = false;
	if (request->body)
		body = json_dumps(request->body, JSON_COMPACT);
	if (r == 0 && (!request->path || (request->body && !body)))
		r = err_errno(err, ENOMEM, "making a request");
	if (r < 0)
		return r;
	code = send_safely(&exchange, body, headers);
	r = code == CURLE_OK ? take_response(&exchange, ret, err)
			     : report_failure(&exchange, code, err);
	strbuf_finish(&exchange.body);
	return r;
}

/* --- Reading of answers ------------------------------------------------------------------------
 */

const json_t *json_at(const json_t *json, const char *path)
{
	while (json && *path) {
		size_t length = strcspn(path, ".");

		json = json_object_getn(json, path, length);
		path += length + (path[length] == '.');
	}
	return json;
}

const char *json_text(const json_t *json, const char *path)
{
	const char *text = json_string_value(json_at(json, path));

	return text ? text : "";
}

int64_t json_number(const json_t *json, const char *path)
{
	return (int64_t)json_number_value(json_at(json, path));
}
