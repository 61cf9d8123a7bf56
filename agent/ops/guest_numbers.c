/* What a guest takes of the node for its whole life: an address, a MAC, ports of the node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/verbs.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "net/ipam.h"
#include "net/net.h"

int port_claim(struct agent *agent, const struct port *port, const char *field, struct err *err)
{
	struct guest_entry *owner = guest_with_port(agent, port->proto, port->host);
	int r;

	if (owner)
		return err_set(err, ERR_CONFLICT, field,
			"port %s %u of the node leads to guest %s: switch it, or choose another",
			port_proto_to_string(port->proto), port->host, owner->guest->name);
	r = ipam_claim_port(agent->ipam, port->proto, port->host, field, err);
	if (r < 0 || !agent->net)
		return r;
	r = net_port_available(agent->net, port->proto, port->host, field, err);
	if (r < 0)
		ipam_release_port(agent->ipam, port->proto, port->host);
	return r;
}

int port_choose(struct agent *agent, struct port *port, struct err *err)
{
	uint16_t busy[64], host = 0;
	size_t busy_count = 0;
	int r;

	/* A port that some process of the node listens on is passed over, and given back at the
	 * end. */
	for (;;) {
		r = ipam_take_port(agent->ipam, port->proto, &host, err);
		if (r < 0 || !agent->net)
			break;
		r = net_port_available(agent->net, port->proto, host, "host", err);
		if (r == 0)
			break;
		busy[busy_count++] = host;
		if (busy_count == ARRAY_SIZE(busy))
			break;
	}
	while (busy_count > 0)
		ipam_release_port(agent->ipam, port->proto, busy[--busy_count]);
	if (r == 0)
		port->host = host;
	return r;
}

/* Those asked for by number; what could not be had any more is 0 afterwards. */
static int claim_numbered_ports(struct agent *agent, struct guest *guest, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < guest->ports_count; i++) {
		struct port *port = &guest->ports[i];
		char field[40];

		if (port->host == 0)
			continue;
		snprintf(field, sizeof(field), "ports[%zu].host", i);
		if (r == 0)
			r = port_claim(agent, port, field, err);
		if (r < 0)
			port->host = 0;
	}
	return r;
}

static int choose_other_ports(struct agent *agent, struct guest *guest, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < guest->ports_count && r == 0; i++)
		if (guest->ports[i].host == 0)
			r = port_choose(agent, &guest->ports[i], err);
	return r;
}

/* `wanted` 0: any. */
static int choose_address(
	struct agent *agent, struct guest *guest, uint32_t wanted, struct err *err)
{
	uint32_t address = wanted;
	int r;

	if (wanted != 0)
		r = ipam_claim_address(agent->ipam, address, err);
	else
		r = ipam_take_address(agent->ipam, &address, err);
	if (r == 0)
		guest->address = address;
	return r;
}

/* `wanted` all zero: any. */
static int choose_mac(
	struct agent *agent, struct guest *guest, const uint8_t wanted[static 6], struct err *err)
{
	static const uint8_t none[6];
	uint8_t mac[6];
	int r;

	memcpy(mac, wanted, sizeof(mac));
	if (memcmp(mac, none, sizeof(mac)) != 0)
		r = ipam_claim_mac(agent->ipam, mac, err);
	else
		r = ipam_take_mac(agent->ipam, mac, err);
	if (r == 0)
		memcpy(guest->mac, mac, sizeof(mac));
	return r;
}

/* What was only asked for may be another guest's, and must not be in it after a failure. */
int guest_choose_numbers(struct agent *agent, struct guest *guest, struct err *err)
{
	uint32_t address = guest->address;
	uint8_t mac[6];
	int r;

	memcpy(mac, guest->mac, sizeof(mac));
	guest->address = 0;
	memset(guest->mac, 0, sizeof(guest->mac));
	r = claim_numbered_ports(agent, guest, err);
	if (r == 0)
		r = choose_address(agent, guest, address, err);
	if (r == 0)
		r = choose_mac(agent, guest, mac, err);
	if (r == 0)
		r = choose_other_ports(agent, guest, err);
	return r;
}

/* What can be had, also when something cannot. */
int guest_claim_numbers(struct agent *agent, const struct guest *guest, struct err *err)
{
	int r = ipam_claim_address(agent->ipam, guest->address, err);

	if (ipam_claim_mac(agent->ipam, guest->mac, r < 0 ? NULL : err) < 0 && r == 0)
		r = -EEXIST;
	for (size_t i = 0; i < guest->ports_count; i++)
		if (ipam_claim_port(agent->ipam, guest->ports[i].proto, guest->ports[i].host,
			    "ports", r < 0 ? NULL : err) < 0 &&
			r == 0)
			r = -EEXIST;
	return r;
}

void guest_release_numbers(struct agent *agent, const struct guest *guest)
{
	if (guest->address)
		ipam_release_address(agent->ipam, guest->address);
	ipam_release_mac(agent->ipam, guest->mac);
	for (size_t i = 0; i < guest->ports_count; i++)
		if (guest->ports[i].host)
			ipam_release_port(agent->ipam, guest->ports[i].proto, guest->ports[i].host);
}
