/* Addresses, ports and MACs: which are given out, which never, and what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "net/ipam.h"

DEFINE_CLEANUP(struct ipam *, ipam_destroy)

static struct ipam *ipam_of(const char *cidr, uint16_t first, uint16_t last)
{
	struct ipam_config config = {.port_first = first, .port_last = last};
	struct ipam *ipam = NULL;

	assert_int_equal(parse_cidr4(cidr, &config.gateway, &config.prefix), 0);
	assert_int_equal(ipam_create(&config, &ipam, NULL), 0);
	return ipam;
}

static uint32_t ip(const char *text)
{
	uint32_t address = 0;

	assert_int_equal(parse_ipv4(text, &address), 0);
	return address;
}

static void assert_takes(struct ipam *ipam, const char *expected)
{
	uint32_t address = 0;

	assert_int_equal(ipam_take_address(ipam, &address, NULL), 0);
	assert_string_equal(FMT_IPV4(address), expected);
}

static void addresses_come_in_order_from_2(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 40000, 60000);

	(void)state;
	assert_takes(ipam, "10.5.0.2");
	assert_takes(ipam, "10.5.0.3");
	ipam_release_address(ipam, ip("10.5.0.2"));
	assert_takes(ipam, "10.5.0.2");
	assert_takes(ipam, "10.5.0.4");
}

static void a_network_is_used_up_without_0_255_and_gateway(void **state)
{
	static const struct {
		const char *cidr;
		unsigned room;
	} cases[] = {
		{"10.5.0.1/16", 256 * 254 - 1}, /* less the gateway */
		{"10.5.7.9/16", 256 * 254 - 2}, /* and .0.1, which is nobody's */
		{"192.168.4.1/24", 253},
		{"192.168.4.65/26", 61},
		{"192.168.4.193/26", 61}, /* its broadcast ends in 255 anyway */
		{"192.168.4.1/30", 1},
		{"192.168.4.1/22", 4 * 254 - 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of(cases[i].cidr, 1, 1);
		uint32_t address = 0, last = 0, gateway = 0;
		unsigned prefix, count = 0;
		struct err err = {0};

		parse_cidr4(cases[i].cidr, &gateway, &prefix);
		while (ipam_take_address(ipam, &address, &err) == 0) {
			assert_true(address > last);
			assert_int_not_equal(address, gateway);
			assert_int_not_equal(address & 0xff, 0);
			assert_int_not_equal(address & 0xff, 255);
			assert_int_equal((address ^ gateway) >> (32 - prefix), 0);
			last = address;
			count++;
		}
		assert_int_equal(err.code, ERR_NO_ROOM);
		assert_int_equal(count, cases[i].room);
		ipam_release_address(ipam, last);
		assert_int_equal(ipam_take_address(ipam, &address, NULL), 0);
		assert_int_equal(address, last);
	}
}

static void a_claimed_address_is_refused_with_its_reason(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 40000, 60000);
	static const struct {
		const char *address;
		enum err_code code;
	} cases[] = {
		{"10.5.0.2", ERR_OK},
		{"10.5.0.2", ERR_CONFLICT},
		{"10.5.0.1", ERR_INVALID},
		{"10.5.0.0", ERR_INVALID},
		{"10.5.3.0", ERR_INVALID},
		{"10.5.3.255", ERR_INVALID},
		{"10.5.255.255", ERR_INVALID},
		{"10.6.0.2", ERR_INVALID},
		{"10.4.255.254", ERR_INVALID},
		{"0.0.0.0", ERR_INVALID},
		{"10.5.255.254", ERR_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};
		int r = ipam_claim_address(ipam, ip(cases[i].address), &err);

		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(r == 0, cases[i].code == ERR_OK);
		if (r < 0)
			assert_string_equal(err.field, "network.address");
	}
	assert_takes(ipam, "10.5.0.3");
}

static void releasing_what_is_nobodys_gives_nothing_away(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 40000, 60000);
	static const char *const addresses[] = {
		"10.5.0.0", "10.5.0.1", "10.5.0.255", "10.6.0.2", "10.4.0.2", "10.5.255.255"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		ipam_release_address(ipam, ip(addresses[i]));
	assert_takes(ipam, "10.5.0.2");
}

