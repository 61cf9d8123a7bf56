/* The frames of "corpus-stream/1", docs/streams.md: what travels between a client and a command in
 * a guest. A frame is a type (u8), the length of its payload (u32, big-endian) and the payload. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_PROTOCOL "corpus-stream/1"

#define FRAME_HEAD	  5
#define FRAME_DATA_MAX	  65536 /* payload of stdin, stdout and stderr */
#define FRAME_CONTROL_MAX 4096	/* of all others */

enum frame_type {
	/* from a client */
	FRAME_STDIN = 0x01,
	FRAME_STDIN_EOF = 0x02, /* no payload */
	FRAME_RESIZE = 0x03,	/* rows and columns, u16 each, big-endian */
	FRAME_SIGNAL = 0x04,	/* a name: "INT" */
	FRAME_DETACH = 0x05,	/* no payload: I leave, the command goes on */
	/* to a client */
	FRAME_STDOUT = 0x11,
	FRAME_STDERR = 0x12,
	FRAME_EXIT = 0x13,   /* JSON: the last one */
	FRAME_NOTICE = 0x14, /* JSON: something to know */
};

void frame_head(uint8_t ret[static FRAME_HEAD], enum frame_type type, uint32_t length);
void frame_head_read(
	const uint8_t head[static FRAME_HEAD], uint8_t *ret_type, uint32_t *ret_length);

/* Whether the type is data: handed on piece by piece, as it comes. */
bool frame_is_data(uint8_t type);

/* Takes frames apart as their bytes come in, in whatever pieces. Zero-initialised. */
struct frame_reader {
	uint8_t head[FRAME_HEAD];
	unsigned head_used;
	uint8_t type;
	uint32_t left; /* of the payload */
	uint32_t used; /* of `control` */
	char control[FRAME_CONTROL_MAX + 1];
};

/* What was taken: a part of the payload of a data frame, never empty, or the whole of another one,
 * which then is followed by a NUL. Valid until the next call. */
struct frame {
	uint8_t type;
	const char *data;
	size_t size;
};

/* Takes the next one from *data, which moves on. 1; 0: more bytes are needed; -EBADMSG for a type
 * that is not known or a length beyond its bound: the rest means nothing then. */
int frame_next(struct frame_reader *reader, const char **data, size_t *size, struct frame *ret);
