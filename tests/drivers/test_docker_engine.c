/* The Docker driver's client of the Engine API, against a server that does what dockerd should not:
 * it answers each connection with what the test has laid ready. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/reply.h"

#define PING(version) "HTTP/1.1 200 OK\r\napi-version: " version "\r\nConnection: close\r\n\r\nOK"

/* What the server says to the second request of a connection, after PING or what takes its place.
 */
struct script {
	const char *ping;   /* NULL: one of version 1.41 */
	const char *answer; /* NULL: nothing, and it waits */
	size_t size;	    /* of `answer`; 0: strlen */
	size_t repeat;	    /* `answer` is followed by so many bytes of blanks */
	bool closes;	    /* behind it */
	bool at_once;	    /* when it has begun to hear what is asked */
};

struct server {
	char path[64];
	int listener;
	pthread_t thread;
	struct script script;
	unsigned connections;
	char request[4096]; /* the last one */
};

/* --- The server ------------------------------------------------------------------------------ */

/* Reads a request with its body; false at the end of the connection. */
static bool read_request(struct server *s, int fd)
{
	size_t used = 0;

	for (;;) {
		char *end = memmem(s->request, used, "\r\n\r\n", 4);
		const char *length = end ? strcasestr(s->request, "Content-Length:") : NULL;
		bool chunked = end && strcasestr(s->request, "Transfer-Encoding: chunked");
		size_t want = end ? (size_t)(end + 4 - s->request) : sizeof(s->request);
		ssize_t n;

		want += length && length < end ? strtoul(length + 15, NULL, 10) : 0;
		if (end && (s->script.at_once && s->connections > 0))
			return true;
		if (end && (chunked ? strstr(end, "\r\n0\r\n\r\n") != NULL : used >= want))
			return true;
		n = recv(fd, s->request + used, sizeof(s->request) - 1 - used, 0);
		if (n <= 0)
			return false;
		used += (size_t)n;
		s->request[used] = '\0';
	}
}

static void say(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		size -= (size_t)n;
	}
}

static void answer(const struct script *script, int fd)
{
	static const char blanks[65536] = {[0 ... 65535] = ' '};
	char end;

	if (script->answer)
		say(fd, script->answer, script->size ? script->size : strlen(script->answer));
	for (size_t left = script->repeat; left > 0;) {
		size_t n = left < sizeof(blanks) ? left : sizeof(blanks);

		say(fd, blanks, n);
		left -= n;
	}
	while (!script->closes && recv(fd, &end, 1, 0) > 0)
		;
}

static void serve(struct server *s, int fd)
{
	const char *ping = s->script.ping ? s->script.ping : PING("1.41");

	if (!read_request(s, fd))
		return;
	if (s->connections++ == 0)
		say(fd, ping, strlen(ping));
	else
		answer(&s->script, fd);
}

static void *run_server(void *data)
{
	struct server *s = data;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		serve(s, fd);
		close(fd);
	}
	return NULL;
}

static struct server *start_server(struct script script)
{
	static unsigned count;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct server *s = calloc(1, sizeof(*s));

