/* Guests as requests bring them and as the API shows them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "model/guest_fields.h"

#define SSH	 "ssh"
#define SSH_USER "root"

static const struct reader_field STORAGE[] = {
	{.name = "size",
		.read = reader_size,
		.offset = offsetof(struct guest, storage_size),
		.min = GUEST_STORAGE_MIN,
		.max = GUEST_SIZE_MAX},
};

static int read_mac(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	static const uint8_t zero[6];
	uint8_t mac[6];
	int r = reader_mac(field, value, path, mac, err);

	if (r < 0)
		return r;
	/* The lowest bit of the first byte marks a group (IEEE 802, 8.2). */
	if (mac[0] & 1 || memcmp(mac, zero, sizeof(mac)) == 0)
		return reader_expected(path, "the MAC address of one station", err);
	memcpy(member, mac, sizeof(mac));
	return 0;
}

static const struct reader_field NETWORK[] = {
	{.name = "address", .read = reader_ipv4, .offset = offsetof(struct guest, address)},
	{.name = "mac", .read = read_mac, .offset = offsetof(struct guest, mac)},
};

static const struct reader_field REQUEST[] = {
	{.name = "name",
		.read = reader_text,
		.offset = offsetof(struct guest, name),
		.required = true,
		.check = name_check_guest},
	{.name = "image",
		.read = reader_text,
		.offset = offsetof(struct guest, image),
		.required = true,
		.check = name_check_any_image},
	{.name = "driver",
		.read = reader_chars,
		.offset = offsetof(struct guest, driver),
		.size = DRIVER_NAME_MAX + 1,
		.check = name_check_word},
	{.name = "storage",
		.read = reader_nested,
		.fields = STORAGE,
		.fields_count = ARRAY_SIZE(STORAGE)},
	{.name = "network",
		.read = reader_nested,
		.fields = NETWORK,
		.fields_count = ARRAY_SIZE(NETWORK)},
	{.name = "ports", .read = guest_read_ports},
	{.name = "privileged", .read = reader_bool, .offset = offsetof(struct guest, privileged)},
	{.name = "start", .read = reader_bool, .offset = offsetof(struct guest, want_running)},
	READER_ROWS(GUEST_CHANGEABLE, GUEST_CHANGEABLE_FIELDS),
	READER_ROWS(GUEST_SHOWN, GUEST_SHOWN_FIELDS),
};

/* Whether one of the ports before it has its host port or its purpose. */
static int check_port(const struct port *ports, size_t index, const char *path, struct err *err)
{
	const struct port *port = &ports[index];
	char full[ERR_FIELD_MAX];

	for (size_t i = 0; i < index; i++) {
		if (port->host && ports[i].host == port->host && ports[i].proto == port->proto) {
			reader_path(full, path, "host");
			return err_set(err, ERR_INVALID, full, "%s: %s port %u is given twice",
				full, port_proto_to_string(port->proto), port->host);
		}
		if (*port->purpose && strcmp(ports[i].purpose, port->purpose) == 0) {
			reader_path(full, path, "purpose");
			return err_set(err, ERR_INVALID, full, "%s: \"%s\" is given twice", full,
				port->purpose);
		}
	}
	return 0;
}

int guest_read_ports(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	struct guest *guest = member;
	size_t count = json_array_size(value);
	AUTOFREE struct port *ports = calloc(count + 1, sizeof(*ports));

	(void)field;
	if (!json_is_array(value))
		return reader_expected(path, "an array of ports", err);
	if (count > GUEST_PORTS_MAX)
		return err_set(
			err, ERR_INVALID, path, "%s must be at most %d", path, GUEST_PORTS_MAX);
	if (!ports)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	for (size_t i = 0; i < count; i++) {
		char full[ERR_FIELD_MAX];
		int r;

		reader_path_index(full, path, i);
		r = port_from_json(json_array_get(value, i), full, &ports[i], err);
		if (r == 0)
			r = check_port(ports, i, full, err);
		if (r < 0)
			return r;
	}
	free(guest->ports);
	guest->ports = TAKE_PTR(ports);
	guest->ports_count = count;
	return 0;
}

static int add_ssh_port(struct guest *guest, struct err *err)
{
	const struct port *ssh = guest_port_by_purpose(guest, SSH);
	struct port *grown;

	if (ssh && ssh->proto != PORT_TCP)
		return err_set(err, ERR_INVALID, "ports", "ports: the one for ssh must be tcp");
	if (ssh)
		return 0;
	if (guest->ports_count == GUEST_PORTS_MAX)
		return err_set(err, ERR_INVALID, "ports", "ports must be at most %d beside ssh",
			GUEST_PORTS_MAX - 1);
	grown = realloc(guest->ports, (guest->ports_count + 1) * sizeof(*grown));
	if (!grown)
		return err_errno(err, ENOMEM, "cannot read ports");
	grown[guest->ports_count] =
		(struct port){.proto = PORT_TCP, .guest = GUEST_SSH_PORT, .purpose = SSH};
	guest->ports = grown;
	guest->ports_count++;
	return 0;
}

int guest_from_request(const json_t *json, struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *guest = guest_create();
	int r;

	if (!guest)
		return err_errno(err, ENOMEM, "cannot read the request");
	r = reader_object(json, "", REQUEST, ARRAY_SIZE(REQUEST), guest, err);
	if (r == 0)
		r = guest_check_health(json, guest, err);
	if (r == 0)
		r = add_ssh_port(guest, err);
	if (r == 0)
		*ret = TAKE_PTR(guest);
	return r;
}

