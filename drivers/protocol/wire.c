/* Packets with descriptors. */
#include "drivers/protocol/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int wire_pair(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int wire_send(int socket, const char *text, const int *fds, size_t fds_count, int flags)
{
	const struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};

	if (part.iov_len > WIRE_MESSAGE_MAX)
		return -EMSGSIZE;
	return packet_send(socket, &part, 1, fds, fds_count, flags);
}

int wire_receive(int socket, struct wire_message *m, int flags)
{
	ssize_t n;

	if (!m->text && !(m->text = malloc(WIRE_MESSAGE_MAX + 1)))
		return -ENOMEM;
	n = packet_receive(
		socket, (struct iovec){m->text, WIRE_MESSAGE_MAX}, m->fds, &m->fds_count, flags);
	if (n <= 0)
		return (int)n;
	m->size = (size_t)n;
	m->text[n] = '\0';
	return 1;
}

void wire_message_close_fds(struct wire_message *m)
{
	packet_close_fds(m->fds, &m->fds_count);
}

void wire_message_finish(struct wire_message *m)
{
	wire_message_close_fds(m);
	free(m->text);
	*m = (struct wire_message){0};
}
