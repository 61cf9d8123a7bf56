/* The listening unix socket. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct err;

struct listen_socket {
	char *path;  /* what was made, to be removed at the end; NULL: not ours */
	int lock_fd; /* held as long as the socket is ours */
	dev_t dev;   /* which file it is, so that no other's is ever removed */
	ino_t ino;
};

/* Makes a listening socket at `path`, with its mode from the first moment on. What a dead agent
 * left there is replaced atomically; a path that another process listens at, or that is no socket,
 * is left alone: ERR_CONFLICT. Returns the descriptor (non-blocking). */
int listen_socket_open(
	struct listen_socket *socket, const char *path, uint32_t mode, struct err *err);

/* Removes the path if it is still what was made. */
void listen_socket_finish(struct listen_socket *socket);