/* --- Showing ---------------------------------------------------------------------------------- */

static json_t *number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t ms)
{
	return ms ? json_string(FMT_TIME(ms)) : json_null();
}

static json_t *address_or_null(uint32_t address)
{
	return address ? json_string(FMT_IPV4(address)) : json_null();
}

static json_t *mac_or_null(const uint8_t mac[static 6])
{
	static const uint8_t zero[6];

	return memcmp(mac, zero, 6) ? json_string(FMT_MAC(mac)) : json_null();
}

static json_t *cpus_or_null(uint32_t milli)
{
	if (milli % 1000 == 0)
		return number_or_null(milli / 1000);
	return json_real(milli / 1000.0);
}

json_t *guest_limits_to_json(const struct guest_limits *limits)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cpus",
		cpus_or_null(limits->cpu_milli), "memory", number_or_null(limits->memory), "swap",
		number_or_null(limits->swap), "pids", number_or_null(limits->pids), "io_weight",
		number_or_null(limits->io_weight), "io_read", number_or_null(limits->io_read),
		"io_write", number_or_null(limits->io_write), "net_ingress",
		number_or_null(limits->net_ingress), "net_egress",
		number_or_null(limits->net_egress));
}

json_t *guest_ports_to_json(const struct guest *guest)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < guest->ports_count; i++)
		json_array_append_new(ports, port_to_json(&guest->ports[i]));
	return ports;
}

json_t *guest_changeable_to_json(const struct guest *guest)
{
	return json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "slots",
		(json_int_t)guest->slots, "limits", guest_limits_to_json(&guest->limits),
		"environment", guest->environment, "autostart", guest_autostart_to_json(guest),
		"restart", guest_restart_to_json(guest), "health", guest_health_to_json(guest),
		"labels", guest_labels_to_json(guest), "ssh_keys",
		guest_texts_to_json(guest->ssh_keys), "raw", guest_texts_to_json(guest->raw),
		"user_data", text_or_null(guest->user_data), "container",
		guest_container_to_json(guest->container));
}

static json_t *ssh_to_json(const struct guest *guest, const char *node_address)
{
	const struct port *ssh = guest_port_by_purpose(guest, SSH);

	if (!ssh)
		return json_null();
	return json_pack("{s:o, s:o, s:s}", "host", text_or_null(node_address), "port",
		number_or_null(ssh->host), "user", SSH_USER);
}

static json_t *addresses_to_json(const struct guest *guest)
{
	json_t *addresses = json_array();

	if (guest->address)
		json_array_append_new(addresses, json_string(FMT_IPV4(guest->address)));
	return addresses;
}

/* A guest whose root is a disk. */
static json_t *disk_or_null(const struct image_disk *disk)
{
	if (!disk)
		return json_null();
	return json_pack("{s:s, s:s}", "format", disk_format_to_string(disk->format), "boot",
		disk_boot_to_string(disk->boot));
}

json_t *guest_seeds_to_json(uint32_t parts)
{
	json_t *list = json_array();

	for (uint32_t part = 1; part <= GUEST_SEED_USER_DATA; part <<= 1)
		if (parts & part)
			json_array_append_new(list, json_string(guest_seed_to_string(part)));
	return list;
}

/* The fields that a request may not set. */
static json_t *observed_to_json(const struct guest *guest, const char *node_address)
{
	char etag[GUEST_ETAG_MAX];

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:I, s:o, s:I, s:o, s:o, "
			 "s:o, s:o, s:s}",
		"id", guest->id, "state", guest_state_to_string(guest->state), "since",
		time_or_null(guest->since_ms), "problem", text_or_null(guest->problem), "pid",
		number_or_null((uint64_t)guest->pid), "addresses", addresses_to_json(guest), "ssh",
		ssh_to_json(guest, node_address), "created", time_or_null(guest->created_ms),
		"health_state", guest_health_to_string(guest->health_state), "restarts",
		(json_int_t)guest->restarts, "snapshots", guest_snapshots_to_json(guest),
		"user_data_size", (json_int_t)(guest->user_data ? strlen(guest->user_data) : 0),
		"seed_pending", guest_seeds_to_json(guest->seed_pending), "restart_needed",
		guest_restart_needed_to_json(guest), "disk", disk_or_null(guest->disk), "image_id",
		text_or_null(guest->container ? guest->container->image_id : NULL), "etag",
		guest_etag(etag, guest));
}

/* The fields that are set once. */
static json_t *fixed_to_json(const struct guest *guest)
{
	return json_pack("{s:s, s:s, s:o, s:b, s:{s:I}, s:{s:o, s:o}, s:o}", "name", guest->name,
		"driver", guest->driver, "image", text_or_null(guest->image), "privileged",
		guest->privileged, "storage", "size", (json_int_t)guest->storage_size, "network",
		"address", address_or_null(guest->address), "mac", mac_or_null(guest->mac), "ports",
		guest_ports_to_json(guest));
}

json_t *guest_to_json(const struct guest *guest, const char *node_address)
{
	json_t *json = fixed_to_json(guest);
	json_auto_t *changeable = guest_changeable_to_json(guest);
	json_auto_t *observed = observed_to_json(guest, node_address);

	json_object_del(changeable, "user_data");
	json_object_update(json, changeable);
	json_object_update(json, observed);
	return json;
}
