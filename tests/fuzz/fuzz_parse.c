/* Any text for the parsers of base/: numbers, sizes, durations, addresses; and the scrubbing of
 * text, after which everything is valid UTF-8 on one line. */
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_scrubbed(const char *text)
{
	while (*text) {
		size_t n = utf8_length(text);

		REQUIRE(n > 0 && (n > 1 || (unsigned char)*text >= 0x20));
		text += n;
	}
}

static void parse_all(const char *text)
{
	uint64_t value;
	uint32_t address;
	uint8_t mac[6];
	unsigned prefix;

	if (parse_u64(text, 1000, &value) == 0)
		REQUIRE(value <= 1000);
	if (parse_size(text, &value) == 0)
		REQUIRE(value <= INT64_MAX);
	if (parse_duration_ms(text, &value) == 0)
		REQUIRE(value <= INT64_MAX / 1000000);
	if (parse_cidr4(text, &address, &prefix) == 0)
		REQUIRE(prefix <= 32);
	if (parse_ipv4(text, &address) == 0)
		REQUIRE(strcmp(FMT_IPV4(address), text) == 0);
	if (parse_mac(text, mac) == 0)
		REQUIRE(strcasecmp(FMT_MAC(mac), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = malloc(size + 1);
	char quoted[LOG_QUOTE_MAX];

	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = '\0';
	parse_all(text);
	REQUIRE(!strchr(log_quote(quoted, text), '\n'));
	utf8_scrub(text);
	check_scrubbed(text);
	return 0;
}
