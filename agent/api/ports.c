/* Handlers of published ports. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/port.h"

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

static void publish(const struct change *change, struct guest_entry *entry, struct port *port)
{
	struct op_plan plan = {0};
	struct err err;
	int r;

	if (port->host && entry->pending == 0 && same_port(entry->guest, port)) {
		change_nothing(change, "guest.publish", entry->guest->name,
			published_port_to_json(entry->guest, port));
		return;
	}
	r = plan_port_publish(change->agent, &plan, entry, port, &err);
	change_submit(change, r, &err, &plan, NULL);
}

void api_port_publish_any(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct change change;
	struct port port;
	struct err err;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	if (port_from_json(http_body(request), "", &port, &err) < 0)
		http_respond_error(request, &err, NULL);
	else
		publish(&change, entry, &port);
}

/* The body of PUT names neither protocol nor host port: they are in the path. */
static int read_put(const struct http_request *request, struct port *ret, struct err *err)
{
	json_t *body = json_copy((json_t *)http_body(request));
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
	json_decref(body);
	return r;
}

void api_port_publish(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct change change;
	struct port port;
	struct err err;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	if (read_put(request, &port, &err) < 0)
		http_respond_error(request, &err, NULL);
	else
		publish(&change, entry, &port);
}

void api_port_unpublish(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct op_plan plan = {0};
	struct change change;
	enum port_proto proto;
	uint16_t host;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	r = requested_port(request, 1, &proto, &host, &err);
	if (r == 0)
		r = plan_port_unpublish(agent, &plan, entry, proto, host, &err);
	change_submit(&change, r, &err, &plan, NULL);
}

struct switch_request {
	const char *to;
	uint16_t guest;
	bool flush;
};

static int read_switch(const json_t *body, struct switch_request *ret, struct err *err)
{
	const json_t *value;
	const char *key;

	*ret = (struct switch_request){0};
	json_object_foreach ((json_t *)body, key, value) {
		if (strcmp(key, "to") == 0 && json_is_string(value))
			ret->to = json_string_value(value);
		else if (strcmp(key, "flush") == 0 &&
			 (json_is_boolean(value) || json_is_null(value)))
			ret->flush = json_is_true(value);
		else if (strcmp(key, "guest") == 0 && json_is_integer(value) &&
			 json_integer_value(value) > 0 && json_integer_value(value) <= 65535)
			ret->guest = (uint16_t)json_integer_value(value);
		else if (strcmp(key, "guest") == 0 && json_is_null(value))
			ret->guest = 0;
		else if (strcmp(key, "to") == 0)
			return err_set(err, ERR_INVALID, "to", "to must be the name of a guest");
		else if (strcmp(key, "flush") == 0)
			return err_set(err, ERR_INVALID, "flush", "flush must be true or false");
		else if (strcmp(key, "guest") == 0)
			return err_set(err, ERR_INVALID, "guest",
				"guest must be a port number from 1 to 65535");
		else
			return err_set(err, ERR_INVALID, key, "unknown field %.60s", key);
	}
	if (!ret->to)
		return err_set(
			err, ERR_INVALID, "to", "to is missing: the guest that gets the port");
	return 0;
}

void api_port_switch(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *from = NULL, *to;
	struct switch_request wanted;
	struct op_plan plan = {0};
	struct change change;
	enum port_proto proto;
	uint16_t host;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent))
		return;
	r = requested_port(request, 0, &proto, &host, &err);
	if (r == 0)
		r = read_switch(http_body(request), &wanted, &err);
	if (r == 0 && !(from = owner(agent, proto, host, &err)))
		r = -ENOENT;
	if (r == 0 && !(to = registry_by_name(agent->registry, wanted.to, &err)))
		r = err_set(&err, ERR_NOT_FOUND, "to", "there is no guest named %.100s", wanted.to);
	if (r == 0 && from == to &&
		(!wanted.guest ||
			wanted.guest == guest_find_port(from->guest, proto, host)->guest)) {
		change_nothing(&change, "guest.switch", to->guest->name,
			published_port_to_json(to->guest, guest_find_port(to->guest, proto, host)));
		return;
	}
	if (r == 0 && from == to)
		r = err_set(&err, ERR_CONFLICT, "to",
			"port %s %u leads to that guest already: publish it again to change its "
			"guest port",
			port_proto_to_string(proto), host);
	if (r == 0)
		r = plan_port_switch(agent, &plan,
			&(struct port_switch){.from = from,
				.to = to,
				.proto = proto,
				.host = host,
				.guest = wanted.guest,
				.flush = wanted.flush},
			&err);
	change_submit(&change, r, &err, &plan, NULL);
}
