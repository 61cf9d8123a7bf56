/* Any bytes, in any pieces, for the reader of frames: what it gives is within what it got, however
 * the pieces are cut. The first byte is the size of the pieces. */
#include "fuzz.h"
#include "session/stream/frame.h"

struct sum {
	size_t frames, bytes;
	int end;
};

static struct sum take(const char *bytes, size_t size, size_t piece)
{
	struct frame_reader reader = {0};
	struct sum sum = {0};

	for (size_t at = 0; at < size && sum.end == 0; at += piece) {
		const char *data = bytes + at;
		size_t left = piece < size - at ? piece : size - at;
		struct frame frame;
		int r;

		while ((r = frame_next(&reader, &data, &left, &frame)) == 1) {
			sum.frames += !frame_is_data(frame.type);
			sum.bytes += frame.size;
			REQUIRE(frame.size > 0 || !frame_is_data(frame.type));
		}
		sum.end = r;
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum whole, pieces;

	if (size < 2)
		return 0;
	whole = take((const char *)data + 1, size - 1, size - 1);
	pieces = take((const char *)data + 1, size - 1, data[0] + 1u);
	REQUIRE(whole.frames == pieces.frames);
	REQUIRE(whole.bytes == pieces.bytes && whole.end == pieces.end);
	return 0;
}
