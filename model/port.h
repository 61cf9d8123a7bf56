/* A published port: a port of the node whose traffic goes to a port of a guest. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "model/name.h"

struct err;

enum port_proto { PORT_TCP, PORT_UDP };

struct port {
	enum port_proto proto;
	uint16_t host;	/* on the node; 0: not chosen yet */
	uint16_t guest; /* inside the guest */
	char purpose[PURPOSE_MAX + 1];
};

const char *port_proto_to_string(enum port_proto value);	    /* "tcp", "udp" */
int port_proto_from_string(const char *text, enum port_proto *ret); /* -EINVAL */

/* Ports of the node that are never given out: 22, 25, 53, 80, 443. */
int port_check_host(uint16_t host, const char *field, struct err *err);

/* {proto, host, guest, purpose}; `field` is the path of the object in the request ("ports[2]"). */
int port_from_json(const json_t *json, const char *field, struct port *ret, struct err *err);
json_t *port_to_json(const struct port *port);
