/* dnsmasq's leases: reading its file, and giving a lease back in a guest's stead. dnsmasq gives no
 * address to a client while another one has a lease on it, and a guest that is destroyed sends no
 * DHCPRELEASE: we send it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lease {
	uint8_t mac[6];
	uint32_t address; /* host byte order */
};

/* Reads the leases from the text of a lease file: lines of expiry, MAC, address, name, client id.
 * Others are skipped. -ENOMEM. The caller frees the list. Pure. */
int lease_parse(const char *text, struct lease **ret, size_t *ret_count);

/* The lease file without the leases that `keep` refuses; NULL when memory ran out. Pure. */
char *lease_filter(
	const char *text, bool (*keep)(void *data, const struct lease *lease), void *data);

/* Sends a DHCPRELEASE to the server at the bridge's address. Negative errno. */
int lease_release(const char *bridge, uint32_t server, const struct lease *lease);

/* The message itself (RFC 2131, 4.4.6). Returns its size. Pure. */
#define LEASE_MESSAGE_MAX 300
size_t lease_message(
	uint32_t server, const struct lease *lease, uint8_t ret[static LEASE_MESSAGE_MAX]);
