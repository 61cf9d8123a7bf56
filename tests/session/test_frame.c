/* Frames, in whatever pieces their bytes come. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/stream/frame.h"

#define ALL                                                                                        \
	"\x01\0\0\0\5hello"                                                                        \
	"\x03\0\0\0\4\0\x18\0\x50"                                                                 \
	"\x02\0\0\0\0"                                                                             \
	"\x01\0\0\0\0"                                                                             \
	"\x04\0\0\0\3INT"                                                                          \
	"\x13\0\0\0\2{}"

/* Takes frames from pieces of that size; writes what came as text. */
static void take(const char *bytes, size_t size, size_t piece, char *out)
{
	struct frame_reader reader = {0};
	struct frame frame;
	uint8_t last = 0;

	for (size_t at = 0; at < size; at += piece) {
		const char *data = bytes + at;
		size_t left = piece < size - at ? piece : size - at;
		int r;

		while ((r = frame_next(&reader, &data, &left, &frame)) == 1) {
			assert_true(frame.size > 0 || !frame_is_data(frame.type));
			if (frame.type != last || !frame_is_data(frame.type))
				*out++ = (char)('a' + frame.type);
			memcpy(out, frame.data, frame.size);
			out += frame.size;
			last = frame.type;
		}
		assert_int_equal(r, 0);
		assert_int_equal(left, 0);
	}
	*out = '\0';
}

static void frames_come_out_whatever_the_pieces(void **state)
{
	static const char WANTED[] = "bhellod\0\x18\0\x50"
				     "ceINTt{}";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(ALL) - 1; piece++) {
		char out[128];

		take(ALL, sizeof(ALL) - 1, piece, out);
		assert_memory_equal(out, WANTED, sizeof(WANTED));
	}
}

static int first(const char *bytes, size_t size)
{
	struct frame_reader reader = {0};
	struct frame frame;

	return frame_next(&reader, &bytes, &size, &frame);
}

static void what_is_no_frame_is_refused(void **state)
{
	(void)state;
	assert_int_equal(first("\0\0\0\0\0", 5), -EBADMSG);
	assert_int_equal(first("\x7f\0\0\0\1x", 6), -EBADMSG);
	assert_int_equal(first("\x01\0\1\0\1x", 6), -EBADMSG);	    /* 64 KiB and one byte */
	assert_int_equal(first("\x01\0\1\0\0x", 6), 1);		    /* 64 KiB */
	assert_int_equal(first("\x02\0\0\0\1x", 6), -EBADMSG);	    /* has no payload */
	assert_int_equal(first("\x03\0\0\0\5abcde", 10), -EBADMSG); /* rows and columns only */
	assert_int_equal(first("\x14\0\0\x10\1", 5), -EBADMSG);
	assert_int_equal(first("\x01\0\0\0", 4), 0);
	assert_int_equal(first("\x04\0\0\0\3IN", 7), 0);
}

static void heads_are_read_as_they_are_written(void **state)
{
	uint8_t head[FRAME_HEAD], type;
	uint32_t length;

	(void)state;
	frame_head(head, FRAME_STDERR, 0x01020304);
	assert_memory_equal(head, "\x12\1\2\3\4", 5);
	frame_head_read(head, &type, &length);
	assert_int_equal(type, FRAME_STDERR);
	assert_int_equal(length, 0x01020304);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_whatever_the_pieces),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(heads_are_read_as_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
