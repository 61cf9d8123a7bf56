/* Handlers of published ports. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/port.h"
#include "model/reader.h"

json_t *published_port_to_json(const struct guest *guest, const struct port *port)
{
	json_t *json = port_to_json(port);

	json_object_set_new(json, "name", json_string(guest->name));
	json_object_set_new(json, "address",
		guest->address ? json_string(FMT_IPV4(guest->address)) : json_null());
	return json;
}

int requested_port(const struct http_request *request, unsigned i, enum port_proto *ret_proto,
	uint16_t *ret_host, struct err *err)
{
	uint64_t number;

	if (port_proto_from_string(http_param(request, i), ret_proto) < 0)
		return err_set(err, ERR_INVALID, "proto", "the protocol must be tcp or udp");
	if (parse_u64(http_param(request, i + 1), 65535, &number) < 0 || number == 0)
		return err_set(
			err, ERR_INVALID, "port", "the port must be a number from 1 to 65535");
	*ret_host = (uint16_t)number;
	return 0;
}

/* --- Reading --------------------------------------------------------------------------------- */

static void add_ports(json_t *list, const struct guest *guest)
{
	for (size_t i = 0; i < guest->ports_count; i++)
		if (guest->ports[i].host)
			json_array_append_new(
				list, published_port_to_json(guest, &guest->ports[i]));
}

void api_guest_port_list(struct http_request *request, void *data)
{
	struct guest_entry *entry = requested_guest(request, data);
	json_t *list;

	if (!entry)
		return;
	list = json_array();
	add_ports(list, entry->guest);
	http_respond_json(request, 200, json_pack("{s:o}", "ports", list));
}

void api_guest_port_get(struct http_request *request, void *data)
{
	struct guest_entry *entry = requested_guest(request, data);
	const struct port *port = NULL;
	enum port_proto proto;
	uint16_t host;
	struct err err;

	if (!entry)
		return;
	if (requested_port(request, 1, &proto, &host, &err) == 0) {
		port = guest_find_port(entry->guest, proto, host);
		if (!port)
			err_set(&err, ERR_NOT_FOUND, NULL, "guest %s has no published port %s %u",
				entry->guest->name, port_proto_to_string(proto), host);
	}
	if (port)
		http_respond_json(request, 200, published_port_to_json(entry->guest, port));
	else
		http_respond_error(request, &err, NULL);
}

struct place {
	const struct guest *guest;
	const struct port *port;
};

static int compare_places(const void *a, const void *b)
{
	const struct port *x = ((const struct place *)a)->port,
			  *y = ((const struct place *)b)->port;

	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return x->host < y->host ? -1 : x->host > y->host;
}

/* All published ports of the node, or of one guest, sorted; the caller frees the array. */
static struct place *collect(struct agent *agent, const char *guest, size_t *ret_count)
{
	size_t guests, count = 0;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &guests);
	struct place *places = calloc(guests * GUEST_PORTS_MAX + 1, sizeof(*places));

	for (size_t i = 0; places && i < guests; i++) {
		const struct guest *g = sorted[i]->guest;

		if (guest && strcmp(guest, g->name) != 0)
			continue;
		for (size_t j = 0; j < g->ports_count; j++)
			if (g->ports[j].host)
				places[count++] = (struct place){.guest = g, .port = &g->ports[j]};
	}
	if (places)
		qsort(places, count, sizeof(*places), compare_places);
	*ret_count = count;
	return places;
}

void api_port_list(struct http_request *request, void *data)
{
	size_t count;
	AUTOFREE struct place *places = collect(data, http_query(request, "guest"), &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, published_port_to_json(places[i].guest, places[i].port));
	http_respond_json(request, 200, json_pack("{s:o}", "ports", list));
}

static struct guest_entry *owner(
	struct agent *agent, enum port_proto proto, uint16_t host, struct err *err)
{
	struct guest_entry *entry = guest_with_port(agent, proto, host);

	if (!entry)
		err_set(err, ERR_NOT_FOUND, NULL, "port %s %u of the node is not published",
			port_proto_to_string(proto), host);
	return entry;
}

void api_port_get(struct http_request *request, void *data)
{
	struct guest_entry *entry = NULL;
	enum port_proto proto;
	uint16_t host;
	struct err err;

	if (requested_port(request, 0, &proto, &host, &err) == 0)
		entry = owner(data, proto, host, &err);
	if (entry)
		http_respond_json(request, 200,
			published_port_to_json(
				entry->guest, guest_find_port(entry->guest, proto, host)));
	else
		http_respond_error(request, &err, NULL);
}

/* --- Changes --------------------------------------------------------------------------------- */

