/* Whatever comes by a connection that dockerd hands over: it is understood in the same way wherever
 * it is cut, and nothing is made up. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/frame.h"
#include "fuzz.h"

struct taken {
	size_t bytes[FRAME_STREAMS];
	uint64_t sum; /* of all bytes and streams, in their order */
};

static int take(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	struct taken *t = data;

	REQUIRE(stream < FRAME_STREAMS && size > 0);
	t->bytes[stream] += size;
	for (size_t i = 0; i < size; i++)
		t->sum = t->sum * 31 + (uint32_t)stream * 7 + (unsigned char)bytes[i];
	return 0;
}

static int take_all(const char *text, size_t size, size_t piece, struct taken *ret)
{
	struct frames frames = {0};
	struct err err = {0};
	int r = 0;

	*ret = (struct taken){0};
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = frames_take(
			&frames, text + at, size - at < piece ? size - at : piece, take, ret, &err);
	REQUIRE((r < 0) == (err.code != ERR_OK));
	return r == 0 && frames_end(&frames, &err) < 0 ? 1 : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct taken whole, cut;
	int r;

	if (size < 2)
		return 0;
	r = take_all((const char *)data + 1, size - 1, size, &whole);
	REQUIRE(take_all((const char *)data + 1, size - 1, (data[0] & 15) + 1U, &cut) == r);
	REQUIRE(memcmp(&whole, &cut, sizeof(whole)) == 0);
	return 0;
}
