/* Packets between corpusd and its sessions. */
#include "session/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"

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

int control_send(int socket, const struct control_packet *packet)
{
	char room[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))] = {0};
	struct iovec parts[] = {{(void *)packet->head, strlen(packet->head)}, {(void *)"\n", 1},
		{(void *)packet->payload, packet->payload_size}};
	struct msghdr msg = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
	ssize_t n;

	if (parts[0].iov_len + 1 + packet->payload_size > CONTROL_MAX)
		return -EMSGSIZE;
	if (packet->fds_count > 0)
		add_fds(&msg, room, packet->fds, packet->fds_count);
	do
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, struct control *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(ret->fds, CMSG_DATA(c), count * sizeof(int));
		ret->fds_count = count;
	}
}

static int split(struct control *ret, size_t size)
{
	char *end = memchr(ret->text, '\n', size);

	if (!end)
		return -EBADMSG;
	*end = '\0';
	ret->text[size] = '\0';
	ret->payload = end + 1;
	ret->payload_size = size - (size_t)(ret->payload - ret->text);
	return strlen(ret->text) == (size_t)(end - ret->text) ? 1 : -EBADMSG;
}

int control_receive(int socket, struct control *ret)
{
	char room[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	struct iovec part;
	struct msghdr msg = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room)};
	ssize_t n;
	int r;

	if (!ret->text && !(ret->text = malloc(CONTROL_MAX + 1)))
		return -ENOMEM;
	part = (struct iovec){ret->text, CONTROL_MAX};
	ret->fds_count = 0;
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&msg, ret);
	if (n == 0)
		return 0;
	r = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG : split(ret, (size_t)n);
	if (r < 0)
		control_close_fds(ret);
	return r;
}

bool control_is(const struct control *control, const char *verb)
{
	size_t size = strlen(verb);

	return strncmp(control->text, verb, size) == 0 && strchr(" ", control->text[size]);
}

int64_t control_number(const struct control *control, const char *key, int64_t otherwise)
{
	size_t size = strlen(key);

	for (const char *at = strchr(control->text, ' '); at; at = strchr(at + 1, ' '))
		if (strncmp(at + 1, key, size) == 0 && at[1 + size] == '=')
			return strtoll(at + 2 + size, NULL, 10);
	return otherwise;
}

void control_close_fds(struct control *control)
{
	for (size_t i = 0; i < control->fds_count; i++)
		control->fds[i] = fd_close(control->fds[i]);
	control->fds_count = 0;
}

void control_finish(struct control *control)
{
	control_close_fds(control);
	free(control->text);
	*control = (struct control){0};
}
