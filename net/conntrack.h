/* Connections that the kernel tracks, by ctnetlink: cutting those that lead through a published
 * port or belong to a guest. The kernel has no index by port or address other than the whole
 * tuple, so it walks its table once for each call, but hands out only what matches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/port.h"
#include "net/nfnetlink.h"

struct err;

/* Cuts the flows to that port of the node which were led to an address of the network. With
 * `strays` also those that were not led anywhere, though they come from outside: to a UDP port
 * that was not published yet, and would never notice that it now is. */
int conntrack_cut_port(struct nfnl *nfnl, enum port_proto proto, uint16_t host, uint32_t network,
	unsigned prefix, bool strays, struct err *err);

/* Cuts all flows from and to a guest. */
int conntrack_cut_guest(struct nfnl *nfnl, uint32_t address, struct err *err);
