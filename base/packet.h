/* Packets with descriptors, by SOCK_SEQPACKET sockets (unix(7)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PACKET_FDS_MAX 4

/* Whether the descriptor is such a socket. */
bool packet_is_socket(int fd);

/* Sends the parts as one packet; `fds` may be NULL. -EAGAIN when the other side does not read and
 * the socket is non-blocking (or `flags` has MSG_DONTWAIT), -EPIPE when it is gone, … */
int packet_send(int socket, const struct iovec *parts, size_t parts_count, const int *fds,
	size_t fds_count, int flags);

/* Receives one packet into `room`, and the descriptors with it, which become the caller's. Its
 * size; 0 when the other side closed; -EAGAIN; -EBADMSG, with no descriptors, for a packet that is
 * too long, empty, or has too many of them. */
ssize_t packet_receive(int socket, struct iovec room, int fds[static PACKET_FDS_MAX],
	size_t *ret_fds_count, int flags);

/* Closes those that were not taken (-1 where one was). */
void packet_close_fds(int *fds, size_t *fds_count);
