/* The frames in which dockerd passes on what comes from a container without a terminal (Docker
 * Engine API, "Attach to a container"): a head of 8 bytes (which output, three zeros, the length in
 * network byte order), then so many bytes. Nothing is kept but the head: what is in a frame is
 * handed on as it comes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

#define FRAME_HEAD 8
#define FRAME_MAX  (16 * 1024 * 1024) /* bytes in one; dockerd's own are of 32 KiB */

enum frame_stream { FRAME_STDIN, FRAME_STDOUT, FRAME_STDERR, FRAME_FAILURE, FRAME_STREAMS };

/* Begins with zeros. */
struct frames {
	unsigned char head[FRAME_HEAD];
	size_t have;   /* bytes of the head */
	uint32_t left; /* bytes of the frame that are still to come */
};

/* Gets what is in the frames; what it fails with ends frames_take. */
typedef int (*frame_fn)(void *data, enum frame_stream stream, const char *bytes, size_t size);

/* Takes what came, wherever it was cut. ERR_DRIVER for what is no such stream: nothing behind it
 * can be understood. */
int frames_take(struct frames *frames, const char *bytes, size_t size, frame_fn take, void *data,
	struct err *err);

/* ERR_DRIVER when the end came in the middle of a frame. */
int frames_end(const struct frames *frames, struct err *err);
