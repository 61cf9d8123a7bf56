/* The listening socket: stale ones are replaced, living ones are not touched. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/http/listen.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

struct place {
	char directory[64], path[96];
	struct listen_socket socket;
	struct err err;
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->directory, "/tmp/test-listen.XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	snprintf(place->path, sizeof(place->path), "%s/agent.sock", place->directory);
	place->socket.lock_fd = -1;
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	listen_socket_finish(&place->socket);
	file_remove_tree(place->directory);
	free(place);
	return 0;
}

static int open_socket(struct place *place, struct listen_socket *socket)
{
	return listen_socket_open(socket, place->path, 0660, &place->err);
}

static bool can_connect(const char *path)
{
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* A socket as somebody else would make it, without our lock. */
static int foreign_socket(const char *path, bool listening)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	if (listening)
		assert_return_code(listen(fd, 1), errno);
	return fd;
}

static void it_listens_with_the_mode_asked_for_and_leaves_nothing(void **state)
{
	struct place *place = *state;
	AUTOCLOSE int fd = open_socket(place, &place->socket);
	struct stat st;

	assert_true(fd >= 0);
	assert_true(can_connect(place->path));
	assert_return_code(stat(place->path, &st), errno);
	assert_int_equal(st.st_mode & 0777, 0660);
	listen_socket_finish(&place->socket);
	assert_return_code(rmdir(place->directory), errno);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct place *place = *state;
	AUTOCLOSE int fd = -1;

	close(foreign_socket(place->path, true));
	assert_false(can_connect(place->path));
	fd = open_socket(place, &place->socket);
	assert_true(fd >= 0);
	assert_true(can_connect(place->path));
}

static void a_second_agent_is_refused_and_the_first_goes_on(void **state)
{
	struct place *place = *state;
	AUTOCLOSE int fd = open_socket(place, &place->socket);
	struct listen_socket second;

	assert_true(fd >= 0);
	assert_true(open_socket(place, &second) < 0);
	assert_int_equal(place->err.code, ERR_CONFLICT);
	assert_true(can_connect(place->path));
}

static void a_socket_at_which_somebody_listens_is_left_alone(void **state)
{
	struct place *place = *state;
	AUTOCLOSE int theirs = foreign_socket(place->path, true);

	assert_true(open_socket(place, &place->socket) < 0);
	assert_int_equal(place->err.code, ERR_CONFLICT);
	assert_true(can_connect(place->path));
	assert_return_code(unlink(place->path), errno);
	/* Not even a lock stays behind. */
	assert_return_code(rmdir(place->directory), errno);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct place *place = *state;
	struct stat st;

	assert_return_code(file_replace(place->path, "precious", 0600, false), 0);
	assert_true(open_socket(place, &place->socket) < 0);
	assert_int_equal(place->err.code, ERR_CONFLICT);
	assert_return_code(stat(place->path, &st), errno);
	assert_int_equal(st.st_size, 8);
}

static void another_file_in_its_place_survives_the_end(void **state)
{
	struct place *place = *state;
	AUTOCLOSE int fd = open_socket(place, &place->socket);

	assert_true(fd >= 0);
	assert_return_code(unlink(place->path), errno);
	assert_return_code(file_replace(place->path, "other", 0600, false), 0);
	listen_socket_finish(&place->socket);
	assert_return_code(access(place->path, F_OK), errno);
}

static void paths_that_are_too_long_or_nowhere_are_refused(void **state)
{
	struct place *place = *state;
	char path[256];

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_true(listen_socket_open(&place->socket, path, 0600, &place->err) < 0);
	assert_int_equal(place->err.code, ERR_INVALID);
	snprintf(path, sizeof(path), "%s/nowhere/agent.sock", place->directory);
	assert_true(listen_socket_open(&place->socket, path, 0600, &place->err) < 0);
	assert_int_equal(place->err.errnum, ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_listens_with_the_mode_asked_for_and_leaves_nothing),
		TEST(a_stale_socket_is_replaced),
		TEST(a_second_agent_is_refused_and_the_first_goes_on),
		TEST(a_socket_at_which_somebody_listens_is_left_alone),
		TEST(what_is_no_socket_is_left_alone),
		TEST(another_file_in_its_place_survives_the_end),
		TEST(paths_that_are_too_long_or_nowhere_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
