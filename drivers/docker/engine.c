/* Requests to dockerd, by libcurl. */
#include "drivers/docker/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "drivers/docker/engine_internal.h"

#define REFUSAL_MAX (64 * 1024) /* of what an answer says that is no success */

DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)

/* One request under way. */
struct exchange {
	struct engine *engine;
	const struct engine_request *request;
	CURL *curl;
	struct strbuf answer;
	char *header; /* the one that is wanted */
	bool too_large;
	int socket;	     /* of a connection of its own; -1: none */
	bool waits;	     /* for what is to be sent */
	bool failed;	     /* a function of the caller has */
	struct err failure;  /* how */
	int64_t deadline_ns; /* INT64_MAX: none */
	int64_t active_ns;   /* when something came or went */
};

static void exchange_finish(struct exchange *x)
{
	strbuf_finish(&x->answer);
	free(x->header);
}

/* --- What libcurl calls ---------------------------------------------------------------------- */

static long status_of(const struct exchange *x)
{
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t take_answer(char *bytes, size_t unit, size_t count, void *user)
{
	struct exchange *x = user;
	const struct engine_request *request = x->request;
	size_t size = unit * count;
	bool good = engine_status_is_good(status_of(x));

	x->active_ns = clock_monotonic_ns();
	if (good && request->sink) {
		x->failed = request->sink(request->data, bytes, size, &x->failure) < 0;
		return x->failed ? 0 : size;
	}
	if (x->answer.used + size > (good ? ENGINE_ANSWER_MAX : REFUSAL_MAX)) {
		x->too_large = good;
		return good ? 0 : size;
	}
	strbuf_add_bytes(&x->answer, bytes, size);
	return x->answer.failed ? 0 : size;
}

static size_t take_header(char *line, size_t unit, size_t count, void *user)
{
	struct exchange *x = user;
	const char *wanted = x->request->want_header;
	size_t size = unit * count, length = wanted ? strlen(wanted) : 0;

	x->active_ns = clock_monotonic_ns();
	if (wanted && size > length && line[length] == ':' &&
		strncasecmp(line, wanted, length) == 0) {
		length++;
		while (length < size && line[length] == ' ')
			length++;
		free(x->header);
		x->header = strndup(line + length, size - length);
		if (x->header)
			x->header[strcspn(x->header, "\r\n")] = '\0';
	}
	return size;
}

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) > 0;
}

static size_t give_body(char *buf, size_t unit, size_t count, void *user)
{
	struct exchange *x = user;
	const struct engine_request *request = x->request;
	ssize_t n;

	x->waits = request->source_fd > 0 && !is_readable(request->source_fd);
	if (x->waits)
		return CURL_READFUNC_PAUSE;
	n = request->source(request->data, buf, unit * count, &x->failure);
	x->active_ns = clock_monotonic_ns();
	x->failed = n < 0;
	return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct exchange *x = user;

	(void)purpose;
	x->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return x->socket;
}

/* --- Setting a request up -------------------------------------------------------------------- */

static bool add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *grown = curl_slist_append(*headers, line);

	if (grown)
		*headers = grown;
	return grown;
}

static bool set_headers(const struct engine_request *request, struct curl_slist **headers)
{
	AUTOFREE char *type = NULL;

	if (request->source && asprintf(&type, "Content-Type: %s", request->source_type) < 0)
		type = NULL;
	return (!request->source || (type && add_header(headers, type))) &&
	       (!request->body || add_header(headers, "Content-Type: application/json")) &&
	       (!request->header || add_header(headers, request->header)) &&
	       add_header(headers, "Expect:");
}

static void set_method(CURL *curl, const struct exchange *x, const char *body)
{
	const char *method = x->request->method ? x->request->method : "GET";

	if (x->request->source) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(curl, CURLOPT_READDATA, x);
	} else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	} else if (strcmp(method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	/* On a connection that is used again, and is closed without an answer, libcurl would repeat
	 * the request by itself. What changes something is for the caller to repeat. */
	curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, strcmp(method, "GET") != 0 ? 1L : 0L);
}

static void set_options(CURL *curl, struct exchange *x, const char *url)
{
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, x->engine->socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
}

/* --- Waiting --------------------------------------------------------------------------------- */

#define TURN_MS 1000

