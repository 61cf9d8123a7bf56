/* The ring of what a command wrote last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/ring.h"

static struct ring ring;

static int setup(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	return 0;
}

/* Writes bytes of which each tells its position. */
static void write_output(size_t size)
{
	uint8_t data[8192];

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((ring.position_head + i) % 251);
	ring_push(&ring, ring.head % 2 ? FRAME_STDOUT : FRAME_STDERR, data, size);
}

/* Every frame that is kept, in order: right in its length and bytes. */
static void check_all(void)
{
	uint64_t offset = ring.tail, position = ring.position_tail;

	assert_true(ring.head - ring.tail <= RING_SIZE);
	while (offset < ring.head) {
		uint32_t length;
		uint8_t type, data[8192];

		ring_frame(&ring, offset, &type, &length);
		assert_true(type == FRAME_STDOUT || type == FRAME_STDERR);
		assert_true(length <= sizeof(data));
		ring_copy(&ring, offset + FRAME_HEAD, length, data);
		for (uint32_t i = 0; i < length; i++)
			assert_int_equal(data[i], (position + i) % 251);
		offset += FRAME_HEAD + length;
		position += length;
	}
	assert_int_equal(offset, ring.head);
	assert_int_equal(position, ring.position_head);
}

static void the_oldest_make_room_and_are_counted(void **state)
{
	size_t total = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 2000; i++) {
		size_t size = (size_t)(rand() % 8000) + 1;

		write_output(size);
		total += size;
		if (i % 100 == 0)
			check_all();
	}
	check_all();
	assert_int_equal(ring.position_head, total);
	assert_int_equal(ring.dropped, ring.position_tail);
	assert_true(ring.position_head - ring.position_tail > RING_SIZE / 2);
}

static void what_was_seen_is_not_counted_as_dropped(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		write_output(4000);
		ring_saw(&ring, ring.head);
	}
	assert_true(ring.position_tail > 0);
	assert_int_equal(ring.dropped, 0);
}

static void any_position_that_is_kept_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++)
		write_output(1 + (size_t)i * 7 % 3000);
	for (uint64_t p = ring.position_tail; p < ring.position_head; p += 97) {
		uint32_t skip, length;
		uint8_t type, byte;
		uint64_t offset = ring_find(&ring, p, &skip);

		ring_frame(&ring, offset, &type, &length);
		assert_true(skip < length);
		ring_copy(&ring, offset + FRAME_HEAD + skip, 1, &byte);
		assert_int_equal(byte, p % 251);
	}
}

static void before_and_behind_all_there_is_an_answer_too(void **state)
{
	uint32_t skip;

	(void)state;
	for (int i = 0; i < 300; i++)
		write_output(3000);
	assert_int_equal(ring_find(&ring, 0, &skip), ring.tail);
	assert_int_equal(skip, 0);
	assert_int_equal(ring_find(&ring, ring.position_head, &skip), ring.head);
	ring_push(&ring, FRAME_EXIT, "{}", 2);
	assert_int_equal(ring_find(&ring, ring.position_head, &skip), ring.head - FRAME_HEAD - 2);
}

static void room_is_what_comes_after_an_offset(void **state)
{
	uint64_t from;

	(void)state;
	assert_int_equal(ring_room(&ring, 0), RING_SIZE);
	for (int i = 0; i < 100; i++)
		write_output(5000);
	from = ring.head;
	assert_int_equal(ring_room(&ring, from), RING_SIZE);
	write_output(100);
	assert_int_equal(ring_room(&ring, from), RING_SIZE - FRAME_HEAD - 100);
	/* What is gone needs no room. */
	assert_int_equal(ring_room(&ring, 0), RING_SIZE - (ring.head - ring.tail));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_make_room_and_are_counted),
		TEST(what_was_seen_is_not_counted_as_dropped),
		TEST(any_position_that_is_kept_is_found),
		TEST(before_and_behind_all_there_is_an_answer_too),
		TEST(room_is_what_comes_after_an_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