static bool same_port(const struct guest *guest, const struct port *port)
{
	const struct port *before = guest_find_port(guest, port->proto, port->host);

	return before && before->guest == port->guest &&
	       strcmp(before->purpose, port->purpose) == 0;
}

static int publish(const struct change *change, struct guest_entry *entry, struct port *port,
	struct op_plan *ret, struct err *err)
{
	if (port->host && entry->pending == 0 && same_port(entry->guest, port)) {
		change_nothing(change, "guest.publish", entry->guest->name,
			published_port_to_json(entry->guest, port));
		return CHANGE_ANSWERED;
	}
	return plan_port_publish(change->agent, ret, entry, port, err);
}

static int plan_publish_any(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	struct port port;
	int r = port_from_json(http_body(change->request), "", &port, err);

	return r < 0 ? r : publish(change, entry, &port, ret, err);
}

void api_port_publish_any(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_publish_any);
}

/* The body of PUT names neither protocol nor host port: they are in the path. */
static int read_put(const struct http_request *request, struct port *ret, struct err *err)
{
	json_auto_t *body = json_copy((json_t *)http_body(request));
	enum port_proto proto;
	uint16_t host;
	int r = requested_port(request, 1, &proto, &host, err);

	if (r == 0 && json_object_get(body, "proto"))
		r = err_set(err, ERR_INVALID, "proto", "the protocol is said in the path only");
	if (r == 0 && json_object_get(body, "host"))
		r = err_set(err, ERR_INVALID, "host", "the host port is said in the path only");
	if (r == 0) {
		json_object_set_new(body, "proto", json_string(port_proto_to_string(proto)));
		json_object_set_new(body, "host", json_integer(host));
		r = port_from_json(body, "", ret, err);
	}
	return r;
}

static int plan_publish(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	struct port port;
	int r = read_put(change->request, &port, err);

	return r < 0 ? r : publish(change, entry, &port, ret, err);
}

void api_port_publish(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_publish);
}

static int plan_unpublish(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	enum port_proto proto;
	uint16_t host;
	int r = requested_port(change->request, 1, &proto, &host, err);

	return r < 0 ? r : plan_port_unpublish(change->agent, ret, entry, proto, host, err);
}

void api_port_unpublish(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_unpublish);
}

/* --- From guest to guest --------------------------------------------------------------------- */

struct switch_request {
	char *to; /* owned */
	uint16_t guest;
	bool flush;
};

static void switch_request_finish(struct switch_request *request)
{
	free(request->to);
}

static const struct reader_field SWITCH[] = {
	{.name = "to",
		.read = reader_text,
		.offset = offsetof(struct switch_request, to),
		.required = true},
	{.name = "guest",
		.read = reader_u16,
		.offset = offsetof(struct switch_request, guest),
		.min = 1,
		.max = UINT16_MAX},
	{.name = "flush", .read = reader_bool, .offset = offsetof(struct switch_request, flush)},
};

/* Which port it is, whose, and whose it shall be. */
static int read_switch(const struct change *change, struct port_switch *ret, struct err *err)
{
	CLEANUP(switch_request_finish) struct switch_request wanted = {0};
	int r = requested_port(change->request, 0, &ret->proto, &ret->host, err);

	if (r == 0)
		r = reader_object(
			http_body(change->request), "", SWITCH, ARRAY_SIZE(SWITCH), &wanted, err);
	if (r < 0)
		return r;
	ret->guest = wanted.guest;
	ret->flush = wanted.flush;
	ret->from = owner(change->agent, ret->proto, ret->host, err);
	if (!ret->from)
		return -ENOENT;
	ret->to = registry_by_name(change->agent->registry, wanted.to, err);
	return ret->to ? 0
		       : err_set(err, ERR_NOT_FOUND, "to", "there is no guest named %.100s",
				 wanted.to);
}

static int plan_switch(
	struct change *change, struct guest_entry *none, struct op_plan *ret, struct err *err)
{
	struct port_switch wanted = {0};
	const struct port *port;
	int r = read_switch(change, &wanted, err);

	(void)none;
	if (r < 0)
		return r;
	if (wanted.from != wanted.to)
		return plan_port_switch(change->agent, ret, &wanted, err);
	port = guest_find_port(wanted.to->guest, wanted.proto, wanted.host);
	if (wanted.guest && wanted.guest != port->guest)
		return err_set(err, ERR_CONFLICT, "to",
			"port %s %u leads to that guest already: publish it again to change its "
			"guest port",
			port_proto_to_string(wanted.proto), wanted.host);
	change_nothing(change, "guest.switch", wanted.to->guest->name,
		published_port_to_json(wanted.to->guest, port));
	return CHANGE_ANSWERED;
}

void api_port_switch(struct http_request *request, void *data)
{
	change_handle(request, data, plan_switch);
}
