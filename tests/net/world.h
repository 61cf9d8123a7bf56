/* A small world for tests of the network: a node, a client outside and guests on the node's bridge,
 * each in a network namespace of its own. A namespace lives as long as a descriptor of it, and a
 * socket stays in the one it was made in, so one process plays all the parts. The program runs in a
 * PID namespace, so that nothing it started outlives it, however it ends. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/net.h"

#define WORLD_GUESTS   4
#define WORLD_BRIDGE   "lxcbr1"
#define NODE_ADDRESS   0xc0000201u /* 192.0.2.1 */
#define CLIENT_ADDRESS 0xc0000202u /* 192.0.2.2 */
#define GATEWAY	       0x0a050001u /* 10.5.0.1 */
#define LOOPBACK       0x7f000001u
#define ANY_ADDRESS    0u
#define WAIT_MS	       30000 /* for what has to happen */
#define NOTHING_MS     300   /* for what must not */

struct world {
	int node, client; /* namespaces */
	int guest_ns[WORLD_GUESTS];
	struct net_guest guests[WORLD_GUESTS]; /* 10.5.0.2 on */
	struct net_config config;
	struct net *net;
	char run_dir[64];
};

/* Runs cmocka's tests in namespaces of their own. */
int world_main(int (*tests)(void));

/* Fills in guests and configuration, without making anything. */
void world_describe(struct world *world);

/* For cmocka: makes and removes a world, with an open net and an applied, guestless bridge. */
int world_setup(void **state);
int world_teardown(void **state);

/* Makes a guest's link, moves its other end into its namespace and, with `address`, configures it
 * there. The guest is not attached yet. */
void world_add_guest(struct world *world, int i, bool address);

/* net_apply with the first `guests` guests and these ports. Returns the changes. */
unsigned world_apply(
	struct world *world, size_t guests, const struct net_port *ports, size_t ports_count);

/* Runs a shell command; fails the test unless it succeeds. The same in a namespace. */
void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void run_in(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int try_in(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What a command prints, in the node's namespace; the caller frees it. */
char *output_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sockets. All have a time limit of WAIT_MS. `type` is SOCK_STREAM or SOCK_DGRAM. */
int listen_in(int ns, int type, uint32_t address, uint16_t port);
int connect_in(int ns, int type, uint32_t address, uint16_t port); /* or -errno */
int accept_on(int fd);						   /* or -errno */
void limit_ms(int fd, int ms);

/* Sends a word over a pair of connected sockets and expects it at the other end. */
void assert_talks(int from, int to);

/* Whether a new connection from `ns` to address:port reaches this listener. */
bool reaches(int ns, uint32_t address, uint16_t port, int listener);

/* UDP: sends from `client` (connected), expects it on `server`, answers and expects the answer. */
bool udp_reaches(int client, int server);
/* In that time: NOTHING_MS where nothing shall come. */
bool udp_reaches_within(int client, int server, int ms);

/* Calls a net function with an error, printing it and failing the test when there is one. */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		struct err err = {0};                                                              \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, err.message);                                    \
	} while (0)
