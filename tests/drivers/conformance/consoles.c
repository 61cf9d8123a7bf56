/* Consoles of guests: what was said is kept and followed, what is typed arrives, and nobody who
 * reads slowly, or not at all, holds up the guest. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "groups.h"
#include "guests.h"

#define PATIENCE_MS  60000
#define MUCH	     (10 * 1024 * 1024UL + 300000)
#define HISTORY_MOST (4 * 1024 * 1024)

static struct outcome console(struct driver_console console)
{
	return call((struct driver_request){
		.call = DRIVER_CALL_CONSOLE, .id = GUEST_A, .console = &console});
}

/* Our end of a console that is connected. */
static int connect_console(struct driver_console wanted)
{
	struct outcome o;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wanted.fd = pair[1];
	o = console(wanted);
	close(pair[1]);
	if (o.result < 0)
		fail_msg("console: %s", o.error.message);
	return pair[0];
}

/* What comes until `text` has, or until the end with a text of NULL. */
static void wait_for(int fd, const char *text)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;
	char buf[65536] = "";
	size_t have = 0;

	while (!text || !strstr(buf, text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (have > sizeof(buf) / 2) { /* what comes may begin in what came last */
			memmove(buf, buf + have - strlen(text), strlen(text) + 1);
			have = strlen(text);
		}
		if (clock_monotonic_ns() > end || poll(&p, 1, PATIENCE_MS) != 1)
			fail_msg("\"%s\" does not come, only \"%s\"", text ? text : "the end", buf);
		n = read(fd, buf + have, sizeof(buf) - 1 - have);
		if (n <= 0 && !text)
			return;
		if (n <= 0)
			fail_msg("ended after \"%s\"", buf);
		have = text ? have + (size_t)n : 0;
		buf[have] = '\0';
	}
}

static void type(int fd, const char *text)
{
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
}

static size_t history(uint64_t tail, char *ret, size_t size)
{
	AUTOCLOSE int fd = memory_file("");
	struct outcome o = console((struct driver_console){.fd = fd, .tail = tail});
	ssize_t n;

	if (o.result < 0)
		fail_msg("console: %s", o.error.message);
	n = pread(fd, ret, size - 1, 0);
	assert_true(n >= 0);
	ret[n] = '\0';
	return (size_t)n;
}

/* All of it, once that is there: it is kept when it is said, or a little later. */
static void await_history(const char *text, char *buf, size_t size)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	do {
		assert_true(clock_monotonic_ns() < end);
		history(size - 1, buf, size);
	} while (!strstr(buf, text));
}

static void what_is_typed_is_seen_and_kept(void **state)
{
	int64_t patience = PATIENCE_MS * 1000000LL;
	char buf[4096], end[8];
	int fd;

	(void)state;
	borrow_guest();
	patience += clock_monotonic_ns();
	fd = connect_console((struct driver_console){.input = true});
	type(fd, "one two three\n");
	wait_for(fd, "one two three");
	close(fd);
	await_history("one two three", buf, sizeof(buf));
	/* What is there may go on saying something. */
	do {
		assert_true(clock_monotonic_ns() < patience);
		history(sizeof(buf) - 1, buf, sizeof(buf));
		assert_int_equal(history(2, end, sizeof(end)), 2);
	} while (strcmp(end, buf + strlen(buf) - 2) != 0);
	assert_non_null(strstr(buf, "one two three"));
	return_guest();
}

static void a_stopped_guest_has_only_its_history(void **state)
{
	struct driver_console wanted = {.input = true};
	int pair[2];

	(void)state;
	call_fails((struct driver_request){.call = DRIVER_CALL_CONSOLE,
			   .id = "00000000dead",
			   .console = &(struct driver_console){.fd = 1}},
		ERR_NOT_FOUND);
	define_guest(GUEST_A, ROOTFS_PLAIN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wanted.fd = pair[1];
	assert_int_equal(console(wanted).error.code, ERR_ILLEGAL_STATE);
	close(pair[0]);
	close(pair[1]);
	pair[0] = connect_console((struct driver_console){.follow = true, .tail = 100});
	wait_for(pair[0], NULL);
	close(pair[0]);
	destroy_guest(GUEST_A);
}

static void followers_outlive_the_driver_and_end_with_the_guest(void **state)
{
	int follower, typist;
	char buf[65536];

	(void)state;
	borrow_guest();
	typist = connect_console((struct driver_console){.input = true});
	type(typist, "before\n");
	wait_for(typist, "before");
	await_history("before", buf, sizeof(buf));
	follower = connect_console((struct driver_console){.follow = true, .tail = 1000});
	wait_for(follower, "before");
	subject_crash(subject());
	type(typist, "after\n");
	wait_for(follower, "after");
	wait_for(typist, "after");
	stop_guest(GUEST_A, 20000);
	wait_for(follower, NULL);
	wait_for(typist, NULL);
	history(sizeof(buf) - 1, buf, sizeof(buf));
	assert_non_null(strstr(buf, "after"));
	close(follower);
	close(typist);
	destroy_guest(GUEST_A);
}

static void one_who_goes_makes_room_for_the_next(void **state)
{
	(void)state;
	borrow_guest();
	for (int i = 0; i < 3; i++) {
		int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;
		struct driver_console wanted = {.input = true};
		struct outcome o;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		wanted.fd = pair[1];
		/* The one before takes a moment to notice. */
		while ((o = console(wanted)).result < 0) {
			assert_int_equal(o.error.code, ERR_CONFLICT);
			assert_true(clock_monotonic_ns() < end);
		}
		close(pair[1]);
		type(pair[0], "here\n");
		wait_for(pair[0], "here");
		close(pair[0]);
	}
	return_guest();
}

/* A guest that says more than is kept, to one who does not listen and one who was typing. */
static void the_history_is_bounded_and_nobody_holds_up_the_guest(void **state)
{
	const char *device = environment()->console_device;
	AUTOFREE char *command = NULL, *buf = NULL;
	int deaf, typist;

	(void)state;
	borrow_guest();
	buf = malloc(HISTORY_MOST);
	assert_non_null(buf);
	deaf = connect_console((struct driver_console){.follow = true});
	typist = connect_console((struct driver_console){.input = true});
	assert_true(
		asprintf(&command, "head -c %zu /dev/zero | tr '\\000' x > %s; echo the end > %s",
			environment()->console_bytes ? environment()->console_bytes : MUCH, device,
			device) > 0);
	assert_exec((const char *[]){"sh", "-c", command, NULL}, "", "", "", 0);
	close(typist);
	await_history("the end", buf, HISTORY_MOST);
	assert_in_range(strlen(buf), 1000, HISTORY_MOST - 2);
	/* The guest may have said something since. */
	typist = connect_console((struct driver_console){.follow = true, .tail = 4096});
	wait_for(typist, "the end");
	close(deaf);
	close(typist);
	return_guest();
}

int consoles_run(const char *name)
{
	const bool loud = environment()->console_device != NULL;
	const struct CMUnitTest tests[] = {
		guest_test(what_is_typed_is_seen_and_kept),
		guest_test(one_who_goes_makes_room_for_the_next),
		guest_test_if(loud, the_history_is_bounded_and_nobody_holds_up_the_guest),
		guest_test(followers_outlive_the_driver_and_end_with_the_guest),
		guest_test(a_stopped_guest_has_only_its_history),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