static void ports_are_first_free_by_protocol(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 40000, 40002);
	struct err err = {0};
	uint16_t port = 0;

	(void)state;
	assert_int_equal(ipam_claim_port(ipam, PORT_TCP, 40001, "ports[0].host", &err), 0);
	assert_true(ipam_claim_port(ipam, PORT_TCP, 40001, "ports[0].host", &err) < 0);
	assert_int_equal(err.code, ERR_CONFLICT);
	assert_string_equal(err.field, "ports[0].host");
	assert_int_equal(ipam_take_port(ipam, PORT_TCP, &port, NULL), 0);
	assert_int_equal(port, 40000);
	assert_int_equal(ipam_take_port(ipam, PORT_TCP, &port, NULL), 0);
	assert_int_equal(port, 40002);
	assert_true(ipam_take_port(ipam, PORT_TCP, &port, &err) < 0);
	assert_int_equal(err.code, ERR_NO_ROOM);
	assert_int_equal(ipam_take_port(ipam, PORT_UDP, &port, NULL), 0);
	assert_int_equal(port, 40000);
	ipam_release_port(ipam, PORT_TCP, 40001);
	assert_int_equal(ipam_take_port(ipam, PORT_TCP, &port, NULL), 0);
	assert_int_equal(port, 40001);
}

static void ports_outside_the_range_are_claimed_but_not_chosen(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 60000, 60000);
	static const uint16_t others[] = {1, 59999, 60001, 65535};
	uint16_t port = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(ipam_claim_port(ipam, PORT_TCP, others[i], NULL, NULL), 0);
		assert_true(ipam_claim_port(ipam, PORT_TCP, others[i], NULL, NULL) < 0);
	}
	ipam_release_port(ipam, PORT_TCP, 1);
	assert_int_equal(ipam_take_port(ipam, PORT_TCP, &port, NULL), 0);
	assert_int_equal(port, 60000);
	assert_true(ipam_take_port(ipam, PORT_TCP, &port, NULL) < 0);
}

static void macs_are_of_the_prefix_and_unique(void **state)
{
	CLEANUP(ipam_destroyp) struct ipam *ipam = ipam_of("10.5.0.1/16", 1, 1);
	static const uint8_t prefix[3] = {0x00, 0x16, 0x3e};
	uint8_t macs[500][6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(macs); i++) {
		struct err err = {0};

		assert_int_equal(ipam_take_mac(ipam, macs[i], NULL), 0);
		assert_memory_equal(macs[i], prefix, 3);
		assert_true(macs[i][3] <= 0x7f);
		assert_true(ipam_claim_mac(ipam, macs[i], &err) < 0);
		assert_int_equal(err.code, ERR_CONFLICT);
		assert_string_equal(err.field, "network.mac");
	}
	for (size_t i = 0; i < ARRAY_SIZE(macs); i++) {
		ipam_release_mac(ipam, macs[i]);
		assert_int_equal(ipam_claim_mac(ipam, macs[i], NULL), 0);
	}
	assert_true(ipam_claim_mac(ipam, (uint8_t[6]){0}, NULL) < 0);
	assert_true(ipam_claim_mac(ipam, (uint8_t[6]){1, 2, 3, 4, 5, 6}, NULL) < 0);
	ipam_release_mac(ipam, (uint8_t[6]){2, 2, 3, 4, 5, 6});
	assert_int_equal(ipam_claim_mac(ipam, (uint8_t[6]){2, 2, 3, 4, 5, 6}, NULL), 0);
}

static void an_impossible_configuration_is_refused(void **state)
{
	static const struct ipam_config cases[] = {
		{.gateway = 0x0a050001, .prefix = 7, .port_first = 1, .port_last = 2},
		{.gateway = 0x0a050001, .prefix = 31, .port_first = 1, .port_last = 2},
		{.gateway = 0x0a050001, .prefix = 16, .port_first = 2, .port_last = 1},
		{.gateway = 0x0a050001, .prefix = 16, .port_first = 0, .port_last = 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ipam *ipam = NULL;
		struct err err = {0};

		assert_true(ipam_create(&cases[i], &ipam, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
		assert_null(ipam);
	}
	assert_null(ipam_destroy(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_in_order_from_2),
		cmocka_unit_test(a_network_is_used_up_without_0_255_and_gateway),
		cmocka_unit_test(a_claimed_address_is_refused_with_its_reason),
		cmocka_unit_test(releasing_what_is_nobodys_gives_nothing_away),
		cmocka_unit_test(ports_are_first_free_by_protocol),
		cmocka_unit_test(ports_outside_the_range_are_claimed_but_not_chosen),
		cmocka_unit_test(macs_are_of_the_prefix_and_unique),
		cmocka_unit_test(an_impossible_configuration_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