/* Until when to wait for what comes next; 0: it is too late. */
static int wait_ms(const struct exchange *x)
{
	uint64_t stall_ms = x->request->stall_ms;
	int64_t now = clock_monotonic_ns(), until = x->deadline_ns;

	if (stall_ms && x->active_ns + (int64_t)stall_ms * 1000000 < until)
		until = x->active_ns + (int64_t)stall_ms * 1000000;
	if (until <= now)
		return 0;
	return until - now > TURN_MS * 1000000L ? TURN_MS : (int)((until - now) / 1000000) + 1;
}

/* While libcurl waits for what is to be sent it takes no notice of the connection's end. */
static bool is_hung_up(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* All of these may be closed at their other ends, which curl's own look leaves out. */
static void serve_others(struct exchange *x)
{
	const struct engine_request *request = x->request;

	if (request->also && is_readable(request->also_fd))
		x->failed = request->also(request->data, &x->failure) < 0;
	if (!x->waits || x->failed)
		return;
	/* What has been refused already is not sent. */
	if (is_readable(request->source_fd) || status_of(x) >= 300) {
		x->waits = false;
		curl_easy_pause(x->curl, CURLPAUSE_CONT);
	} else if (is_hung_up(x->socket)) {
		engine_gone(&x->failure);
		engine_prefix(request, &x->failure);
		x->failed = true;
	}
}

/* Waits for something to do; false when it is over. */
static bool wait_turn(struct exchange *x)
{
	const struct engine_request *request = x->request;
	struct curl_waitfd others[2] = {{0}};
	unsigned count = 0;
	int ms = wait_ms(x);

	if (ms == 0) {
		engine_late(x->engine, request, &x->failure);
		x->failed = true;
		return false;
	}
	if (request->also)
		others[count++] =
			(struct curl_waitfd){.fd = request->also_fd, .events = CURL_WAIT_POLLIN};
	if (x->waits)
		others[count++] =
			(struct curl_waitfd){.fd = request->source_fd, .events = CURL_WAIT_POLLIN};
	curl_multi_poll(x->engine->multi, others, count, ms, NULL);
	serve_others(x);
	return !x->failed;
}

static CURLcode perform(struct exchange *x)
{
	CURLM *multi = x->engine->multi;
	CURLcode code = CURLE_FAILED_INIT;
	CURLMsg *message;
	int running = 1, left;

	if (curl_multi_add_handle(multi, x->curl) != CURLM_OK)
		return code;
	while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0 && wait_turn(x))
		;
	while ((message = curl_multi_info_read(multi, &left)))
		if (message->msg == CURLMSG_DONE)
			code = message->data.result;
	curl_multi_remove_handle(multi, x->curl);
	return code;
}

/* --- What came of it ------------------------------------------------------------------------- */

static bool is_gone(CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT || code == CURLE_GOT_NOTHING ||
	       code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;
}

static int broken(const struct exchange *x, CURLcode code, struct err *err)
{
	long errnum = 0;

	if (x->too_large)
		return err_set(err, ERR_DRIVER, NULL,
			"dockerd's answer is larger than %d MiB, which nothing of it should be",
			ENGINE_ANSWER_MAX / 1024 / 1024);
	if (code == CURLE_COULDNT_CONNECT) {
		curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &errnum);
		return engine_unreachable(x->engine, (int)errnum, err);
	}
	if (code == CURLE_OUT_OF_MEMORY || x->answer.failed)
		return err_errno(err, ENOMEM, "no memory for dockerd's answer");
	if (is_gone(code) && status_of(x) > 0)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"dockerd's answer was cut short: was it restarted?");
	if (is_gone(code))
		return engine_gone(err);
	return err_set(err, ERR_DRIVER, NULL, "what dockerd answers is not HTTP: %s",
		curl_easy_strerror(code));
}

static int parse(const struct exchange *x, json_t **ret, struct err *err)
{
	json_error_t error;
	json_t *json;

	if (x->answer.used == 0) {
		*ret = NULL;
		return 0;
	}
	json = json_loadb(x->answer.text, x->answer.used, 0, &error);
	if (!json)
		return err_set(err, ERR_DRIVER, NULL, "dockerd's answer is not JSON: %s (byte %d)",
			error.text, error.position);
	*ret = json;
	return 0;
}

static int conclude(struct exchange *x, CURLcode code, json_t **ret, struct err *err)
{
	long status = status_of(x);
	int r;

	if (x->failed) {
		*err = x->failure;
		return err_errnum(x->failure.code);
	}
	if (code != CURLE_OK) {
		r = broken(x, code, err);
		engine_prefix(x->request, err);
		return r;
	}
	if (!engine_status_is_good(status))
		return engine_refusal(x->request, (int)status, x->answer.text ? x->answer.text : "",
			x->answer.used, err);
	r = ret ? parse(x, ret, err) : 0;
	if (r < 0)
		engine_prefix(x->request, err);
	return r;
}

