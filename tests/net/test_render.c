/* What is rendered, against golden files; and planning without a kernel. UPDATE_GOLDEN=1 in the
 * environment rewrites the files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "net/dhcp.h"
#include "net/dhcp_lease.h"
#include "net/link.h"
#include "net/nft_ruleset.h"
#include "net/nft_sets.h"
#include "net/rate.h"

/* Takes the text. */
static void assert_golden(char *text, const char *name)
{
	AUTOFREE char *owned = text;
	AUTOFREE char *expected = NULL;
	char path[512];

	assert_non_null(owned);
	snprintf(path, sizeof(path), TEST_SOURCE_DIR "/golden/%s", name);
	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(file_replace(path, owned, 0644, false), 0);
	assert_int_equal(file_read(path, 1 << 20, &expected, NULL), 0);
	assert_string_equal(owned, expected);
}

static const struct net_config g_config = {.bridge = "lxcbr1",
	.gateway = 0x0a050001,
	.prefix = 16,
	.domain = "corpus.internal",
	.run_dir = "/run/corpus"};

static void the_ruleset_is_as_agreed(void **state)
{
	(void)state;
	assert_golden(nft_ruleset_render(), "ruleset.nft");
}

static void dnsmasqs_configuration_is_as_agreed(void **state)
{
	struct net_config small = {
		.bridge = "br-x", .gateway = 0xc0a80441, .prefix = 26, .run_dir = "/run/corpus"};

	(void)state;
	assert_golden(
		dhcp_render_config(&g_config, "/run/corpus/lxcbr1", "dnsmasq", 7), "dnsmasq.conf");
	assert_golden(
		dhcp_render_config(&small, "/run/corpus/br-x", "nobody", 8), "dnsmasq-small.conf");
}

static void a_guests_lines_are_as_agreed(void **state)
{
	static const struct {
		const char *name, *domain, *names, *local;
	} cases[] = {
		{"app1.example.org", NULL, "10.5.0.2 app1.example.org app1\n",
			"server=/app1.example.org/\n"},
		{"app1.example.org", "corpus.internal", "10.5.0.2 app1.example.org app1\n",
			"server=/app1.example.org/\n"},
		{"web", "corpus.internal", "10.5.0.2 web.corpus.internal web\n",
			"server=/web.corpus.internal/\n"},
		{"web", NULL, "10.5.0.2 web\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_guest guest = {.id = "0123456789ab",
			.name = cases[i].name,
			.address = 0x0a050002,
			.mac = {0, 0x16, 0x3e, 1, 2, 0xff}};
		AUTOFREE char *reservation = dhcp_render_reservation(&guest);
		AUTOFREE char *names = dhcp_render_names(&guest, cases[i].domain);
		AUTOFREE char *local = dhcp_render_local(&guest, cases[i].domain);

		assert_string_equal(reservation, "00:16:3e:01:02:ff,id:*,10.5.0.2,infinite\n");
		assert_string_equal(names, cases[i].names);
		assert_string_equal(local, cases[i].local);
	}
}

static const char g_leases[] = "0 00:16:3e:00:00:02 10.5.0.2 * *\n"
			       "1763816000 00:16:3e:00:00:03 10.5.0.3 name ff:00:11\n"
			       "duid 00:01:00:01\n"
			       "nonsense\n"
			       "0 not-a-mac 10.5.0.4 * *\n"
			       "0 00:16:3e:00:00:05 10.5.0.5 * *";

static bool keep_3(void *data, const struct lease *lease)
{
	(void)data;
	return lease->address == 0x0a050003;
}

