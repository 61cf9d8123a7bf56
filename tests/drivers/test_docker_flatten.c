/* A container's files on their way to an image of one layer, with a server in the place of dockerd:
 * what does not come whole is not sent as if it were. */
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

#include "base/err.h"
#include "drivers/docker/flatten.h"
#include "odd_engine.h"

#define HEAD	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define REFUSAL	    "{\"message\":\"write /x: no space left on device\"}"
#define CONNECTIONS 4 /* two that agree upon a version, the files, the image */

static struct {
	char path[64];
	int listener;
	pthread_t threads[CONNECTIONS];
	const char *files; /* what comes of them, in hexadecimal of chunks */
	size_t size;
	bool cut;     /* the connection ends behind it */
	bool refuses; /* to make the image */
	bool whole;   /* it has all come */
} g_server;

/* --- The server ------------------------------------------------------------------------------- */

static void give_files(int fd)
{
	char length[16];

	say(fd, HEAD, strlen(HEAD));
	snprintf(length, sizeof(length), "%zx\r\n", g_server.size);
	say(fd, length, strlen(length));
	say(fd, g_server.files, g_server.size);
	if (!g_server.cut)
		say(fd, "\r\n0\r\n\r\n", 7);
}

/* Its end is the chunk without bytes. */
static void take_image(int fd, char *got, size_t room, size_t used)
{
	static const char done[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
				   "{\"status\":\"sha256:0\"}\r\n";
	static const char refusal[] = "HTTP/1.1 500 Error\r\nConnection: close\r\n\r\n" REFUSAL;
	ssize_t n = 1;

	while (n > 0 && !(g_server.whole = memmem(got, used, "\r\n0\r\n\r\n", 7) != NULL)) {
		n = used < room ? recv(fd, got + used, room - used, 0) : 0;
		used += n > 0 ? (size_t)n : 0;
	}
	if (g_server.refuses)
		say(fd, refusal, strlen(refusal));
	else if (g_server.whole)
		say(fd, done, strlen(done));
}

static void *serve(void *unused)
{
	int fd = accept(g_server.listener, NULL, NULL);
	char got[16384];
	size_t used = 0;
	ssize_t n;

	(void)unused;
	while (fd >= 0 && !memmem(got, used, "\r\n\r\n", 4) &&
		(n = recv(fd, got + used, sizeof(got) - used, 0)) > 0)
		used += (size_t)n;
	if (memmem(got, used, "_ping", 5))
		say(fd, PING("1.41"), strlen(PING("1.41")));
	else if (memmem(got, used, "/export", 7))
		give_files(fd);
	else if (used > 0)
		take_image(fd, got, sizeof(got), used);
	close(fd);
	return NULL;
}

static void begin(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(g_server.path, sizeof(g_server.path), "/tmp/corpus-test-flatten-%d", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", g_server.path);
	g_server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(g_server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(g_server.listener, CONNECTIONS), 0);
	for (size_t i = 0; i < CONNECTIONS; i++)
		assert_int_equal(pthread_create(&g_server.threads[i], NULL, serve, NULL), 0);
}

static void end(void)
{
	shutdown(g_server.listener, SHUT_RDWR);
	for (size_t i = 0; i < CONNECTIONS; i++)
		pthread_join(g_server.threads[i], NULL);
	close(g_server.listener);
	unlink(g_server.path);
}

/* --- The tests -------------------------------------------------------------------------------- */

static int flatten(const char *files, size_t size, struct err *err)
{
	struct docker docker = {.socket = g_server.path};
	struct docker_guest guest = {.docker = &docker};
	int r;

	g_server.files = files;
	g_server.size = size;
	begin();
	assert_int_equal(engine_open(docker.socket, ENOUGH_MS, &guest.engine, NULL), 0);
	r = flatten_container(&guest, "box",
		&(struct flatten_as){.repository = "corpus-layer", .tag = "box"}, err);
	engine_close(guest.engine);
	end();
	return r;
}

static int setup(void **state)
{
	(void)state;
	g_server.cut = g_server.refuses = g_server.whole = false;
	return 0;
}

static const char FILES[4096] = "a file"; /* and the zeros that a tar ends with */

static void what_is_whole_becomes_an_image(void **state)
{
	(void)state;
	assert_int_equal(flatten(FILES, sizeof(FILES), NULL), 0);
	assert_true(g_server.whole);
}

static void what_ends_by_other_words_does_not(void **state)
{
	char files[sizeof(FILES) + sizeof(REFUSAL)];
	struct err err = {0};

	(void)state;
	memcpy(files, FILES, sizeof(FILES));
	memcpy(files + sizeof(FILES), REFUSAL, sizeof(REFUSAL));
	assert_true(flatten(files, sizeof(files) - 1, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
	assert_non_null(strstr(err.message, "not all files"));
	assert_false(g_server.whole);
}

static void what_is_cut_off_does_not(void **state)
{
	struct err err = {0};

	(void)state;
	g_server.cut = true;
	assert_true(flatten(FILES, sizeof(FILES), &err) < 0);
	assert_non_null(strstr(err.message, "cut short"));
	assert_false(g_server.whole);
}

static void what_finds_no_room_says_so(void **state)
{
	struct err err = {0};

	(void)state;
	g_server.refuses = true;
	assert_true(flatten(FILES, sizeof(FILES), &err) < 0);
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_non_null(strstr(err.message, "no space left on device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_whole_becomes_an_image, setup),
		cmocka_unit_test_setup(what_ends_by_other_words_does_not, setup),
		cmocka_unit_test_setup(what_is_cut_off_does_not, setup),
		cmocka_unit_test_setup(what_finds_no_room_says_so, setup),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
