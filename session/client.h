/* A client of the session: its connection, how far it is in the ring, and what it sends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "session/ring.h"
#include "session/stream/frame.h"

struct client {
	int fd;		 /* -1: a free place */
	bool input;	 /* it types; others only look on */
	bool ended;	 /* sends no more */
	bool has_left;	 /* by a frame that says so */
	uint64_t cursor; /* offset of the next frame to be sent */
	char *pending;	 /* the rest of a frame that was begun, or one that is its own */
	size_t pending_size, pending_sent;
	struct frame_reader reader;
};

/* Begins with what comes after that position of the output, as far as it is kept, behind a notice
 * of where that is. Takes fd over. */
void client_begin(struct client *client, int fd, const char *session, const struct ring *ring,
	uint64_t after);

bool client_wants_to_send(const struct client *client, const struct ring *ring);

/* Sends as much as the connection takes. False: it is gone. */
bool client_flush(struct client *client, struct ring *ring);

/* A last word before it is cut off; lost when it does not take it at once. */
void client_refuse(struct client *client, const char *problem);

void client_end(struct client *client);
