/* The wire between agent and driver: one JSON text in each packet of a SOCK_SEQPACKET socket pair,
 * and up to four descriptors with it. docs/driver-protocol.md is the page about it. */
#pragma once

#include <stddef.h>

#include "base/packet.h"

#define WIRE_FD		 3     /* where a driver process finds its end */
#define WIRE_MESSAGE_MAX 65536 /* bytes of one message */
#define WIRE_FDS_MAX	 PACKET_FDS_MAX

struct wire_message {
	char *text; /* NUL-terminated; WIRE_MESSAGE_MAX + 1 bytes, kept for the next message */
	size_t size;
	int fds[WIRE_FDS_MAX]; /* owned; -1 where none came */
	size_t fds_count;
};

/* Both ends, close-on-exec; 0 or a negative errno. */
int wire_pair(int ret[static 2]);

/* Sends one packet; `fds` may be NULL. -EAGAIN when the other side does not read and the socket is
 * non-blocking (or `flags` has MSG_DONTWAIT), -EPIPE when it is gone, -EMSGSIZE when the text is
 * too long. */
int wire_send(int socket, const char *text, const int *fds, size_t fds_count, int flags);

/* Receives one packet into *message (zero-initialised before its first use). 1; 0 when the other
 * side closed; -EAGAIN; -EBADMSG for a packet that is too long, empty, or has too many descriptors.
 */
int wire_receive(int socket, struct wire_message *message, int flags);

/* Closes the descriptors that came and were not taken. */
void wire_message_close_fds(struct wire_message *message);
void wire_message_finish(struct wire_message *message);
