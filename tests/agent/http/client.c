/* The tests' HTTP client. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/strbuf.h"

int client_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

bool client_try_send(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

void client_send(int fd, const char *text)
{
	assert_true(client_try_send(fd, text, strlen(text)));
}

/* Bytes read; 0 at the end or after a reset. */
static size_t receive(int fd, char *buf, size_t size)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	ssize_t n;

	assert_int_equal(poll(&poller, 1, CLIENT_DEADLINE_MS), 1);
	n = recv(fd, buf, size, 0);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	return n < 0 ? 0 : (size_t)n;
}

static bool receive_byte(int fd, struct strbuf *buffer)
{
	char c;

	if (receive(fd, &c, 1) == 0)
		return false;
	strbuf_add_bytes(buffer, &c, 1);
	assert_false(buffer->failed);
	return true;
}

static bool receive_until(int fd, const char *end, struct strbuf *buffer)
{
	size_t size = strlen(end);

	while (buffer->used < size || strcmp(buffer->text + buffer->used - size, end) != 0)
		if (!receive_byte(fd, buffer))
			return false;
	return true;
}

static void receive_exactly(int fd, struct strbuf *buffer, size_t size)
{
	while (size > 0) {
		char part[4096];
		size_t n = receive(fd, part, size < sizeof(part) ? size : sizeof(part));

		assert_true(n > 0);
		strbuf_add_bytes(buffer, part, n);
		assert_false(buffer->failed);
		size -= n;
	}
}

static void receive_chunks(int fd, struct strbuf *body)
{
	for (;;) {
		struct strbuf line = {0}, end = {0};
		size_t size;

		assert_true(receive_until(fd, "\r\n", &line));
		size = strtoul(line.text, NULL, 16);
		strbuf_finish(&line);
		receive_exactly(fd, body, size);
		assert_true(receive_until(fd, "\r\n", &end));
		assert_int_equal(end.used, 2);
		strbuf_finish(&end);
		if (size == 0)
			return;
	}
}

const char *reply_header(const struct reply *reply, const char *name, char *buf, size_t size)
{
	size_t length = strlen(name);

	for (const char *line = strstr(reply->head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
			const char *value = line + length + 1 + strspn(line + length + 1, " ");

			snprintf(buf, size, "%.*s", (int)strcspn(value, "\r"), value);
			return buf;
		}
	}
	return NULL;
}

void client_read(int fd, bool head_only, struct reply *ret)
{
	struct strbuf head = {0}, body = {0};
	char value[64];

	*ret = (struct reply){0};
	if (!receive_until(fd, "\r\n\r\n", &head)) {
		strbuf_finish(&head);
		ret->closed = true;
		return;
	}
	ret->head = head.text;
	assert_int_equal(sscanf(head.text, "HTTP/1.1 %u ", &ret->status), 1);
	if (ret->status == 100) {
		reply_finish(ret);
		client_read(fd, head_only, ret);
		return;
	}
	ret->closed = reply_header(ret, "Connection", value, sizeof(value)) &&
		      strcasecmp(value, "close") == 0;
	if (head_only || ret->status == 204)
		return;
	if (reply_header(ret, "Content-Length", value, sizeof(value)))
		receive_exactly(fd, &body, strtoul(value, NULL, 10));
	else if (reply_header(ret, "Transfer-Encoding", value, sizeof(value)))
		receive_chunks(fd, &body);
	ret->size = body.used;
	ret->body = strbuf_take(&body);
}

void reply_finish(struct reply *reply)
{
	free(reply->head);
	free(reply->body);
	*reply = (struct reply){0};
}

bool client_read_until(int fd, const char *text)
{
	struct strbuf buffer = {0};
	bool found = receive_until(fd, text, &buffer);

	strbuf_finish(&buffer);
	return found;
}

void client_wait_closed(int fd)
{
	char buf[65536];

	while (receive(fd, buf, sizeof(buf)) > 0)
		;
}
