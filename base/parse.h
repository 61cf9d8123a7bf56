/* Text to values and back: numbers, sizes, durations, times, addresses. Parsers take the whole
 * string or nothing, and leave *ret untouched when they fail. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Decimal, without sign or leading blanks; -EINVAL, or -ERANGE above max. */
int parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* Bytes: a number, or a number (a decimal fraction is allowed) with a unit, after a blank or none:
 * B, kB MB GB TB (powers of 1000), KiB MiB GiB TiB or k m g t (powers of 1024). */
int parse_size(const char *text, uint64_t *ret);

/* Milliseconds: "90s", "500ms", "2m", "1h", "1h30m"; a bare number is seconds. */
int parse_duration_ms(const char *text, uint64_t *ret);

/* IPv4 in host byte order. */
int parse_ipv4(const char *text, uint32_t *ret);

/* "10.5.0.1/16": address and prefix length. */
int parse_cidr4(const char *text, uint32_t *ret_address, unsigned *ret_prefix);

/* Six bytes in hexadecimal with colons. */
int parse_mac(const char *text, uint8_t ret[static 6]);

/* Base64 with padding (RFC 4648, 4), the first `length` characters of text. `ret` has room for
 * length / 4 * 3 bytes; -EINVAL for anything else. */
int parse_base64(const char *text, size_t length, uint8_t *ret, size_t *ret_size);

#define FORMAT_SIZE_MAX 32
#define FORMAT_IPV4_MAX 16
#define FORMAT_MAC_MAX	18
#define FORMAT_TIME_MAX 32

/* "5 GiB": three significant digits, for people. */
const char *format_size(char buf[static FORMAT_SIZE_MAX], uint64_t bytes);
const char *format_ipv4(char buf[static FORMAT_IPV4_MAX], uint32_t address);
const char *format_mac(char buf[static FORMAT_MAC_MAX], const uint8_t mac[static 6]);

/* RFC 3339, UTC, milliseconds, from milliseconds since the epoch. */
const char *format_time(char buf[static FORMAT_TIME_MAX], int64_t realtime_ms);

/* Format into a buffer that lives until the end of the enclosing block. */
#define FMT_SIZE(bytes) format_size((char[FORMAT_SIZE_MAX]){0}, bytes)
#define FMT_IPV4(addr)	format_ipv4((char[FORMAT_IPV4_MAX]){0}, addr)
#define FMT_MAC(mac)	format_mac((char[FORMAT_MAC_MAX]){0}, mac)
#define FMT_TIME(ms)	format_time((char[FORMAT_TIME_MAX]){0}, ms)
