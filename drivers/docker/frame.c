/* Frames of outputs. */
#include "drivers/docker/frame.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* Completes the head; returns how many bytes that took. */
static size_t take_head(struct frames *f, const char *bytes, size_t size)
{
	size_t n = FRAME_HEAD - f->have < size ? FRAME_HEAD - f->have : size;

	memcpy(f->head + f->have, bytes, n);
	f->have += n;
	return n;
}

static int read_head(struct frames *f, struct err *err)
{
	const unsigned char *h = f->head;
	uint32_t length = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];

	if (h[0] >= FRAME_STREAMS || h[1] || h[2] || h[3] || length > FRAME_MAX)
		return err_set(err, ERR_DRIVER, NULL,
			"what dockerd passes on is not in frames as its API has them");
	f->left = length;
	return 0;
}

int frames_take(struct frames *f, const char *bytes, size_t size, frame_fn take, void *data,
	struct err *err)
{
	while (size > 0) {
		size_t n;
		int r = 0;

		if (f->have < FRAME_HEAD) {
			n = take_head(f, bytes, size);
			r = f->have == FRAME_HEAD ? read_head(f, err) : 0;
		} else {
			n = f->left < size ? f->left : size;
			r = take(data, f->head[0], bytes, n);
			f->left -= (uint32_t)n;
		}
		if (r < 0)
			return r;
		if (f->have == FRAME_HEAD && f->left == 0)
			f->have = 0;
		bytes += n;
		size -= n;
	}
	return 0;
}

int frames_end(const struct frames *f, struct err *err)
{
	return f->have == 0 ? 0
			    : err_set(err, ERR_DRIVER, NULL,
				      "what dockerd passes on was cut short: was it ended?");
}
