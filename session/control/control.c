/* Packets between corpusd and its sessions. */
#include "session/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/packet.h"

int control_send(int socket, const struct control_packet *packet)
{
	const struct iovec parts[] = {{(void *)packet->head, strlen(packet->head)},
		{(void *)"\n", 1}, {(void *)packet->payload, packet->payload_size}};

	if (parts[0].iov_len + 1 + packet->payload_size > CONTROL_MAX)
		return -EMSGSIZE;
	return packet_send(socket, parts, ARRAY_SIZE(parts), packet->fds, packet->fds_count, 0);
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
	ssize_t n;
	int r;

	if (!ret->text && !(ret->text = malloc(CONTROL_MAX + 1)))
		return -ENOMEM;
	n = packet_receive(
		socket, (struct iovec){ret->text, CONTROL_MAX}, ret->fds, &ret->fds_count, 0);
	if (n <= 0)
		return (int)n;
	r = split(ret, (size_t)n);
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
	packet_close_fds(control->fds, &control->fds_count);
}

void control_finish(struct control *control)
{
	control_close_fds(control);
	free(control->text);
	*control = (struct control){0};
}