static void leases_are_read_and_filtered(void **state)
{
	AUTOFREE struct lease *leases = NULL;
	AUTOFREE char *kept = NULL;
	AUTOFREE char *nothing = lease_filter("", keep_3, NULL);
	size_t count = 0;

	(void)state;
	assert_int_equal(lease_parse(g_leases, &leases, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(leases[1].address, 0x0a050003);
	assert_int_equal(leases[2].mac[5], 5);
	kept = lease_filter(g_leases, keep_3, NULL);
	assert_string_equal(kept, "1763816000 00:16:3e:00:00:03 10.5.0.3 name ff:00:11\n"
				  "duid 00:01:00:01\nnonsense\n0 not-a-mac 10.5.0.4 * *\n");
	assert_string_equal(nothing, "");
}

static void a_release_names_lease_and_server(void **state)
{
	const struct lease lease = {{0, 0x16, 0x3e, 0, 0, 2}, 0x0a050002};
	static const uint8_t address[4] = {10, 5, 0, 2};
	static const uint8_t options[] = {99, 130, 83, 99, 53, 1, 7, 54, 4, 10, 5, 0, 1, 255};
	uint8_t message[LEASE_MESSAGE_MAX];

	(void)state;
	assert_int_equal(lease_message(0x0a050001, &lease, message), sizeof(message));
	assert_memory_equal(message + 12, address, 4);
	assert_memory_equal(message + 28, lease.mac, 6);
	assert_memory_equal(message + 236, options, sizeof(options));
}

static void names_of_links_follow_from_ids(void **state)
{
	char name[NET_LINK_NAME_MAX + 1];
	uint8_t mac[6];

	(void)state;
	link_name("0123456789ab", name);
	assert_string_equal(name, "cg0123456789ab");
	link_bridge_mac(0x0a050001, mac);
	assert_memory_equal(mac,
		"\x02"
		"cg\x05\x00\x01",
		6);
}

struct changes {
	struct nft_change list[16];
	size_t count;
};

static void note(void *data, const struct nft_change *change)
{
	struct changes *changes = data;

	assert_true(changes->count < ARRAY_SIZE(changes->list));
	changes->list[changes->count++] = *change;
}

static void add_port(struct nft_elements *elements, uint16_t host, uint32_t address)
{
	struct net_port port = {.proto = PORT_TCP, .host = host, .address = address, .guest = 80};
	struct nft_element element;

	nft_port_element(&port, &element);
	assert_int_equal(nft_elements_add(elements, &element), 0);
}

static void the_difference_is_the_least_and_removes_first(void **state)
{
	CLEANUP(nft_elements_finish) struct nft_elements have = {0};
	CLEANUP(nft_elements_finish) struct nft_elements want = {0};
	struct changes changes = {0};

	(void)state;
	add_port(&have, 3, 0x0a050003);
	add_port(&have, 1, 0x0a050002);
	add_port(&have, 2, 0x0a050002);
	add_port(&want, 4, 0x0a050004);
	add_port(&want, 2, 0x0a050003); /* moved */
	add_port(&want, 1, 0x0a050002); /* stays */
	nft_diff(&have, &want, NFT_PORTS, note, &changes);
	assert_int_equal(changes.count, 4);
	assert_false(changes.list[0].add || changes.list[1].add);
	assert_int_equal(changes.list[0].element.key[5], 2);
	assert_int_equal(changes.list[1].element.key[5], 3);
	assert_true(changes.list[2].add && changes.list[3].add);
	assert_int_equal(changes.list[2].element.key[5], 2);
	assert_int_equal(changes.list[2].element.data[3], 3);
	assert_int_equal(changes.list[3].element.key[5], 4);
}

static void what_is_another_networks_is_left_alone(void **state)
{
	const struct firewall_net net = {.bridge = "lxcbr1", .gateway = 0x0a050001, .prefix = 16};
	CLEANUP(nft_elements_finish) struct nft_elements have = {0};
	CLEANUP(nft_elements_finish) struct nft_elements want = {0};
	struct changes changes = {0};

	(void)state;
	add_port(&have, 1, 0x0a060002);
	add_port(&have, 2, 0x0a060002); /* theirs, but wanted here */
	add_port(&have, 3, 0x0a050002);
	add_port(&want, 2, 0x0a050002);
	nft_keep_own(&net, NFT_PORTS, &have, &want);
	nft_diff(&have, &want, NFT_PORTS, note, &changes);
	assert_int_equal(changes.count, 3);
	for (size_t i = 0; i < changes.count; i++)
		assert_int_not_equal(changes.list[i].element.key[5], 1);
}

static void print_class(FILE *out, const char *name, const struct tc_class *class)
{
	fprintf(out, "  %s %x < %x rate %llu ceil %llu burst %u prio %u leaf %x\n", name, class->id,
		class->parent, (unsigned long long)class->rate, (unsigned long long)class->ceil,
		class->burst, class->prio, class->leaf);
}

static void print_match(FILE *out, const struct tc_match *match)
{
	fprintf(out, "  match %x prio %u protocol %04x %08x/%08x at %d > %x\n", match->parent,
		match->prio, match->protocol, match->value, match->mask, match->offset,
		match->class);
}

static void print_plan(FILE *out, uint64_t limit, enum rate_direction direction)
{
	struct rate_plan plan;

	rate_plan(limit, direction, g_config.gateway, &plan);
	fprintf(out, "%llu %s guest\n", (unsigned long long)limit,
		direction == RATE_TO_GUEST ? "to" : "from");
	print_class(out, "all ", &plan.all);
	print_class(out, "bulk", &plan.bulk);
	print_class(out, "node", &plan.node);
	fprintf(out, "  queue %u\n", plan.queue);
	print_match(out, &plan.arp);
	print_match(out, &plan.address);
}

static void rates_are_planned_as_agreed(void **state)
{
	static const uint64_t limits[] = {1000, 10000, 1000000, 125000000, 12500000000, 1ull << 50};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		print_plan(out, limits[i], RATE_TO_GUEST);
	print_plan(out, limits[2], RATE_FROM_GUEST);
	fclose(out);
	assert_golden(text, "rates.txt");
}

static void an_ifb_is_known_by_name_and_mac(void **state)
{
	char name[NET_LINK_NAME_MAX + 1];
	uint8_t mac[6];

	(void)state;
	rate_ifb_name("0123456789ab", name);
	assert_string_equal(name, "cgi0123456789ab");
	assert_false(link_named_as_guest(name));
	rate_ifb_mac(0x0a050001, mac);
	assert_memory_equal(mac,
		"\x02"
		"ci"
		"\x05\x00\x01",
		6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ruleset_is_as_agreed),
		cmocka_unit_test(dnsmasqs_configuration_is_as_agreed),
		cmocka_unit_test(a_guests_lines_are_as_agreed),
		cmocka_unit_test(leases_are_read_and_filtered),
		cmocka_unit_test(a_release_names_lease_and_server),
		cmocka_unit_test(names_of_links_follow_from_ids),
		cmocka_unit_test(rates_are_planned_as_agreed),
		cmocka_unit_test(an_ifb_is_known_by_name_and_mac),
		cmocka_unit_test(the_difference_is_the_least_and_removes_first),
		cmocka_unit_test(what_is_another_networks_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
