/* What processes of the node listen on, by sock_diag. */
#pragma once

#include <stdint.h>

#include "model/port.h"

struct err;

/* ERR_CONFLICT naming the field when an IPv4 socket of the calling thread's network namespace,
 * whatever its address, listens on that TCP port or is bound to that UDP port: DNAT would take its
 * traffic. IPv6 sockets that take IPv4 as well count, others do not. */
int listeners_check(enum port_proto proto, uint16_t port, const char *field, struct err *err);