static void fill_told(struct exchange *x, CURLcode code)
{
	if (x->request->ret_gone)
		*x->request->ret_gone = !x->failed && is_gone(code);
	if (x->request->ret_status)
		*x->request->ret_status = (int)status_of(x);
	if (x->request->ret_header)
		*x->request->ret_header = TAKE_PTR(x->header);
}

static int call(
	struct engine *e, const struct engine_request *request, json_t **ret, struct err *err)
{
	CLEANUP(curl_slist_free_allp) struct curl_slist *headers = NULL;
	CLEANUP(exchange_finish)
	struct exchange x = {.engine = e, .request = request, .curl = e->curl, .socket = -1};
	AUTOFREE char *target = engine_target(e, request), *url = NULL;
	AUTOFREE char *body = engine_body(request);
	struct err ignored;

	if (!target || !body || asprintf(&url, "http://docker%s", target) < 0 ||
		!set_headers(request, &headers)) {
		return err_errno(err, ENOMEM, "no memory for a request");
	}
	x.deadline_ns = engine_deadline(e, request);
	x.active_ns = clock_monotonic_ns();
	set_options(e->curl, &x, url);
	set_method(e->curl, &x, body);
	curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, headers);
	CURLcode code = perform(&x);
	int r = conclude(&x, code, ret, err ? err : &ignored);
	fill_told(&x, code);
	return r;
}

int engine_call(
	struct engine *e, const struct engine_request *request, json_t **ret, struct err *err)
{
	int r = engine_check_name(request, err);

	if (r < 0 && request->ret_status)
		*request->ret_status = 0;
	return r < 0 ? r : call(e, request, ret, err);
}

/* --- Connections ----------------------------------------------------------------------------- */

int engine_global_init(struct err *err)
{
	/* No TLS on a unix socket: what that needs would take memory and time. */
	return curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK
		       ? 0
		       : err_set(err, ERR_INTERNAL, NULL, "libcurl cannot be used");
}

unsigned engine_version(const struct engine *e)
{
	return e->version;
}

static int agree(struct engine *e, const char *theirs, struct err *err)
{
	uint64_t minor = 0;

	if (!theirs || strncmp(theirs, "1.", 2) != 0 || parse_u64(theirs + 2, 999, &minor) < 0)
		return err_set(err, ERR_DRIVER, NULL,
			"what listens at %s does not say which version of Docker's API it speaks",
			e->socket);
	if (minor < ENGINE_VERSION_LEAST)
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"dockerd speaks version %s of its API, the driver needs 1.%d: Docker 19.03 "
			"or newer",
			theirs, ENGINE_VERSION_LEAST);
	e->version = minor < ENGINE_VERSION_MOST ? (unsigned)minor : ENGINE_VERSION_MOST;
	return 0;
}

static int negotiate(struct engine *e, struct err *err)
{
	AUTOFREE char *version = NULL;
	struct engine_request ping = {.path = "/_ping",
		.what = "ask dockerd how it is",
		.timeout_ms = ENGINE_PING_MS,
		.want_header = "Api-Version",
		.ret_header = &version};
	struct err failed = {0};
	int r = engine_call(e, &ping, NULL, &failed);

	if (r == 0)
		return agree(e, version, err);
	/* It is there, but nothing can be done with it. */
	if (failed.code == ERR_TIMEOUT)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"dockerd at %s does not answer: is it hung?", e->socket);
	if (err)
		*err = failed;
	return r;
}

void engine_allow(struct engine *e, uint64_t timeout_ms)
{
	e->deadline_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
}

int engine_open(const char *socket, uint64_t timeout_ms, struct engine **ret, struct err *err)
{
	AUTOENGINE struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return err_errno(err, ENOMEM, "no memory to talk to dockerd");
	e->socket = strdup(socket);
	e->curl = curl_easy_init();
	e->multi = curl_multi_init();
	if (!e->socket || !e->curl || !e->multi)
		return err_errno(err, ENOMEM, "no memory to talk to dockerd");
	if (timeout_ms)
		engine_allow(e, timeout_ms);
	r = negotiate(e, err);
	if (r == 0)
		*ret = TAKE_PTR(e);
	return r;
}

struct engine *engine_close(struct engine *e)
{
	if (!e)
		return NULL;
	curl_easy_cleanup(e->curl);
	curl_multi_cleanup(e->multi);
	free(e->socket);
	free(e);
	return NULL;
}
