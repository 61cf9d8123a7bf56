/* Load generator for HTTP over a unix socket: keeps CONNECTIONS connections busy with GETs of one
 * path for SECONDS, each with one request under way at a time, and prints one line of JSON.
 *
 *     bench-http SOCKET PATH SECONDS CONNECTIONS */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

#define ANSWER_MAX  (1024 * 1024)
#define SAMPLES_MAX (1 << 24)

struct client {
	int fd;
	int64_t sent_ns;
	char *answer;
	size_t used;
};

struct bench {
	struct sockaddr_un address;
	char request[1024];
	uint64_t seconds, connections;
	struct client *clients;
	int epoll_fd;
	uint32_t *samples; /* ns */
	size_t answers, errors;
};

static bool ask(struct bench *bench, struct client *client)
{
	size_t size = strlen(bench->request);

	client->used = 0;
	client->sent_ns = clock_monotonic_ns();
	return send(client->fd, bench->request, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The size of the whole answer; 0 while that is not known. */
static size_t answer_size(const struct client *client)
{
	static const char LENGTH[] = "\r\nContent-Length:";
	const char *end = strstr(client->answer, "\r\n\r\n");
	const char *length = end ? strcasestr(client->answer, LENGTH) : NULL;

	return length ? (size_t)(end + 4 - client->answer) +
				strtoul(length + sizeof(LENGTH) - 1, NULL, 10)
		      : 0;
}

static void record(struct bench *bench, const struct client *client)
{
	int64_t ns = clock_monotonic_ns() - client->sent_ns;

	if (strncmp(client->answer, "HTTP/1.1 200", 12) != 0)
		bench->errors++;
	bench->samples[bench->answers++ % SAMPLES_MAX] =
		ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* False when the connection broke. */
static bool on_readable(struct bench *bench, struct client *client)
{
	ssize_t n = recv(client->fd, client->answer + client->used, ANSWER_MAX - client->used, 0);
	size_t size;

	if (n <= 0)
		return false;
	client->used += (size_t)n;
	client->answer[client->used] = '\0';
	size = answer_size(client);
	if (size == 0 || client->used < size)
		return true;
	record(bench, client);
	return ask(bench, client);
}

static int start(struct bench *bench, struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

	client->answer = malloc(ANSWER_MAX + 1);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!client->answer || client->fd < 0 ||
		connect(client->fd, (struct sockaddr *)&bench->address, sizeof(bench->address)) <
			0 ||
		epoll_ctl(bench->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0 ||
		!ask(bench, client))
		return errno ? -errno : -EIO;
	return 0;
}

static int run(struct bench *bench)
{
	int64_t end = clock_monotonic_ns() + (int64_t)bench->seconds * 1000000000;

	while (clock_monotonic_ns() < end) {
		struct epoll_event events[64];
		int n = epoll_wait(bench->epoll_fd, events, ARRAY_SIZE(events), 1000);

		for (int i = 0; i < n; i++)
			if (!on_readable(bench, events[i].data.ptr))
				return -EPIPE;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void print(struct bench *bench, double seconds)
{
	size_t count = bench->answers < SAMPLES_MAX ? bench->answers : SAMPLES_MAX;

	if (count == 0)
		return;
	qsort(bench->samples, count, sizeof(*bench->samples), compare);
	printf("{\"requests\": %zu, \"errors\": %zu, \"connections\": %lu, \"rps\": %.0f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
		bench->answers, bench->errors, (unsigned long)bench->connections,
		(double)bench->answers / seconds, bench->samples[count / 2] / 1e3,
		bench->samples[count * 99 / 100] / 1e3, bench->samples[count - 1] / 1e3);
}

static int parse(struct bench *bench, char **argv)
{
	int n = snprintf(bench->request, sizeof(bench->request),
		"GET %s HTTP/1.1\r\nHost: corpus\r\n\r\n", argv[2]);

	bench->address.sun_family = AF_UNIX;
	if (strlen(argv[1]) >= sizeof(bench->address.sun_path) || n < 0 ||
		(size_t)n >= sizeof(bench->request))
		return -ENAMETOOLONG;
	strcpy(bench->address.sun_path, argv[1]);
	if (parse_u64(argv[3], 3600, &bench->seconds) < 0 ||
		parse_u64(argv[4], 10000, &bench->connections) < 0)
		return -EINVAL;
	return 0;
}

static int prepare(struct bench *bench)
{
	bench->clients = calloc(bench->connections, sizeof(*bench->clients));
	bench->samples = malloc(SAMPLES_MAX * sizeof(*bench->samples));
	bench->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!bench->clients || !bench->samples || bench->epoll_fd < 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < bench->connections; i++) {
		int r = start(bench, &bench->clients[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bench bench = {0};
	int64_t begin;
	int r;

	if (argc != 5 || parse(&bench, argv) < 0) {
		fprintf(stderr, "usage: bench-http SOCKET PATH SECONDS CONNECTIONS\n");
		return 2;
	}
	begin = clock_monotonic_ns();
	r = prepare(&bench);
	if (r == 0)
		r = run(&bench);
	if (r < 0) {
		fprintf(stderr, "bench-http: %s\n", strerror(-r));
		return 1;
	}
	print(&bench, (double)(clock_monotonic_ns() - begin) / 1e9);
	return bench.errors ? 1 : 0;
}
