/* Consoles of real containers, with a terminal and without: what they said is kept and followed,
 * and what is typed arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "conformance/guests.h"
#include "docker_inside.h"
#include "docker_node.h"
#include "drivers/docker/console.h"

static struct inside *g_guest;

static enum err_code try_console(struct driver_console wanted)
{
	struct err err = {0};

	return docker_console(g_guest, &wanted, &err) == 0 ? ERR_OK : err.code;
}

/* Our end of a console that is connected. */
static int connect_console(struct driver_console wanted)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wanted.fd = pair[1];
	assert_int_equal(try_console(wanted), ERR_OK);
	close(pair[1]);
	return pair[0];
}

static const char *history(uint64_t tail)
{
	static char buf[65536];
	AUTOCLOSE int fd = memory_file("");
	ssize_t n;

	assert_int_equal(try_console((struct driver_console){.fd = fd, .tail = tail}), ERR_OK);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* Until it is in the log, which takes it a moment later than who follows. */
static void await_history(const char *text)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (!strstr(history(60000), text))
		if (clock_monotonic_ns() > end)
			fail_msg("\"%s\" is not kept, only \"%s\"", text, history(60000));
}

static void without_a_terminal_both_outputs_are_the_console(void **state)
{
	int fd;

	(void)state;
	g_guest = inside_begin(
		OPTIONS("--interactive"), "echo out; echo err >&2; read line; echo got $line");
	await_history("out");
	await_history("err");
	assert_int_equal(strlen(history(3)), 3);
	fd = connect_console((struct driver_console){.input = true, .tail = 1000});
	read_until(fd, "err");
	assert_int_equal(write(fd, "this\n", 5), 5);
	read_until(fd, "got this");
	read_until(fd, NULL); /* it has ended */
	close(fd);
	inside_look();
	await_history("got this\n");
	assert_string_equal(history(5), "this\n");
	assert_int_equal(try_console((struct driver_console){.input = true}), ERR_ILLEGAL_STATE);
	fd = connect_console((struct driver_console){.follow = true, .tail = 5});
	assert_string_equal(read_until(fd, NULL), "this\n");
	close(fd);
}

static void a_terminal_is_typed_into_by_one_at_a_time(void **state)
{
	int typist, follower, pair[2];

	(void)state;
	g_guest = inside_begin(OPTIONS("--interactive", "--tty"),
		"stty size; echo ready; while read line; do echo \"<$line>\"; done");
	await_history("ready");
	typist = connect_console((struct driver_console){.input = true});
	follower = connect_console((struct driver_console){.follow = true, .tail = 7});
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
		try_console((struct driver_console){.fd = pair[1], .input = true}), ERR_CONFLICT);
	assert_int_equal(write(typist, "hel", 3), 3);
	read_until(follower, "ready\r\nhel"); /* also what is no whole line yet */
	assert_int_equal(write(typist, "lo\n", 3), 3);
	read_until(typist, "<hello>");
	read_until(follower, "<hello>");
	close(typist);
	/* The one before takes a moment to notice. */
	while (try_console((struct driver_console){.fd = pair[1], .input = true}) == ERR_CONFLICT)
		poll(NULL, 0, 5);
	close(pair[1]);
	assert_int_equal(write(pair[0], "again\n", 6), 6);
	read_until(pair[0], "<again>");
	assert_non_null(DOCKER("kill", g_guest->container));
	read_until(pair[0], NULL);
	read_until(follower, NULL);
	close(pair[0]);
	close(follower);
}

/* History and what follows fit together: every number comes, and once. */
static void nothing_is_lost_between_history_and_what_follows(void **state)
{
	(void)state;
	g_guest = inside_begin(
		OPTIONS("--tty"), "i=1000; while :; do i=$((i+1)); echo $i; sleep 0.002; done");
	await_history("1010");
	for (int i = 0; i < 5; i++) {
		int fd = connect_console((struct driver_console){.follow = true, .tail = 60});
		char number[16];
		int next;

		/* The first may have been cut. */
		next = atoi(strchr(read_until(fd, "\n"), '\n') - 5) + 1;
		close(fd);
		fd = connect_console((struct driver_console){.follow = true, .tail = 60000});
		snprintf(number, sizeof(number), "%d\r\n", next + 30);

		const char *text = read_until(fd, number), *at = text;

		for (int n = 1001; n <= next + 30; n++, at += 6)
			if (atoi(at) != n)
				fail_msg("not %d: %.20s", n, at);
		close(fd);
	}
	assert_non_null(DOCKER("kill", g_guest->container));
}

static void who_does_not_read_holds_up_nobody(void **state)
{
	int deaf;

	(void)state;
	g_guest = inside_begin(OPTIONS("--tty"),
		"sleep 0.3; head -c 5000000 /dev/zero | tr '\\000' 'x'; echo the end; sleep 1000");
	deaf = connect_console((struct driver_console){.follow = true});
	await_history("the end");
	close(deaf);
	assert_non_null(DOCKER("kill", g_guest->container));
}

static void what_docker_does_not_keep_is_told(void **state)
{
	int fd;

	(void)state;
	g_guest = inside_begin(
		OPTIONS("--interactive", "--log-driver=none"), "read line; echo now; read line");
	assert_int_equal(
		try_console((struct driver_console){.fd = 1, .tail = 10}), ERR_UNSUPPORTED);
	fd = connect_console((struct driver_console){.input = true, .tail = 10});
	assert_int_equal(write(fd, "\n", 1), 1);
	read_until(fd, "now");
	assert_int_equal(write(fd, "\n", 1), 1);
	read_until(fd, NULL);
	close(fd);
}

int inside_consoles_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_terminal_both_outputs_are_the_console),
		cmocka_unit_test(a_terminal_is_typed_into_by_one_at_a_time),
		cmocka_unit_test(nothing_is_lost_between_history_and_what_follows),
		cmocka_unit_test(who_does_not_read_holds_up_nobody),
		cmocka_unit_test(what_docker_does_not_keep_is_told),
	};

	return cmocka_run_group_tests_name("consoles", tests, NULL, NULL);
}
