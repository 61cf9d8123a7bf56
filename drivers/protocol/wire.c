/* Packets with descriptors. */
#include "drivers/protocol/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"

int wire_pair(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int wire_send(int socket, const char *text, const int *fds, size_t fds_count, int flags)
{
	char control[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (iov.iov_len > WIRE_MESSAGE_MAX)
		return -EMSGSIZE;
	if (fds_count > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fds_count * sizeof(int));
	}
	do
		n = sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, struct wire_message *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->fds_count < WIRE_FDS_MAX)
				m->fds[m->fds_count++] = fd;
			else
				fd_close(fd);
		}
	}
}

int wire_receive(int socket, struct wire_message *m, int flags)
{
	char control[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	if (!m->text && !(m->text = malloc(WIRE_MESSAGE_MAX + 1)))
		return -ENOMEM;
	iov = (struct iovec){.iov_base = m->text, .iov_len = WIRE_MESSAGE_MAX};
	m->fds_count = 0;
	do
		n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&msg, m);
	if (n == 0 && m->fds_count == 0)
		return 0;
	if (n == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		wire_message_close_fds(m);
		return -EBADMSG;
	}
	m->size = (size_t)n;
	m->text[n] = '\0';
	return 1;
}

void wire_message_close_fds(struct wire_message *m)
{
	for (size_t i = 0; i < m->fds_count; i++)
		m->fds[i] = fd_close(m->fds[i]);
	m->fds_count = 0;
}

void wire_message_finish(struct wire_message *m)
{
	wire_message_close_fds(m);
	free(m->text);
	*m = (struct wire_message){0};
}
