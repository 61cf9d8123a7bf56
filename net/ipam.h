/* Which addresses, MACs and host ports are taken. Pure: a set in memory that the agent owns, filled
 * from its guests at start; nothing here talks to the kernel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/port.h"

struct err;
struct ipam;

struct ipam_config {
	uint32_t gateway;		/* host byte order; never given out */
	unsigned prefix;		/* 8-30 */
	uint16_t port_first, port_last; /* host ports that may be chosen: 40000-60000 */
};

int ipam_create(const struct ipam_config *config, struct ipam **ret, struct err *err);
struct ipam *ipam_destroy(struct ipam *ipam);

/* The first free address from .2 on whose last octet is neither 0 nor 255; ERR_NO_ROOM. */
int ipam_take_address(struct ipam *ipam, uint32_t *ret, struct err *err);

/* That very address: ERR_CONFLICT when it is taken, ERR_INVALID when it is outside the network, its
 * first or last address, the gateway, or ends in 0 or 255 (field network.address). */
int ipam_claim_address(struct ipam *ipam, uint32_t address, struct err *err);
void ipam_release_address(struct ipam *ipam, uint32_t address);

/* The first free host port of that protocol; ERR_NO_ROOM. */
int ipam_take_port(struct ipam *ipam, enum port_proto proto, uint16_t *ret, struct err *err);

/* That very host port, in or out of the range of those chosen: ERR_CONFLICT when it is taken. */
int ipam_claim_port(struct ipam *ipam, enum port_proto proto, uint16_t host, const char *field,
	struct err *err);
void ipam_release_port(struct ipam *ipam, enum port_proto proto, uint16_t host);

/* A MAC that is free: 00:16:3e, then 00-7f, then two random bytes (Xen's prefix, which the
 * platform's users know). */
int ipam_take_mac(struct ipam *ipam, uint8_t ret[static 6], struct err *err);

/* That very MAC: ERR_CONFLICT when it is taken, ERR_INVALID when it is zero or a group address
 * (field network.mac). */
int ipam_claim_mac(struct ipam *ipam, const uint8_t mac[static 6], struct err *err);
void ipam_release_mac(struct ipam *ipam, const uint8_t mac[static 6]);
