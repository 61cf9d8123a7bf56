/* Asking for a stream. libcurl is not used here: the connection changes hands. */
#include "cli/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"

#define HEAD_MAX (sizeof(((struct stream *)NULL)->early) - 1)

static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ERR_INVALID, NULL, "the socket's path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return TAKE_FD(fd);
	if (errno == EACCES || errno == EPERM)
		return err_set(err, ERR_DENIED, NULL, "you may not open %s", path);
	return err_set(err, ERR_UNAVAILABLE, NULL, "no agent answers at %s: %s", path,
		strerrordesc_np(errno));
}

static int send_request(
	int fd, const char *method, const char *path, const json_t *body, struct err *err)
{
	AUTOFREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct strbuf buf = {0};
	AUTOFREE char *request = NULL;
	int r;

	strbuf_addf(&buf,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: corpus/" CORPUS_VERSION
		"\r\nConnection: Upgrade\r\nUpgrade: " STREAM_PROTOCOL "\r\n",
		method, path);
	if (text)
		strbuf_addf(&buf, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(text));
	strbuf_addf(&buf, "\r\n%s", text ? text : "");
	request = strbuf_take(&buf);
	if (!request || (body && !text))
		return err_errno(err, ENOMEM, "making a request");
	r = file_write_all(fd, request, strlen(request));
	return r < 0 ? err_errno(err, r, "talking to the agent") : 0;
}

/* Reads until the end of the head, which becomes text; what comes behind it moves to the front of
 * `early`. */
static int read_head(struct stream *stream, char **ret, struct err *err)
{
	size_t used = 0;
	char *end = NULL;

	while (!end) {
		ssize_t n = used < HEAD_MAX
				    ? recv(stream->fd, stream->early + used, HEAD_MAX - used, 0)
				    : 0;

		if (n < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (n <= 0)
			return err_set(err, cli_interrupted() ? ERR_CANCELLED : ERR_UNAVAILABLE,
				NULL,
				cli_interrupted()
					? "interrupted"
					: "the agent closed the connection before it answered");
		used += (size_t)n;
		stream->early[used] = '\0';
		end = strstr(stream->early, "\r\n\r\n");
	}
	*ret = strndup(stream->early, (size_t)(end - stream->early) + 2);
	if (!*ret)
		return err_errno(err, ENOMEM, "reading the answer");
	stream->early_size = used - (size_t)(end + 4 - stream->early);
	memmove(stream->early, end + 4, stream->early_size);
	return 0;
}

/* The value of a header, or NULL. */
static const char *header(const char *head, const char *name, char *buf, size_t size)
{
	size_t length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
			const char *value = line + 3 + length + strspn(line + 3 + length, " ");

			snprintf(buf, size, "%.*s", (int)strcspn(value, "\r"), value);
			return buf;
		}
	return NULL;
}

/* Any other answer is a problem document. */
static int read_problem(struct stream *stream, const char *head, struct err *err)
{
	struct strbuf body = {0};
	json_auto_t *problem = NULL;
	char value[32] = "0";
	size_t size;

	header(head, "Content-Length", value, sizeof(value));
	size = strtoul(value, NULL, 10);
	strbuf_add_bytes(&body, stream->early, stream->early_size);
	while (body.used < size && !body.failed) {
		ssize_t n = recv(stream->fd, stream->early, sizeof(stream->early), 0);

		if (n <= 0)
			break;
		strbuf_add_bytes(&body, stream->early, (size_t)n);
	}
	problem = body.text ? json_loadb(body.text, body.used, 0, NULL) : NULL;
	strbuf_finish(&body);
	if (!*json_text(problem, "code"))
		return err_set(err, ERR_INTERNAL, NULL, "the agent answered with %.*s",
			(int)strcspn(head, "\r"), head);
	return err_set(err, err_code_from_string(json_text(problem, "code")),
		*json_text(problem, "field") ? json_text(problem, "field") : NULL, "%s",
		json_text(problem, "detail"));
}

static void take_session(struct stream *stream, const char *head)
{
	char location[256];
	const char *path = header(head, "Location", location, sizeof(location));
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (slash)
		snprintf(stream->session, sizeof(stream->session), "%.*s",
			(int)sizeof(stream->session) - 1, slash + 1);
}

int stream_open(struct cli *cli, const char *method, const char *path, const json_t *body,
	struct stream *ret, struct err *err)
{
	AUTOFREE char *head = NULL;
	unsigned status = 0;
	int r;

	*ret = (struct stream){.fd = -1};
	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	ret->fd = connect_to(cli->socket, err);
	if (ret->fd < 0)
		return ret->fd;
	r = send_request(ret->fd, method, path, body, err);
	if (r == 0)
		r = read_head(ret, &head, err);
	if (r == 0 && sscanf(head, "HTTP/1.1 %u", &status) == 1 && status != 101)
		r = read_problem(ret, head, err);
	else if (r == 0 && status != 101)
		r = err_set(err, ERR_INTERNAL, NULL, "this is no answer of an agent");
	if (r == 0)
		take_session(ret, head);
	else
		ret->fd = fd_close(ret->fd);
	return r;
}
