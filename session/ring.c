/* The ring of frames. */
#include "session/ring.h"

#include <stdbool.h>
#include <string.h>

static bool is_output(uint8_t type)
{
	return type == FRAME_STDOUT || type == FRAME_STDERR;
}

static void put(struct ring *ring, const void *data, size_t size)
{
	size_t at = ring->head % RING_SIZE;
	size_t first = size < RING_SIZE - at ? size : RING_SIZE - at;

	if (size == 0)
		return;
	memcpy(ring->bytes + at, data, first);
	memcpy(ring->bytes, (const uint8_t *)data + first, size - first);
	ring->head += size;
}

static void drop_oldest(struct ring *ring)
{
	uint32_t length;
	uint8_t type;

	ring_frame(ring, ring->tail, &type, &length);
	if (is_output(type)) {
		ring->position_tail += length;
		if (ring->tail >= ring->seen)
			ring->dropped += length;
	}
	ring->tail += FRAME_HEAD + length;
}

void ring_push(struct ring *ring, enum frame_type type, const void *data, size_t size)
{
	uint8_t head[FRAME_HEAD];

	while (ring_room(ring, ring->tail) < FRAME_HEAD + size)
		drop_oldest(ring);
	frame_head(head, type, (uint32_t)size);
	put(ring, head, FRAME_HEAD);
	put(ring, data, size);
	if (is_output(type))
		ring->position_head += size;
}

size_t ring_room(const struct ring *ring, uint64_t from)
{
	return RING_SIZE - (size_t)(ring->head - (from > ring->tail ? from : ring->tail));
}

void ring_copy(const struct ring *ring, uint64_t from, size_t size, void *ret)
{
	struct iovec parts[2];
	int count = ring_parts(ring, from, from + size, parts);

	for (int i = 0; i < count; i++) {
		memcpy(ret, parts[i].iov_base, parts[i].iov_len);
		ret = (char *)ret + parts[i].iov_len;
	}
}

void ring_frame(const struct ring *ring, uint64_t offset, uint8_t *ret_type, uint32_t *ret_length)
{
	uint8_t head[FRAME_HEAD];

	ring_copy(ring, offset, FRAME_HEAD, head);
	frame_head_read(head, ret_type, ret_length);
}

uint64_t ring_find(const struct ring *ring, uint64_t position, uint32_t *ret_skip)
{
	uint64_t offset = ring->tail, at = ring->position_tail;

	*ret_skip = 0;
	while (offset < ring->head) {
		uint32_t length;
		uint8_t type;

		ring_frame(ring, offset, &type, &length);
		if (!is_output(type)) {
			if (at >= position)
				break;
		} else if (at + length > position) {
			*ret_skip = position > at ? (uint32_t)(position - at) : 0;
			break;
		} else {
			at += length;
		}
		offset += FRAME_HEAD + length;
	}
	return offset;
}

int ring_parts(const struct ring *ring, uint64_t from, uint64_t to, struct iovec ret[static 2])
{
	size_t at = from % RING_SIZE, size = (size_t)(to - from);
	size_t first = size < RING_SIZE - at ? size : RING_SIZE - at;

	ret[0] = (struct iovec){(void *)(ring->bytes + at), first};
	ret[1] = (struct iovec){(void *)ring->bytes, size - first};
	return size == 0 ? 0 : size == first ? 1 : 2;
}

void ring_saw(struct ring *ring, uint64_t offset)
{
	if (offset > ring->seen)
		ring->seen = offset;
}
