/* A server in the place of dockerd. */
#include "odd_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const struct engine_request ENGINE_LOOK = {
	.path = "/containers/{}/json", .name = "a", .what = "look"};

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

void say(int fd, const char *bytes, size_t size)
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

struct server *start_server(struct script script)
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

void stop_server(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	unlink(s->path);
	free(s);
}

int ask(struct script script, const struct engine_request *request, json_t **ret, struct err *err)
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
