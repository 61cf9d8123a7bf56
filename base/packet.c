/* Packets with descriptors. */
#include "base/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

bool packet_is_socket(int fd)
{
	socklen_t size = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static void add_fds(struct msghdr *msg, char *room, const int *fds, size_t count)
{
	struct cmsghdr *c;

	msg->msg_control = room;
	msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
}

int packet_send(int socket, const struct iovec *parts, size_t parts_count, const int *fds,
	size_t fds_count, int flags)
{
	char room[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = (struct iovec *)parts, .msg_iovlen = parts_count};
	ssize_t n;

	if (fds_count > PACKET_FDS_MAX)
		return -EMSGSIZE;
	if (fds_count > 0)
		add_fds(&msg, room, fds, fds_count);
	do
		n = sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, int *fds, size_t *fds_count)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*fds_count < PACKET_FDS_MAX)
				fds[(*fds_count)++] = fd;
			else
				fd_close(fd);
		}
	}
}

ssize_t packet_receive(int socket, struct iovec room, int fds[static PACKET_FDS_MAX],
	size_t *ret_fds_count, int flags)
{
	char control[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
	struct msghdr msg = {.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	*ret_fds_count = 0;
	do
		n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&msg, fds, ret_fds_count);
	if (n == 0 && *ret_fds_count == 0)
		return 0;
	if (n == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		packet_close_fds(fds, ret_fds_count);
		return -EBADMSG;
	}
	return n;
}

void packet_close_fds(int *fds, size_t *fds_count)
{
	for (size_t i = 0; i < *fds_count; i++)
		fds[i] = fd_close(fds[i]);
	*fds_count = 0;
}
