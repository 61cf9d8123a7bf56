/* Packets between corpusd and its sessions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "session/control/control.h"

static int pair[2];
static struct control got;

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	control_finish(&got);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void words_payload_and_descriptors_arrive(void **state)
{
	int fds[] = {0, 1, 2, pair[0]};
	struct control_packet packet = {.head = "attach after=-7 input=1 input2=9",
		.payload = "a\nb\0c",
		.payload_size = 5,
		.fds = fds,
		.fds_count = 4};
	struct stat ours, theirs;

	(void)state;
	assert_int_equal(control_send(pair[0], &packet), 0);
	assert_int_equal(control_receive(pair[1], &got), 1);
	assert_true(control_is(&got, "attach"));
	assert_false(control_is(&got, "att"));
	assert_false(control_is(&got, "attach after"));
	assert_int_equal(control_number(&got, "after", 5), -7);
	assert_int_equal(control_number(&got, "input", 5), 1);
	assert_int_equal(control_number(&got, "input2", 5), 9);
	assert_int_equal(control_number(&got, "absent", 5), 5);
	assert_int_equal(got.payload_size, 5);
	assert_memory_equal(got.payload, "a\nb\0c", 5);
	assert_int_equal(got.fds_count, 4);
	fstat(pair[0], &ours);
	fstat(got.fds[3], &theirs);
	assert_int_equal(ours.st_ino, theirs.st_ino);
	control_close_fds(&got);
}

static void what_is_no_packet_is_refused_and_its_descriptors_closed(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} BAD[] = {{"no newline", 10}, {"a\0b\n", 4}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(send(pair[0], BAD[i].bytes, BAD[i].size, 0), BAD[i].size);
		assert_int_equal(control_receive(pair[1], &got), -EBADMSG);
		assert_int_equal(got.fds_count, 0);
	}
	assert_int_equal(control_receive(pair[1], &got), -EAGAIN);
}

static void what_is_too_long_is_not_sent(void **state)
{
	static char payload[CONTROL_MAX];
	struct control_packet packet = {
		.head = "start", .payload = payload, .payload_size = CONTROL_MAX - 5};

	(void)state;
	assert_int_equal(control_send(pair[0], &packet), -EMSGSIZE);
	packet.payload_size -= 1;
	assert_int_equal(control_send(pair[0], &packet), 0);
	assert_int_equal(control_receive(pair[1], &got), 1);
	assert_int_equal(got.payload_size, CONTROL_MAX - 6);
}

static void the_end_of_the_other_side_is_told(void **state)
{
	struct control_packet packet = {.head = "end"};

	(void)state;
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(control_receive(pair[1], &got), 0);
	assert_int_equal(control_send(pair[1], &packet), -EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_payload_and_descriptors_arrive),
		TEST(what_is_no_packet_is_refused_and_its_descriptors_closed),
		TEST(what_is_too_long_is_not_sent),
		TEST(the_end_of_the_other_side_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
