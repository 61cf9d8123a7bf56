/* What passes a guest's link and what does not: frames as a guest with root inside can make them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "net/net.h"
#include "world.h"

#define MARK "corpus-frame-"

struct frame {
	uint8_t bytes[128];
	size_t size;
};

static void put(struct frame *frame, const void *data, size_t size)
{
	memcpy(frame->bytes + frame->size, data, size);
	frame->size += size;
}

static void put16(struct frame *frame, uint16_t value)
{
	value = htons(value);
	put(frame, &value, sizeof(value));
}

static void put32(struct frame *frame, uint32_t value)
{
	value = htonl(value);
	put(frame, &value, sizeof(value));
}

static void put_ethernet(struct frame *frame, const uint8_t *to, const uint8_t *from, uint16_t type)
{
	put(frame, to, 6);
	put(frame, from, 6);
	put16(frame, type);
}

/* Ends a frame with a mark by which the receiver knows it. */
static void put_mark(struct frame *frame, const char *name)
{
	put(frame, MARK, strlen(MARK));
	put(frame, name, strlen(name) + 1);
}

static uint16_t ip_checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(header[i] << 8 | header[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

struct udp {
	uint32_t from, to;
	uint16_t sport, dport;
};

static void put_udp(struct frame *frame, const struct udp *udp, const char *name)
{
	uint16_t payload = (uint16_t)(strlen(MARK) + strlen(name) + 1);
	uint8_t *ip = frame->bytes + frame->size;
	uint16_t sum;

	put16(frame, 0x4500);
	put16(frame, (uint16_t)(28 + payload));
	put32(frame, 0x00010000);
	put16(frame, 64 << 8 | IPPROTO_UDP);
	put16(frame, 0);
	put32(frame, udp->from);
	put32(frame, udp->to);
	sum = htons(ip_checksum(ip));
	memcpy(ip + 10, &sum, sizeof(sum));
	put16(frame, udp->sport);
	put16(frame, udp->dport);
	put16(frame, (uint16_t)(8 + payload));
	put16(frame, 0);
	put_mark(frame, name);
}

struct arp {
	uint16_t operation;
	const uint8_t *mac;
	uint32_t address;
};

static void put_arp(struct frame *frame, const struct arp *arp, uint32_t target, const char *name)
{
	put16(frame, 1);
	put16(frame, ETH_P_IP);
	put16(frame, 6 << 8 | 4);
	put16(frame, arp->operation);
	put(frame, arp->mac, 6);
	put32(frame, arp->address);
	put(frame, (const uint8_t[6]){0}, 6);
	put32(frame, target);
	put_mark(frame, name);
}

/* A packet socket on eth0 of a guest. */
static int packet_socket(int ns, int node)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd;

	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex("eth0");
	assert_int_equal(setns(node, CLONE_NEWNET), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	limit_ms(fd, WAIT_MS);
	return fd;
}

/* The next marked frame that comes in must be this one: those before it did not pass. */
static void assert_first(int fd, const char *expected)
{
	for (;;) {
		uint8_t bytes[256] = {0};
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		ssize_t n =
			recvfrom(fd, bytes, sizeof(bytes) - 1, 0, (struct sockaddr *)&from, &size);
		const char *mark;

		if (n < 0)
			fail_msg("nothing came, not even \"%s\"", expected);
		mark = memmem(bytes, (size_t)n, MARK, strlen(MARK));
		if (!mark || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		assert_string_equal(mark + strlen(MARK), expected);
		return;
	}
}

struct pair {
	int from, to; /* packet sockets */
	const struct net_guest *a, *b;
};

static struct pair attached_pair(struct world *world)
{
	struct pair pair = {.a = &world->guests[0], .b = &world->guests[1]};

	for (int i = 0; i < 2; i++) {
		world_add_guest(world, i, true);
		assert_ok(net_attach(world->net, &world->guests[i], &err));
	}
	pair.from = packet_socket(world->guest_ns[0], world->node);
	pair.to = packet_socket(world->guest_ns[1], world->node);
	return pair;
}

static void pair_close(struct pair *pair)
{
	close(pair->from);
	close(pair->to);
}

static void send_frame(const struct pair *pair, const struct frame *frame)
{
	assert_int_equal(send(pair->from, frame->bytes, frame->size, 0), (ssize_t)frame->size);
}

static void send_udp(
	const struct pair *pair, const uint8_t *mac, const struct udp *udp, const char *name)
{
	struct frame frame = {0};

	put_ethernet(&frame, pair->b->mac, mac, ETH_P_IP);
	put_udp(&frame, udp, name);
	send_frame(pair, &frame);
}

static void send_honest(const struct pair *pair)
{
	send_udp(pair, pair->a->mac, &(struct udp){pair->a->address, pair->b->address, 1000, 1000},
		"honest");
}

static void send_arp(
	const struct pair *pair, const uint8_t *frame_mac, const struct arp *arp, const char *name)
{
	struct frame frame = {0};

	put_ethernet(&frame, pair->b->mac, frame_mac, ETH_P_ARP);
	put_arp(&frame, arp, pair->b->address, name);
	send_frame(pair, &frame);
}

static const uint8_t g_other_mac[6] = {0x00, 0x16, 0x3e, 0x7f, 0, 1};

static void a_foreign_address_does_not_pass(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	uint32_t to = pair.b->address;

	send_udp(&pair, pair.a->mac, &(struct udp){GATEWAY, to, 1, 1}, "the gateway's address");
	send_udp(&pair, pair.a->mac, &(struct udp){to, to, 1, 1}, "the other's address");
	send_udp(&pair, pair.a->mac, &(struct udp){CLIENT_ADDRESS, to, 1, 1}, "outer address");
	send_udp(&pair, pair.a->mac, &(struct udp){0, to, 1, 1}, "no address");
	send_honest(&pair);
	assert_first(pair.to, "honest");
}

static void a_foreign_mac_does_not_pass(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	const struct udp udp = {pair.a->address, pair.b->address, 1, 1};

	send_udp(&pair, g_other_mac, &udp, "another MAC");
	send_udp(&pair, pair.b->mac, &udp, "the other's MAC");
	send_honest(&pair);
	assert_first(pair.to, "honest");
}

static void arp_only_tells_the_truth(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	const uint8_t *mac = pair.a->mac;

	for (uint16_t operation = 1; operation <= 2; operation++) {
		send_arp(&pair, mac, &(struct arp){operation, mac, GATEWAY}, "gateway");
		send_arp(&pair, mac, &(struct arp){operation, mac, pair.b->address}, "other");
		send_arp(&pair, mac, &(struct arp){operation, g_other_mac, pair.a->address},
			"another sender MAC");
		send_arp(&pair, g_other_mac, &(struct arp){operation, mac, pair.a->address},
			"another frame MAC");
	}
	send_arp(&pair, mac, &(struct arp){2, mac, 0}, "an answer for no address");
	send_arp(&pair, mac, &(struct arp){3, mac, pair.a->address}, "reverse ARP");
	send_arp(&pair, mac, &(struct arp){1, mac, 0}, "a probe");
	assert_first(pair.to, "a probe");
	send_arp(&pair, mac, &(struct arp){2, mac, pair.a->address}, "an honest answer");
	assert_first(pair.to, "an honest answer");
}

static void a_guest_is_no_dhcp_server_and_asks_only_the_node(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	const uint8_t *mac = pair.a->mac;
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	AUTOCLOSE int server = listen_in(world->node, SOCK_DGRAM, ANY_ADDRESS, 67);
	struct frame frame = {0};
	char word[64] = "";

	send_udp(&pair, mac, &(struct udp){pair.a->address, pair.b->address, 67, 68}, "an offer");
	send_udp(&pair, mac, &(struct udp){pair.a->address, pair.b->address, 1, 67}, "a request");
	put_ethernet(&frame, broadcast, mac, ETH_P_IP);
	put_udp(&frame, &(struct udp){0, INADDR_BROADCAST, 68, 67}, "a discover");
	send_frame(&pair, &frame);
	assert_int_equal(recv(server, word, sizeof(word), 0), sizeof(MARK "a discover"));
	send_honest(&pair);
	assert_first(pair.to, "honest");
}

static void nothing_but_arp_and_ipv4_passes(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	static const uint16_t types[] = {ETH_P_IPV6, 0x88cc, 0x8863, ETH_P_LOOP};
	static const uint16_t tags[] = {ETH_P_8021Q, ETH_P_8021AD};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct frame frame = {0};

		put_ethernet(&frame, pair.b->mac, pair.a->mac, types[i]);
		put32(&frame, 0x60000000);
		put_mark(&frame, "another protocol");
		send_frame(&pair, &frame);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		struct frame frame = {0};

		put_ethernet(&frame, pair.b->mac, pair.a->mac, tags[i]);
		put16(&frame, 7);
		put16(&frame, ETH_P_IP);
		put_udp(&frame, &(struct udp){pair.a->address, pair.b->address, 1, 1}, "tagged");
		send_frame(&pair, &frame);
	}
	send_honest(&pair);
	assert_first(pair.to, "honest");
}

static void a_link_that_is_not_attached_passes_nothing(void **state)
{
	struct world *world = *state;
	CLEANUP(pair_close) struct pair pair = attached_pair(world);
	struct net_guest third = world->guests[2];

	world_add_guest(world, 2, true);
	/* The first guest's facts on the third one's link. */
	run_in(world->guest_ns[2], "ip addr flush dev eth0; ip addr add 10.5.0.2/16 dev eth0; "
				   "ip link set eth0 address 00:16:3e:00:00:02");
	assert_int_not_equal(
		try_in(world->guest_ns[2], "busybox ping -c 1 -W 1 10.5.0.3 >/dev/null 2>&1"), 0);
	/* Attached, it speaks; detached, no longer. */
	run_in(world->guest_ns[2], "ip addr flush dev eth0; ip addr add 10.5.0.4/16 dev eth0; "
				   "ip link set eth0 address 00:16:3e:00:00:04");
	assert_ok(net_attach(world->net, &third, &err));
	run_in(world->guest_ns[2], "busybox ping -c 1 -W 3 10.5.0.3 >/dev/null");
}

static int tests(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest list[] = {
		TEST(a_foreign_address_does_not_pass),
		TEST(a_foreign_mac_does_not_pass),
		TEST(arp_only_tells_the_truth),
		TEST(a_guest_is_no_dhcp_server_and_asks_only_the_node),
		TEST(nothing_but_arp_and_ipv4_passes),
		TEST(a_link_that_is_not_attached_passes_nothing),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
	return world_main(tests);
}
