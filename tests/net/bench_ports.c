/* How long it takes to publish, switch and unpublish a port with few and with many ports present,
 * in a network namespace of its own. Prints one JSON object; the figures are microseconds. Needs
 * root. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/net.h"

#define GATEWAY 0x0a050001u
#define ROUNDS	2000
#define WALKS	200   /* of what walks the kernel's whole table of connections: 5 ms each */
#define PROBE	65000 /* the port that is published and withdrawn */

static const unsigned g_sizes[] = {10, 10000, 32000};
static const char *const g_names[] = {
	"publish", "switch", "unpublish", "again", "unpublish_and_cut"};

enum { PUBLISH, SWITCH, UNPUBLISH, AGAIN, CUT, ACTIONS };

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->message);
	exit(1);
}

static void load(struct net *net, unsigned count, struct err *err)
{
	struct net_port *ports = calloc(count, sizeof(*ports));

	for (unsigned i = 0; i < count; i++)
		ports[i] = (struct net_port){.proto = i % 2 ? PORT_UDP : PORT_TCP,
			.host = (uint16_t)(1000 + i),
			.address = GATEWAY + 1 + i % 200,
			.guest = 80};
	if (net_apply(net, NULL, 0, ports, count, NULL, err) < 0)
		die("apply", err);
	free(ports);
}

static int act(struct net *net, int action, enum port_proto proto, struct err *err)
{
	struct net_port port = {.proto = proto,
		.host = PROBE,
		.address = GATEWAY + (action == SWITCH ? 2 : 1),
		.guest = 80};

	if (action == UNPUBLISH || action == CUT)
		return net_unpublish(net, proto, PROBE, action == CUT, err);
	return net_publish(net, &port, false, err);
}

/* UDP flows are cut whenever their port moves; TCP's only where that is the action. */
static int rounds(int action, enum port_proto proto)
{
	return proto == PORT_UDP || action >= AGAIN ? WALKS : ROUNDS;
}

static void measure(struct net *net, unsigned count, enum port_proto proto, struct err *err)
{
	static int64_t times[ACTIONS][ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		for (int action = 0; action < ACTIONS; action++) {
			int64_t start = clock_monotonic_ns();

			if (round >= rounds(action, proto))
				continue;
			if (act(net, action, proto, err) < 0)
				die(g_names[action], err);
			times[action][round] = clock_monotonic_ns() - start;
		}
	}
	printf("{\"proto\":\"%s\",\"ports\":%u", port_proto_to_string(proto), count);
	for (int action = 0; action < ACTIONS; action++) {
		int done = rounds(action, proto);

		qsort(times[action], (size_t)done, sizeof(times[action][0]), compare);
		printf(",\"%s\":{\"p50\":%.1f,\"p99\":%.1f}", g_names[action],
			(double)times[action][done / 2] / 1000,
			(double)times[action][done * 99 / 100] / 1000);
	}
	printf("}");
}

int main(void)
{
	const struct net_config config = {.bridge = "benchbr1", .gateway = GATEWAY, .prefix = 16};
	struct net *net = NULL;
	struct err err = {0};

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "unshare: %s\n", strerror(errno));
		return 1;
	}
	if (net_open(&config, &net, &err) < 0)
		die("open", &err);
	printf("{\"rounds\":%d,\"microseconds\":[", ROUNDS);
	for (size_t i = 0; i < ARRAY_SIZE(g_sizes); i++) {
		load(net, g_sizes[i], &err);
		printf("%s", i ? ",\n" : "\n");
		measure(net, g_sizes[i], PORT_TCP, &err);
		printf(",\n");
		measure(net, g_sizes[i], PORT_UDP, &err);
	}
	printf("\n]}\n");
	net_close(net);
	return 0;
}
