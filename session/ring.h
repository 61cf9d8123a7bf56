/* What a command wrote last, as frames that are ready to be sent. Bounded: the oldest frames make
 * room for new ones. Offsets count bytes of frames, positions bytes of what the command wrote; both
 * only grow. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "session/stream/frame.h"

#define RING_SIZE (256 * 1024)

struct ring {
	uint64_t tail, head; /* offsets: of the oldest frame, and of the next one */
	uint64_t position_tail, position_head;
	uint64_t seen;	  /* offset up to which some client was sent it */
	uint64_t dropped; /* bytes of output that were gone before any client was sent them */
	uint8_t bytes[RING_SIZE];
};

/* At most RING_SIZE less its head. */
void ring_push(struct ring *ring, enum frame_type type, const void *data, size_t size);

/* How much more fits without losing what comes at or after that offset. */
size_t ring_room(const struct ring *ring, uint64_t from);

/* The frame at an offset: its type and the length of its payload. */
void ring_frame(const struct ring *ring, uint64_t offset, uint8_t *ret_type, uint32_t *ret_length);

/* The offset of the first frame that holds what comes after a position; *ret_skip is how much of
 * its payload comes before. */
uint64_t ring_find(const struct ring *ring, uint64_t position, uint32_t *ret_skip);

/* The bytes from one offset to another, as at most two parts; returns how many. */
int ring_parts(const struct ring *ring, uint64_t from, uint64_t to, struct iovec ret[static 2]);

void ring_copy(const struct ring *ring, uint64_t from, size_t size, void *ret);

void ring_saw(struct ring *ring, uint64_t offset);
