/* Addresses, host ports and MACs that are taken. Addresses and ports are bitmaps with a mark below
 * which all is taken, so the first free one is found without a search; MACs, of which there are
 * few in a large space, are a sorted array. */
#include "net/ipam.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/random.h"

#define WORD_BITS  64
#define PORTS	   65536
#define MAC_TRIES  64
#define FIRST_HOST 2 /* .1 is the gateway's by custom, even where it is not the gateway */

struct bitmap {
	uint64_t *words;
	size_t bits;
	size_t low; /* no word below this one has a free bit in the range that is given out */
};

struct ipam {
	struct ipam_config config;
	uint32_t network;
	struct bitmap addresses;
	struct bitmap ports[2]; /* by enum port_proto */
	uint64_t *macs;		/* sorted */
	size_t macs_count, macs_room;
};

static int bitmap_init(struct bitmap *map, size_t bits)
{
	map->words = calloc((bits + WORD_BITS - 1) / WORD_BITS, sizeof(uint64_t));
	map->bits = bits;
	return map->words ? 0 : -ENOMEM;
}

static bool bitmap_has(const struct bitmap *map, size_t bit)
{
	return map->words[bit / WORD_BITS] >> (bit % WORD_BITS) & 1;
}

static void bitmap_set(struct bitmap *map, size_t bit)
{
	map->words[bit / WORD_BITS] |= UINT64_C(1) << (bit % WORD_BITS);
}

static void bitmap_clear(struct bitmap *map, size_t bit)
{
	map->words[bit / WORD_BITS] &= ~(UINT64_C(1) << (bit % WORD_BITS));
	if (bit / WORD_BITS < map->low)
		map->low = bit / WORD_BITS;
}

/* First clear bit of [first, last], or -1. Words that are full move the low mark. */
static long bitmap_first_free(struct bitmap *map, size_t first, size_t last)
{
	size_t word = first / WORD_BITS;

	if (map->low > word)
		word = map->low;
	for (; word * WORD_BITS <= last; word++) {
		uint64_t free_bits = ~map->words[word];

		if (word == first / WORD_BITS)
			free_bits &= ~UINT64_C(0) << (first % WORD_BITS);
		if (free_bits) {
			size_t bit = word * WORD_BITS + (size_t)__builtin_ctzll(free_bits);

			map->low = word;
			return bit <= last ? (long)bit : -1;
		}
	}
	map->low = last / WORD_BITS;
	return -1;
}

/* Neither a guest's nor claimable: the network's own addresses, the gateway, and those whose last
 * octet some software takes for a network or a broadcast. */
static bool address_reserved(const struct ipam *ipam, uint32_t address)
{
	uint32_t offset = address - ipam->network;
	uint8_t octet = (uint8_t)address;

	return offset == 0 || offset == ipam->addresses.bits - 1 || octet == 0 || octet == 255 ||
	       address == ipam->config.gateway;
}

static void reserve_addresses(struct ipam *ipam)
{
	uint32_t last = (uint32_t)ipam->addresses.bits - 1;

	for (uint32_t offset = 0; offset <= last; offset++)
		if (address_reserved(ipam, ipam->network + offset))
			bitmap_set(&ipam->addresses, offset);
}

int ipam_create(const struct ipam_config *config, struct ipam **ret, struct err *err)
{
	struct ipam *ipam = NULL;

	if (config->prefix < 8 || config->prefix > 30)
		return err_set(err, ERR_INVALID, "net.prefix",
			"a prefix of 8 to 30 is needed, not %u", config->prefix);
	if (config->port_first == 0 || config->port_first > config->port_last)
		return err_set(err, ERR_INVALID, "net.port_first",
			"the range of host ports %u-%u is empty", config->port_first,
			config->port_last);
	ipam = calloc(1, sizeof(*ipam));
	if (!ipam)
		return err_errno(err, ENOMEM, "cannot keep the addresses");
	ipam->config = *config;
	ipam->network = config->gateway & ~UINT32_C(0) << (32 - config->prefix);
	if (bitmap_init(&ipam->addresses, (size_t)1 << (32 - config->prefix)) < 0 ||
		bitmap_init(&ipam->ports[PORT_TCP], PORTS) < 0 ||
		bitmap_init(&ipam->ports[PORT_UDP], PORTS) < 0) {
		ipam_destroy(ipam);
		return err_errno(err, ENOMEM, "cannot keep the addresses");
	}
	reserve_addresses(ipam);
	*ret = ipam;
	return 0;
}

struct ipam *ipam_destroy(struct ipam *ipam)
{
	if (!ipam)
		return NULL;
	free(ipam->addresses.words);
	free(ipam->ports[PORT_TCP].words);
	free(ipam->ports[PORT_UDP].words);
	free(ipam->macs);
	free(ipam);
	return NULL;
}

int ipam_take_address(struct ipam *ipam, uint32_t *ret, struct err *err)
{
	long bit = bitmap_first_free(&ipam->addresses, FIRST_HOST, ipam->addresses.bits - 1);

	if (bit < 0)
		return err_set(err, ERR_NO_ROOM, NULL, "no address is left in %s/%u",
			FMT_IPV4(ipam->network), ipam->config.prefix);
	bitmap_set(&ipam->addresses, (size_t)bit);
	*ret = ipam->network + (uint32_t)bit;
	return 0;
}

