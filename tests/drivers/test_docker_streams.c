/* The Docker driver's client of the Engine API where bytes go on: answers and bodies in pieces, and
 * connections that are handed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/engine.h"
#include "odd_engine.h"

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
	struct engine_request request = ENGINE_LOOK;
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
	assert_int_equal(ERR_UNAVAILABLE, err.code);
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
	struct engine_request request = ENGINE_LOOK;
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
