/* Numbers, sizes, durations, addresses: what is taken, what is refused, and the edges between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define UNTOUCHED UINT64_C(424242)

struct number_case {
	const char *text;
	int r;
	uint64_t value;
};

static void check_all(const struct number_case *cases, size_t count,
	int (*parse)(const char *text, uint64_t *ret))
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;
		int r = parse(cases[i].text, &value);

		if (r != cases[i].r || value != (r < 0 ? UNTOUCHED : cases[i].value))
			fail_msg("\"%s\": returned %d, value %llu", cases[i].text, r,
				(unsigned long long)value);
	}
}

static int parse_any(const char *text, uint64_t *ret)
{
	return parse_u64(text, UINT64_MAX, ret);
}

static int parse_to_100(const char *text, uint64_t *ret)
{
	return parse_u64(text, 100, ret);
}

static void numbers(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
	};
	static const struct number_case bounded[] = {
		{"100", 0, 100}, {"101", -ERANGE, 0}, {"1000", -ERANGE, 0}};

	(void)state;
	check_all(cases, ARRAY_SIZE(cases), parse_any);
	check_all(bounded, ARRAY_SIZE(bounded), parse_to_100);
}

static void sizes(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"512B", 0, 512},
		{"1kB", 0, 1000},
		{"1KB", 0, 1000},
		{"5GB", 0, UINT64_C(5000000000)},
		{"5GiB", 0, UINT64_C(5) << 30},
		{"5 GiB", 0, UINT64_C(5) << 30},
		{"5g", 0, UINT64_C(5) << 30},
		{"5G", 0, UINT64_C(5) << 30},
		{"500m", 0, UINT64_C(500) << 20},
		{"2T", 0, UINT64_C(2) << 40},
		{"2TB", 0, UINT64_C(2000000000000)},
		{"1.5GiB", 0, UINT64_C(3) << 29},
		{"0.25kB", 0, 250},
		{"0.000000001GB", 0, 1},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -ERANGE, 0},
		{"99999999TiB", -ERANGE, 0},
		{"8388608TiB", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{" 5", -EINVAL, 0},
		{"5 ", -EINVAL, 0},
		{"5  GiB", -EINVAL, 0},
		{"GiB", -EINVAL, 0},
		{"-5GiB", -EINVAL, 0},
		{"5GiBs", -EINVAL, 0},
		{"5XB", -EINVAL, 0},
		{"5GiB ", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{".5g", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"1.5B", -EINVAL, 0},
		{"1.2.3g", -EINVAL, 0},
		{"1.0000000001g", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
	};

	(void)state;
	check_all(cases, ARRAY_SIZE(cases), parse_size);
}

static void durations(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"90", 0, 90000},
		{"90s", 0, 90000},
		{"500ms", 0, 500},
		{"2m", 0, 120000},
		{"1h30m", 0, 5400000},
		{"1d", 0, 86400000},
		{"1m1ms", 0, 60001},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"1h30", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
		{"1y", -EINVAL, 0},
		{"1sec", -EINVAL, 0},
		{"9999999999999999d", -ERANGE, 0},
		{"9223372036854776s", -ERANGE, 0},
	};

	(void)state;
	check_all(cases, ARRAY_SIZE(cases), parse_duration_ms);
}

static void ipv4_addresses(void **state)
{
	static const char *const bad[] = {"", "10.5.0", "10.5.0.1.2", "256.0.0.1", "10.5.0.1 ",
		" 10.5.0.1", "10.5.0.01x", "::1", "a.b.c.d", "10.5.0.-1"};
	uint32_t address = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_ipv4(bad[i], &address), -EINVAL);
	assert_int_equal(address, 7);
	assert_int_equal(parse_ipv4("10.5.0.1", &address), 0);
	assert_int_equal(address, 0x0a050001);
	assert_string_equal(FMT_IPV4(address), "10.5.0.1");
	assert_string_equal(FMT_IPV4(UINT32_MAX), "255.255.255.255");
}

static void networks(void **state)
{
	static const char *const bad[] = {"", "10.5.0.1", "10.5.0.1/", "10.5.0.1/33", "/16",
		"10.5.0.1/1x", "10.5.0.1/-1", "1234567890123456/8"};
	uint32_t address = 7;
	unsigned prefix = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_cidr4(bad[i], &address, &prefix), -EINVAL);
	assert_int_equal(address, 7);
	assert_int_equal(prefix, 7);
	assert_int_equal(parse_cidr4("10.5.0.1/16", &address, &prefix), 0);
	assert_int_equal(address, 0x0a050001);
	assert_int_equal(prefix, 16);
}

static void macs(void **state)
{
	static const char *const bad[] = {"", "00:16:3e:01:02", "00:16:3e:01:02:3",
		"00-16-3e-01-02-03", "00:16:3e:01:02:0g", "00:16:3e:01:02:03:", "0:016:3e:01:02:03",
		"00:16:3e:01:02:+3"};
	uint8_t mac[6] = {1, 2, 3, 4, 5, 6};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_mac(bad[i], mac), -EINVAL);
	assert_int_equal(mac[5], 6);
	assert_int_equal(parse_mac("00:16:3E:7f:ff:0a", mac), 0);
	assert_string_equal(FMT_MAC(mac), "00:16:3e:7f:ff:0a");
}

static void base64_is_taken_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *text, *bytes;
	} good[] = {{"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"},
		{"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}};
	static const char *const bad[] = {"", "Z", "Zg",
		"Zg=", "====", "Z===", "Zg==Zg==", "Zm9v\n", "Zm-_", "Zm 8",
		"Zh==", "Zm9=", "Zg=x"};
	uint8_t bytes[12];
	size_t size = 99;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_base64(good[i].text, strlen(good[i].text), bytes, &size), 0);
		assert_int_equal(size, strlen(good[i].bytes));
		assert_memory_equal(bytes, good[i].bytes, size);
	}
	size = 99;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_base64(bad[i], strlen(bad[i]), bytes, &size), -EINVAL);
	assert_int_equal(size, 99);
}

static void sizes_for_people(void **state)
{
	(void)state;
	assert_string_equal(FMT_SIZE(0), "0 B");
	assert_string_equal(FMT_SIZE(999), "999 B");
	assert_string_equal(FMT_SIZE(1024), "1 KiB");
	assert_string_equal(FMT_SIZE(1536), "1.5 KiB");
	assert_string_equal(FMT_SIZE(UINT64_C(5) << 30), "5 GiB");
	assert_string_equal(FMT_SIZE(UINT64_C(1) << 50), "1 PiB");
	assert_string_equal(FMT_SIZE(UINT64_MAX), "16 EiB");
}

static void times_are_rfc_3339(void **state)
{
	(void)state;
	assert_string_equal(FMT_TIME(0), "1970-01-01T00:00:00.000Z");
	assert_string_equal(FMT_TIME(INT64_C(1700000000123)), "2023-11-14T22:13:20.123Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(ipv4_addresses),
		cmocka_unit_test(networks),
		cmocka_unit_test(macs),
		cmocka_unit_test(base64_is_taken_whole_or_not_at_all),
		cmocka_unit_test(sizes_for_people),
		cmocka_unit_test(times_are_rfc_3339),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