int ipam_claim_address(struct ipam *ipam, uint32_t address, struct err *err)
{
	static const char field[] = "network.address";
	uint32_t offset = address - ipam->network;

	if (offset >= ipam->addresses.bits)
		return err_set(err, ERR_INVALID, field, "%s is not in the network %s/%u",
			FMT_IPV4(address), FMT_IPV4(ipam->network), ipam->config.prefix);
	if (address_reserved(ipam, address))
		return err_set(err, ERR_INVALID, field,
			"%s is reserved: the gateway, or an address that ends in 0 or 255 or "
			"bounds "
			"the network",
			FMT_IPV4(address));
	if (bitmap_has(&ipam->addresses, offset))
		return err_set(err, ERR_CONFLICT, field, "%s is taken by another guest",
			FMT_IPV4(address));
	bitmap_set(&ipam->addresses, offset);
	return 0;
}

void ipam_release_address(struct ipam *ipam, uint32_t address)
{
	uint32_t offset = address - ipam->network;

	if (offset < ipam->addresses.bits && !address_reserved(ipam, address))
		bitmap_clear(&ipam->addresses, offset);
}

int ipam_take_port(struct ipam *ipam, enum port_proto proto, uint16_t *ret, struct err *err)
{
	const struct ipam_config *c = &ipam->config;
	long bit = bitmap_first_free(&ipam->ports[proto], c->port_first, c->port_last);

	if (bit < 0)
		return err_set(err, ERR_NO_ROOM, NULL, "no %s port is left in %u-%u",
			port_proto_to_string(proto), c->port_first, c->port_last);
	bitmap_set(&ipam->ports[proto], (size_t)bit);
	*ret = (uint16_t)bit;
	return 0;
}

int ipam_claim_port(
	struct ipam *ipam, enum port_proto proto, uint16_t host, const char *field, struct err *err)
{
	if (bitmap_has(&ipam->ports[proto], host))
		return err_set(err, ERR_CONFLICT, field, "port %u/%s of the node is taken", host,
			port_proto_to_string(proto));
	bitmap_set(&ipam->ports[proto], host);
	return 0;
}

void ipam_release_port(struct ipam *ipam, enum port_proto proto, uint16_t host)
{
	bitmap_clear(&ipam->ports[proto], host);
}

static uint64_t mac_number(const uint8_t mac[static 6])
{
	uint64_t number = 0;

	for (int i = 0; i < 6; i++)
		number = number << 8 | mac[i];
	return number;
}

/* Index of the first MAC that is not below `number`. */
static size_t mac_index(const struct ipam *ipam, uint64_t number)
{
	size_t low = 0, high = ipam->macs_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ipam->macs[mid] < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool mac_taken(const struct ipam *ipam, uint64_t number)
{
	size_t i = mac_index(ipam, number);

	return i < ipam->macs_count && ipam->macs[i] == number;
}

static int mac_insert(struct ipam *ipam, uint64_t number, struct err *err)
{
	size_t i = mac_index(ipam, number);

	if (ipam->macs_count == ipam->macs_room) {
		size_t room = ipam->macs_room ? ipam->macs_room * 2 : 16;
		uint64_t *macs = realloc(ipam->macs, room * sizeof(*macs));

		if (!macs)
			return err_errno(err, ENOMEM, "cannot keep the MAC");
		ipam->macs = macs;
		ipam->macs_room = room;
	}
	memmove(&ipam->macs[i + 1], &ipam->macs[i], (ipam->macs_count - i) * sizeof(*ipam->macs));
	ipam->macs[i] = number;
	ipam->macs_count++;
	return 0;
}

int ipam_take_mac(struct ipam *ipam, uint8_t ret[static 6], struct err *err)
{
	for (int i = 0; i < MAC_TRIES; i++) {
		uint8_t mac[6] = {0x00, 0x16, 0x3e};
		int r;

		random_bytes(mac + 3, 3);
		mac[3] &= 0x7f;
		if (mac_taken(ipam, mac_number(mac)))
			continue;
		r = mac_insert(ipam, mac_number(mac), err);
		if (r == 0)
			memcpy(ret, mac, sizeof(mac));
		return r;
	}
	return err_set(err, ERR_NO_ROOM, NULL, "no free MAC was found in %d tries", MAC_TRIES);
}

int ipam_claim_mac(struct ipam *ipam, const uint8_t mac[static 6], struct err *err)
{
	static const char field[] = "network.mac";
	uint64_t number = mac_number(mac);

	if (number == 0 || mac[0] & 1)
		return err_set(err, ERR_INVALID, field, "%s is not the MAC of one interface",
			FMT_MAC(mac));
	if (mac_taken(ipam, number))
		return err_set(
			err, ERR_CONFLICT, field, "%s is taken by another guest", FMT_MAC(mac));
	return mac_insert(ipam, number, err);
}

void ipam_release_mac(struct ipam *ipam, const uint8_t mac[static 6])
{
	uint64_t number = mac_number(mac);
	size_t i = mac_index(ipam, number);

	if (i == ipam->macs_count || ipam->macs[i] != number)
		return;
	ipam->macs_count--;
	memmove(&ipam->macs[i], &ipam->macs[i + 1], (ipam->macs_count - i) * sizeof(*ipam->macs));
}