	s->script = script;
	snprintf(s->path, sizeof(s->path), "/tmp/corpus-test-engine-%d-%u", getpid(), count++);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(0, bind(s->listener, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(0, listen(s->listener, 4));
	assert_int_equal(0, pthread_create(&s->thread, NULL, run_server, s));
	return s;
}

/* After the engine was closed. */
static void stop_server(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	unlink(s->path);
	free(s);
}

/* --- Asking ---------------------------------------------------------------------------------- */

#define ENOUGH_MS 60000

/* Asks once; what came of it. */
static int ask(
	struct script script, const struct engine_request *request, json_t **ret, struct err *err)
{
	struct server *s = start_server(script);
	struct engine *e = NULL;
	int r = engine_open(s->path, ENOUGH_MS, &e, err);

	if (r == 0)
		r = engine_call(e, request, ret, err);
	engine_close(e);
	stop_server(s);
	return r;
}

#define OK(type, length, body)                                                                     \
	"HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nContent-Length: " length "\r\n\r\n" body

static const struct engine_request LOOK = {
	.path = "/containers/{}/json", .name = "a", .what = "look"};

static void requests_are_said_as_they_should_be(void **state)
{
	struct server *s =
		start_server((struct script){.answer = OK("application/json", "2", "{}")});
	json_t *body = json_pack("{s:s}", "a", "b"), *answer = NULL;
	struct engine *e = NULL;

	(void)state;
	assert_int_equal(0, engine_open(s->path, ENOUGH_MS, &e, NULL));
	assert_int_equal(41, engine_version(e));
	assert_int_equal(
		0, engine_call(e,
			   &(struct engine_request){.method = "POST",
				   .path = "/x/{}/y",
				   .name = "a/b c%é?",
				   .query = {{"one", "1&2"}, {"left", NULL}, {"three", ""}},
				   .body = body,
				   .header = "X-More: yes"},
			   &answer, NULL));
	assert_true(json_is_object(answer));
	json_decref(answer);
	json_decref(body);
	engine_close(e);
	assert_ptr_equal(s->request,
		strstr(s->request,
			"POST /v1.41/x/a%2Fb%20c%25%C3%A9%3F/y?one=1%262&three= HTTP/1.1\r\n"));
	assert_non_null(strstr(s->request, "\r\nX-More: yes\r\n"));
	assert_non_null(strstr(s->request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(s->request, "\r\n\r\n{\"a\":\"b\"}"));
	assert_null(strstr(s->request, "Expect"));
	stop_server(s);
}

static void refusals_have_the_code_and_the_words_of_dockerd(void **state)
{
	static const struct {
		const char *answer;
		enum err_code code;
		const char *said;
	} cases[] = {
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 32\r\n\r\n{\"message\":\"No such "
		 "container\"}\r\n",
			ERR_NOT_FOUND, "cannot look: No such container"},
		{"HTTP/1.1 409 Conflict\r\nContent-Length: 24\r\n\r\n{\"message\":\"name taken\"}",
			ERR_CONFLICT, "name taken"},
		{"HTTP/1.1 409 Conflict\r\nContent-Length: 40\r\n\r\n{\"message\":\"Container a is "
		 "not running\"}",
			ERR_ILLEGAL_STATE, "not running"},
		{"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}", ERR_INVALID, "status 400"},
		{"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", ERR_DENIED, "status 403"},
		{"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\n<htm>", ERR_DRIVER, "status 500"},
		{"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ERR_DRIVER, "302"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = NULL;
		struct err err = {0};
		int status = 0;
		struct engine_request request = LOOK;

		request.ret_status = &status;
		assert_true(
			ask((struct script){.answer = cases[i].answer}, &request, &json, &err) < 0);
		assert_true(status >= 300);
		if (err.code != cases[i].code || !strstr(err.message, cases[i].said))
			fail_msg("%zu: %s: %s", i, err_code_to_string(err.code), err.message);
		assert_null(json);
	}
}

static void already_so_is_success(void **state)
{
	json_t *json = NULL;
	int status = 0;
	struct engine_request request = LOOK;

	(void)state;
	request.ret_status = &status;
	assert_int_equal(0, ask((struct script){.answer = "HTTP/1.1 304 Not Modified\r\n\r\n"},
				    &request, &json, NULL));
	assert_int_equal(304, status);
	assert_null(json);
}

static void answers_that_are_not_what_they_should_be_fail_with_what_they_are(void **state)
{
	static const struct {
		struct script script;
		enum err_code code;
		const char *said;
	} cases[] = {
		{{.answer = OK("application/json", "9", "{\"a\":"), .closes = true}, ERR_DRIVER,
			"cut short"},
		{{.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"",
			 .closes = true},
			ERR_DRIVER, "cut short"},
		{{.answer = OK("text/html", "6", "<html>")}, ERR_DRIVER, "not JSON"},
		{{.answer = OK("application/json", "3", "{}x")}, ERR_DRIVER, "not JSON"},
		{{.answer = OK("application/json", "20000000", ""), .repeat = 20000000}, ERR_DRIVER,
			"larger than 16 MiB"},
		{{.answer = "SSH-2.0-OpenSSH\r\n", .closes = true}, ERR_DRIVER, "not HTTP"},
		{{.answer = "", .closes = true}, ERR_UNAVAILABLE, "went away"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = NULL;
		struct err err = {0};

		assert_true(ask(cases[i].script, &LOOK, &json, &err) < 0);
		if (err.code != cases[i].code || !strstr(err.message, cases[i].said))
			fail_msg("%zu: %s: %s", i, err_code_to_string(err.code), err.message);
		assert_ptr_equal(err.message, strstr(err.message, "cannot look: "));
		assert_null(json);
	}
}

static void what_does_not_answer_in_time_is_given_up(void **state)
{
	struct engine_request request = LOOK;
	struct err err = {0};

	(void)state;
	request.timeout_ms = 50;
	assert_true(ask((struct script){0}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_TIMEOUT, err.code);
	/* Half an answer is none. */
	err = (struct err){0};
	assert_true(ask((struct script){.answer = OK("application/json", "9", "{")}, &request, NULL,
			    &err) < 0);
	assert_int_equal(ERR_TIMEOUT, err.code);
	request.timeout_ms = 0;
	request.stall_ms = 50;
	err = (struct err){0};
	assert_true(ask((struct script){.answer = OK("application/json", "9", "{")}, &request, NULL,
			    &err) < 0);
	assert_int_equal(ERR_TIMEOUT, err.code);
}

/* --- Opening --------------------------------------------------------------------------------- */

static void open_fails(const char *path, enum err_code code, const char *said)
{
	struct engine *e = NULL;
	struct err err = {0};

	assert_true(engine_open(path, 300, &e, &err) < 0);
	if (err.code != code || !strstr(err.message, said))
		fail_msg("%s: %s", err_code_to_string(err.code), err.message);
	assert_null(e);
}

static void a_dockerd_that_is_not_there_is_unavailable(void **state)
{
	struct server *s = start_server((struct script){0});
	char path[64];

	(void)state;
	open_fails("/nonexistent", ERR_UNAVAILABLE, "there is no /nonexistent");
	snprintf(path, sizeof(path), "%s", s->path);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	open_fails(path, ERR_UNAVAILABLE, "does not listen");
	unlink(path);
	free(s);
}

static void a_dockerd_that_hangs_is_unavailable(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/corpus-test-hung-%d", getpid());
	assert_int_equal(0, bind(listener, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(0, listen(listener, 0));
	open_fails(address.sun_path, ERR_UNAVAILABLE, "hung");
	/* Nor when it takes no connections any more. */
	open_fails(address.sun_path, ERR_UNAVAILABLE, "");
	open_fails(address.sun_path, ERR_UNAVAILABLE, "");
	close(listener);
	unlink(address.sun_path);
}

static void versions_are_agreed_upon_or_refused(void **state)
{
	static const struct {
		const char *theirs;
		enum err_code code;
		unsigned ours;
	} cases[] = {
		{"1.40", ERR_OK, 40},
		{"1.41", ERR_OK, 41},
		{"1.99", ERR_OK, ENGINE_VERSION_MOST},
		{"1.39", ERR_UNSUPPORTED, 0},
		{"2.0", ERR_DRIVER, 0},
		{"1.x", ERR_DRIVER, 0},
		{"", ERR_DRIVER, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char ping[200];
		struct engine *e = NULL;
		struct err err = {0};
		struct server *s;

		snprintf(ping, sizeof(ping), PING("%s"), cases[i].theirs);
		s = start_server((struct script){.ping = ping});
		engine_open(s->path, ENOUGH_MS, &e, &err);
		assert_int_equal(cases[i].code, err.code);
		if (e)
			assert_int_equal(cases[i].ours, engine_version(e));
		engine_close(e);
		stop_server(s);
	}
}

/* --- Streams --------------------------------------------------------------------------------- */

struct stream {
	char got[64];
	size_t used;
	size_t give; /* bytes that are to be given */
	bool fails;
};

static int take(void *data, const char *bytes, size_t size, struct err *err)
{
	struct stream *s = data;

	if (s->fails)
		return err_set(err, ERR_NO_ROOM, NULL, "no room for it");
	assert_true(s->used + size < sizeof(s->got));
	memcpy(s->got + s->used, bytes, size);
	s->used += size;
	return 0;
}

static ssize_t give(void *data, char *buf, size_t size, struct err *err)
{
	struct stream *s = data;
	size_t n = s->give < size ? s->give : size;

	if (s->fails)
		return err_set(err, ERR_CANCELLED, NULL, "not today");
	memset(buf, 'x', n);
	s->give -= n;
	return (ssize_t)n;
}

static int cancel(void *data, struct err *err)
{
	(void)data;
	return err_set(err, ERR_CANCELLED, NULL, "not any more");
}

#define CHUNKS "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"

static void answers_come_in_pieces(void **state)
{
	struct stream s = {0};
	struct engine_request request = LOOK;
	struct err err = {0};

	(void)state;
	request.sink = take;
	request.data = &s;
	assert_int_equal(
		0, ask((struct script){.answer = CHUNKS "0\r\n\r\n"}, &request, NULL, &err));
	assert_string_equal("abcde", s.got);
	/* Cut off, what came is not all. */
	s = (struct stream){0};
	assert_true(
		ask((struct script){.answer = CHUNKS, .closes = true}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_DRIVER, err.code);
	/* What takes it may have had enough. */
	s = (struct stream){.fails = true};
	assert_true(ask((struct script){.answer = CHUNKS}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_NO_ROOM, err.code);
	assert_string_equal("no room for it", err.message);
	/* A refusal is none of it. */
	s = (struct stream){0};
	assert_true(ask((struct script){.answer = "HTTP/1.1 404 No\r\nContent-Length: 15\r\n\r\n"
						  "{\"message\":\"m\"}"},
			    &request, NULL, &err) < 0);
	assert_int_equal(0, s.used);
	assert_string_equal("cannot look: m", err.message);
}

static void a_stream_that_is_silent_can_be_cancelled(void **state)
{
	struct stream s = {0};
	struct engine_request request = LOOK;
	struct err err = {0};
	int fds[2];

	(void)state;
	assert_int_equal(0, pipe(fds));
	close(fds[0]);
	request.sink = take;
	request.data = &s;
	request.also = cancel;
	request.also_fd = fds[1];
	assert_true(ask((struct script){.answer = CHUNKS}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
	close(fds[1]);
}

static void bodies_go_in_pieces(void **state)
{
	struct stream s = {.give = 1000};
	struct engine_request request = {.method = "PUT",
		.path = "/x",
		.what = "send",
		.source = give,
		.source_type = "application/x-tar",
		.data = &s};
	struct err err = {0};

	(void)state;
	assert_int_equal(
		0, ask((struct script){.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
			   &request, NULL, &err));
	assert_int_equal(0, s.give);
	s = (struct stream){.fails = true};
	assert_true(ask((struct script){0}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
}

static void the_end_of_dockerd_is_seen_while_there_is_nothing_to_send(void **state)
{
	struct stream s = {.give = 1};
	struct engine_request request = {
		.method = "PUT", .path = "/x", .source = give, .source_type = "x", .data = &s};
	struct err err = {0};
	int fds[2];

	(void)state;
	assert_int_equal(0, pipe(fds));
	request.source_fd = fds[0];
	assert_true(
		ask((struct script){.at_once = true, .closes = true}, &request, NULL, &err) < 0);
	assert_int_equal(ERR_UNAVAILABLE, err.code);
	assert_int_equal(1, s.give);
	/* Nor does it keep anybody from being told what dockerd refuses it for. */
	assert_true(ask((struct script){.at_once = true,
				.answer = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
				.closes = true},
			    &request, NULL, &err) < 0);
	assert_int_equal(ERR_NOT_FOUND, err.code);
	/* What comes then is sent, and so is its end. */
	assert_int_equal(1, write(fds[1], "x", 1));
	assert_int_equal(
		0, ask((struct script){.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
			   &request, NULL, &err));
	assert_int_equal(0, s.give);
	close(fds[0]);
	close(fds[1]);
}

/* --- Hijacked connections -------------------------------------------------------------------- */

static int hijack(struct script script, int *ret_fd, char **rest, size_t *size, struct err *err)
{
	struct server *s = start_server(script);
	struct engine *e = NULL;
	int r;

	assert_int_equal(0, engine_open(s->path, ENOUGH_MS, &e, err));
	r = engine_hijack(e,
		&(struct engine_request){.method = "POST",
			.path = "/exec/{}/start",
			.name = "a",
			.what = "run",
			.timeout_ms = script.answer ? 0 : 50},
		ret_fd, rest, size, err);
	engine_close(e);
	if (r == 0) {
		assert_non_null(strstr(s->request, "POST /v1.41/exec/a/start HTTP/1.1\r\n"));
		assert_non_null(strstr(s->request, "\r\nUpgrade: tcp\r\n"));
		say(*ret_fd, "z", 1);
		shutdown(*ret_fd, SHUT_WR); /* so that the server goes on */
	}
	stop_server(s);
	return r;
}

static void a_connection_is_handed_over_with_what_came_already(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\n\r\nhello"};
	AUTOFREE char *rest = NULL;
	struct err err = {0};
	size_t size = 0;
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		char got[16] = "";

		assert_int_equal(
			0, hijack((struct script){.answer = heads[i]}, &fd, &rest, &size, &err));
		memcpy(got, rest, size);
		while (size < 5)
			size += (size_t)recv(fd, got + size, sizeof(got) - size, 0);
		assert_string_equal("hello", got);
		assert_int_equal(0, recv(fd, got, sizeof(got), 0));
		close(fd);
		free(TAKE_PTR(rest));
	}
}

static void a_connection_that_is_refused_says_why(void **state)
{
	static const struct {
		struct script script;
		enum err_code code;
		const char *said;
	} cases[] = {
		{{.answer = "HTTP/1.1 404 No\r\nContent-Length: 25\r\n\r\n{\"message\":\"no such "
			    "exec\"}"},
			ERR_NOT_FOUND, "cannot run: no such exec"},
		{{.answer = "HTTP/1.1 409 No\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n"
			    "{\"message\":\"is not running\"}\r\n0\r\n\r\n"},
			ERR_ILLEGAL_STATE, "is not running"},
		{{.answer = "HTTP/1.1 500 No\r\n\r\n", .closes = true}, ERR_DRIVER, "status 500"},
		{{.answer = "HTTP/1.1 101", .closes = true}, ERR_DRIVER, "cut short"},
		{{.answer = "nonsense\r\n\r\n"}, ERR_DRIVER, "not HTTP"},
		{{.answer = "HTTP/1.1 101 ", .repeat = 65536}, ERR_DRIVER, "too long"},
		{{.answer = "", .closes = true}, ERR_UNAVAILABLE, "went away"},
		{{.answer = NULL}, ERR_TIMEOUT, "in time"},
	};
	char *rest = NULL;
	size_t size;
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_true(hijack(cases[i].script, &fd, &rest, &size, &err) < 0);
		if (err.code != cases[i].code || !strstr(err.message, cases[i].said))
			fail_msg("%zu: %s: %s", i, err_code_to_string(err.code), err.message);
		assert_int_equal(-1, fd);
		assert_null(rest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_said_as_they_should_be),
		cmocka_unit_test(refusals_have_the_code_and_the_words_of_dockerd),
		cmocka_unit_test(already_so_is_success),
		cmocka_unit_test(answers_that_are_not_what_they_should_be_fail_with_what_they_are),
		cmocka_unit_test(what_does_not_answer_in_time_is_given_up),
		cmocka_unit_test(a_dockerd_that_is_not_there_is_unavailable),
		cmocka_unit_test(a_dockerd_that_hangs_is_unavailable),
		cmocka_unit_test(versions_are_agreed_upon_or_refused),
		cmocka_unit_test(answers_come_in_pieces),
		cmocka_unit_test(a_stream_that_is_silent_can_be_cancelled),
		cmocka_unit_test(bodies_go_in_pieces),
		cmocka_unit_test(the_end_of_dockerd_is_seen_while_there_is_nothing_to_send),
		cmocka_unit_test(a_connection_is_handed_over_with_what_came_already),
		cmocka_unit_test(a_connection_that_is_refused_says_why),
	};

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(0, engine_global_init(NULL));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
