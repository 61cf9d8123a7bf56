/* The Docker driver's client of the Engine API: what it asks, and what it makes of answers that are
 * none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/engine.h"
#include "odd_engine.h"

/* --- Asking ---------------------------------------------------------------------------------- */

#define OK(type, length, body)                                                                     \
	"HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nContent-Length: " length "\r\n\r\n" body

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
		struct engine_request request = ENGINE_LOOK;

		request.ret_status = &status;
		assert_true(
			ask((struct script){.answer = cases[i].answer}, &request, &json, &err) < 0);
		assert_true(status >= 300);
		if (err.code != cases[i].code || !strstr(err.message, cases[i].said))
			fail_msg("%zu: %s: %s", i, err_code_to_string(err.code), err.message);
		assert_null(json);
	}
}

/* A list of something in its place would be another request. */
static void what_has_no_name_is_not_there(void **state)
{
	static const char *const names[] = {NULL, ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct engine_request request = {.path = "/containers/{}/json",
			.name = names[i],
			.what = "look",
			.ret_status = &(int){1}};
		struct err err = {0};

		assert_true(ask((struct script){.answer = OK("application/json", "2", "{}")},
				    &request, NULL, &err) < 0);
		assert_int_equal(err.code, ERR_NOT_FOUND);
		assert_string_equal(err.message, "cannot look: it is not there any more");
		assert_int_equal(*request.ret_status, 0);
	}
}

static void already_so_is_success(void **state)
{
	json_t *json = NULL;
	int status = 0;
	struct engine_request request = ENGINE_LOOK;

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
		{{.answer = OK("application/json", "9", "{\"a\":"), .closes = true},
			ERR_UNAVAILABLE, "cut short"},
		{{.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"",
			 .closes = true},
			ERR_UNAVAILABLE, "cut short"},
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

		assert_true(ask(cases[i].script, &ENGINE_LOOK, &json, &err) < 0);
		if (err.code != cases[i].code || !strstr(err.message, cases[i].said))
			fail_msg("%zu: %s: %s", i, err_code_to_string(err.code), err.message);
		assert_ptr_equal(err.message, strstr(err.message, "cannot look: "));
		assert_null(json);
	}
}

static void what_does_not_answer_in_time_is_given_up(void **state)
{
	struct engine_request request = ENGINE_LOOK;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_said_as_they_should_be),
		cmocka_unit_test(refusals_have_the_code_and_the_words_of_dockerd),
		cmocka_unit_test(what_has_no_name_is_not_there),
		cmocka_unit_test(already_so_is_success),
		cmocka_unit_test(answers_that_are_not_what_they_should_be_fail_with_what_they_are),
		cmocka_unit_test(what_does_not_answer_in_time_is_given_up),
		cmocka_unit_test(a_dockerd_that_is_not_there_is_unavailable),
		cmocka_unit_test(a_dockerd_that_hangs_is_unavailable),
		cmocka_unit_test(versions_are_agreed_upon_or_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(0, engine_global_init(NULL));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
