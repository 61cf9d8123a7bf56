/* Clients: frames out of the ring. One that is slow is overtaken by the ring only when it is not
 * the one that types; it is then told how much it has missed. */
#include "session/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define PIECE (128 * 1024)

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Adds to what is sent before the ring goes on. Without memory the client is cut off later: it
 * could not know what it misses. */
static void *pend(struct client *client, size_t size)
{
	size_t left = client->pending_size - client->pending_sent;
	char *room = malloc(left + size);

	if (!room) {
		shutdown(client->fd, SHUT_RDWR);
		return NULL;
	}
	if (left > 0)
		memcpy(room, client->pending + client->pending_sent, left);
	free(client->pending);
	client->pending = room;
	client->pending_sent = 0;
	client->pending_size = left + size;
	return room + left;
}

/* A frame has no NUL. */
static void pend_notice(struct client *client, const char *text, int size)
{
	uint8_t *room = pend(client, FRAME_HEAD + (size_t)size);

	if (!room)
		return;
	frame_head(room, FRAME_NOTICE, (uint32_t)size);
	memcpy(room + FRAME_HEAD, text, (size_t)size);
}

/* The part of a frame that the client does not have yet, as a frame. */
static void pend_part(struct client *client, const struct ring *ring, uint32_t skip)
{
	uint32_t length;
	uint8_t type;
	uint8_t *room;

	ring_frame(ring, client->cursor, &type, &length);
	room = pend(client, FRAME_HEAD + length - skip);
	if (!room)
		return;
	frame_head(room, (enum frame_type)type, length - skip);
	ring_copy(ring, client->cursor + FRAME_HEAD + skip, length - skip, room + FRAME_HEAD);
	client->cursor += FRAME_HEAD + length;
}

void client_begin(
	struct client *client, int fd, const char *session, const struct ring *ring, uint64_t after)
{
	uint64_t position = after > ring->position_head ? ring->position_head : after;
	uint64_t missed = ring->position_tail > position ? ring->position_tail - position : 0;
	char text[160];
	uint32_t skip;
	int size;

	*client = (struct client){.fd = fd};
	size = snprintf(text, sizeof(text),
		"{\"session\":\"%s\",\"position\":%" PRIu64 ",\"dropped\":%" PRIu64 "}", session,
		position + missed, missed);
	pend_notice(client, text, size);
	client->cursor = ring_find(ring, position, &skip);
	if (skip > 0)
		pend_part(client, ring, skip);
}

bool client_wants_to_send(const struct client *client, const struct ring *ring)
{
	return client->pending || client->cursor < ring->head;
}

/* What the ring has dropped in front of a client that reads too slowly. */
static void tell_missed(struct client *client, const struct ring *ring)
{
	char text[128];
	int size;

	size = snprintf(text, sizeof(text), "{\"overrun\":true,\"position\":%" PRIu64 "}",
		ring->position_tail);
	client->cursor = ring->tail;
	pend_notice(client, text, size);
}

/* 1: all is sent; 0: no more is taken now; -errno. */
static int send_pending(struct client *client)
{
	while (client->pending_sent < client->pending_size) {
		ssize_t n = send(client->fd, client->pending + client->pending_sent,
			client->pending_size - client->pending_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		client->pending_sent += (size_t)n;
	}
	free(TAKE_PTR(client->pending));
	client->pending_size = client->pending_sent = 0;
	return 1;
}

/* n bytes from the cursor on were sent: the rest of a frame that was begun is kept aside, since the
 * ring may drop it. */
static void advance(struct client *client, struct ring *ring, size_t n)
{
	while (n > 0) {
		uint32_t length;
		uint8_t type;
		size_t whole;

		ring_frame(ring, client->cursor, &type, &length);
		whole = FRAME_HEAD + length;
		if (n < whole) {
			void *room = pend(client, whole - n);

			if (room)
				ring_copy(ring, client->cursor + n, whole - n, room);
			n = whole;
		}
		client->cursor += whole;
		n -= whole;
	}
	ring_saw(ring, client->cursor);
}

static int send_ring(struct client *client, struct ring *ring)
{
	uint64_t end = client->cursor + smaller((size_t)(ring->head - client->cursor), PIECE);
	struct iovec parts[2];
	struct msghdr msg = {.msg_iov = parts};
	ssize_t n;

	msg.msg_iovlen = (size_t)ring_parts(ring, client->cursor, end, parts);
	n = sendmsg(client->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	advance(client, ring, (size_t)n);
	return 1;
}

bool client_flush(struct client *client, struct ring *ring)
{
	for (;;) {
		int r = send_pending(client);

		if (r <= 0)
			return r == 0;
		if (client->cursor < ring->tail) {
			tell_missed(client, ring);
			continue;
		}
		if (client->cursor == ring->head)
			return true;
		r = send_ring(client, ring);
		if (r <= 0)
			return r == 0;
	}
}

void client_refuse(struct client *client, const char *problem)
{
	char text[160];
	int size;

	size = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", problem);
	pend_notice(client, text, size);
	(void)send_pending(client);
}

void client_end(struct client *client)
{
	free(client->pending);
	fd_close(client->fd);
	*client = (struct client){.fd = -1};
}
