/* Text to values and back. */
#include "base/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (digit > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, digit, &value) || value > max)
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

static const struct {
	const char *name;
	uint64_t factor;
} SIZE_UNITS[] = {
	{"", 1},
	{"B", 1},
	{"kB", 1000},
	{"KB", 1000},
	{"MB", 1000ULL * 1000},
	{"GB", 1000ULL * 1000 * 1000},
	{"TB", 1000ULL * 1000 * 1000 * 1000},
	{"KiB", 1ULL << 10},
	{"MiB", 1ULL << 20},
	{"GiB", 1ULL << 30},
	{"TiB", 1ULL << 40},
	{"k", 1ULL << 10},
	{"m", 1ULL << 20},
	{"g", 1ULL << 30},
	{"t", 1ULL << 40},
	{"K", 1ULL << 10},
	{"M", 1ULL << 20},
	{"G", 1ULL << 30},
	{"T", 1ULL << 40},
};

/* Reads digits up to the first other character; counts them. */
static int read_digits(const char **text, uint64_t *ret_value, unsigned *ret_count)
{
	const char *p = *text;
	uint64_t value = 0;

	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (unsigned)(*p - '0'), &value))
			return -ERANGE;
	*ret_count = (unsigned)(p - *text);
	*ret_value = value;
	*text = p;
	return 0;
}

static int size_factor(const char *unit, uint64_t *ret)
{
	if (*unit == ' ' && unit[1])
		unit++;
	for (size_t i = 0; i < ARRAY_SIZE(SIZE_UNITS); i++)
		if (strcmp(SIZE_UNITS[i].name, unit) == 0) {
			*ret = SIZE_UNITS[i].factor;
			return 0;
		}
	return -EINVAL;
}

int parse_size(const char *text, uint64_t *ret)
{
	uint64_t whole, fraction = 0, factor, scale = 1;
	unsigned digits;
	int r;

	r = read_digits(&text, &whole, &digits);
	if (r < 0)
		return r;
	if (digits == 0)
		return -EINVAL;
	if (*text == '.') {
		text++;
		r = read_digits(&text, &fraction, &digits);
		if (r < 0 || digits == 0 || digits > 9)
			return -EINVAL;
		while (digits--)
			scale *= 10;
	}
	r = size_factor(text, &factor);
	if (r < 0)
		return r;
	if (factor == 1 && scale > 1)
		return -EINVAL; /* there is no part of a byte */
	if (__builtin_mul_overflow(whole, factor, &whole) ||
		__builtin_add_overflow(
			whole, (uint64_t)((unsigned __int128)fraction * factor / scale), &whole) ||
		whole > INT64_MAX)
		return -ERANGE;
	*ret = whole;
	return 0;
}

static int duration_unit(const char **text, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t n = strlen(units[i].name);

		if (strncmp(*text, units[i].name, n) == 0) {
			*text += n;
			*ret_ms = units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_duration_ms(const char *text, uint64_t *ret)
{
	uint64_t total = 0, value, unit;
	unsigned digits;

	if (!*text)
		return -EINVAL;
	for (bool first = true; *text; first = false) {
		if (read_digits(&text, &value, &digits) < 0 || digits == 0)
			return -EINVAL;
		if (first && !*text)
			unit = 1000;
		else if (duration_unit(&text, &unit) < 0)
			return -EINVAL;
		if (__builtin_mul_overflow(value, unit, &value) ||
			__builtin_add_overflow(total, value, &total) || total > INT64_MAX / 1000000)
			return -ERANGE;
	}
	*ret = total;
	return 0;
}

int parse_ipv4(const char *text, uint32_t *ret)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return -EINVAL;
	*ret = ntohl(in.s_addr);
	return 0;
}

int parse_cidr4(const char *text, uint32_t *ret_address, unsigned *ret_prefix)
{
	char address[FORMAT_IPV4_MAX];
	const char *slash = strchr(text, '/');
	uint64_t prefix;
	uint32_t value;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (parse_ipv4(address, &value) < 0 || parse_u64(slash + 1, 32, &prefix) < 0)
		return -EINVAL;
	*ret_address = value;
	*ret_prefix = (unsigned)prefix;
	return 0;
}

int parse_mac(const char *text, uint8_t ret[static 6])
{
	uint8_t mac[6];

	if (strlen(text) != FORMAT_MAC_MAX - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		const char *p = text + i * 3;
		unsigned byte;

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			p[2] != (i < 5 ? ':' : '\0') || sscanf(p, "%2x", &byte) != 1)
			return -EINVAL;
		mac[i] = (uint8_t)byte;
	}
	memcpy(ret, mac, 6);
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -EINVAL;
}

int parse_base64(const char *text, size_t length, uint8_t *ret, size_t *ret_size)
{
	size_t padding = 0, used = 0;

	if (length == 0 || length % 4 != 0)
		return -EINVAL;
	while (padding < 2 && text[length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < length; i += 4) {
		size_t digits = i + 4 == length ? 4 - padding : 4;
		uint32_t group = 0;

		for (size_t k = 0; k < 4; k++) {
			int digit = k < digits ? base64_digit(text[i + k]) : 0;

			if (digit < 0)
				return -EINVAL;
			group = group << 6 | (uint32_t)digit;
		}
		/* Bits that belong to no byte are zero, so that equal bytes have one text. */
		if (group & ((1U << 8 * (4 - digits)) - 1))
			return -EINVAL;
		for (size_t k = 0; k + 1 < digits; k++)
			ret[used++] = (uint8_t)(group >> (16 - 8 * k));
	}
	*ret_size = used;
	return 0;
}

const char *format_size(char buf[static FORMAT_SIZE_MAX], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || value >= 100)
		snprintf(buf, FORMAT_SIZE_MAX, "%.0f %s", value, units[unit]);
	else
		snprintf(buf, FORMAT_SIZE_MAX, "%.3g %s", value, units[unit]);
	return buf;
}

const char *format_ipv4(char buf[static FORMAT_IPV4_MAX], uint32_t address)
{
	snprintf(buf, FORMAT_IPV4_MAX, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
		address >> 8 & 255, address & 255);
	return buf;
}

const char *format_mac(char buf[static FORMAT_MAC_MAX], const uint8_t mac[static 6])
{
	snprintf(buf, FORMAT_MAC_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	return buf;
}

const char *format_time(char buf[static FORMAT_TIME_MAX], int64_t realtime_ms)
{
	time_t seconds = realtime_ms / 1000;
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(buf, FORMAT_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, FORMAT_TIME_MAX - n, ".%03dZ", (int)(realtime_ms % 1000));
	return buf;
}
