/* Guests as state.db keeps them. Sizes, times and addresses by their plain values, without the
 * bounds that requests have: bounds may change, what is stored has to come back as it was. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "model/guest_fields.h"

static int check_id(const char *id, const char *field, struct err *err)
{
	return name_check_id(id, GUEST_ID_LEN, field, err);
}

static int read_state(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = json_string_value(value);

	(void)field;
	if (!text || guest_state_from_string(text, member) < 0)
		return reader_expected(path, "a guest's state", err);
	return 0;
}

#define MEMBER(key, reader, member)                                                                \
	.name = key, .read = reader, .offset = offsetof(struct guest, member)
#define PLAIN32(key, member)                                                                       \
	{                                                                                          \
		MEMBER(key, reader_u32, member), .max = UINT32_MAX                                 \
	}
#define PLAIN64(key, member)                                                                       \
	{                                                                                          \
		MEMBER(key, reader_u64, member), .max = INT64_MAX                                  \
	}
#define PLAIN_BOOL(key, member)                                                                    \
	{                                                                                          \
		MEMBER(key, reader_bool, member)                                                   \
	}

static const struct reader_field RECORD[] = {
	{MEMBER("id", reader_chars, id), .required = true, .size = GUEST_ID_LEN + 1,
		.check = check_id},
	{MEMBER("name", reader_text, name), .required = true},
	{MEMBER("driver", reader_chars, driver), .required = true, .size = DRIVER_NAME_MAX + 1},
	{MEMBER("image", reader_text, image)},
	{MEMBER("address", reader_ipv4, address)},
	{MEMBER("mac", reader_mac, mac)},
	PLAIN64("created_ms", created_ms),
	PLAIN32("slots", slots),
	PLAIN32("cpu_milli", limits.cpu_milli),
	PLAIN64("memory", limits.memory),
	PLAIN64("swap", limits.swap),
	PLAIN32("pids", limits.pids),
	PLAIN32("io_weight", limits.io_weight),
	PLAIN64("net_ingress", limits.net_ingress),
	PLAIN64("net_egress", limits.net_egress),
	PLAIN64("storage_size", storage_size),
	{MEMBER("environment", reader_chars, environment), .size = 16},
	PLAIN_BOOL("autostart", autostart.on),
	PLAIN_BOOL("privileged", privileged),
	{.name = "ports", .read = guest_read_ports},
	{.name = "labels", .read = guest_read_labels},
	PLAIN_BOOL("want_running", want_running),
	{MEMBER("state", read_state, state), .required = true},
	PLAIN64("since_ms", since_ms),
	{MEMBER("problem", reader_text, problem)},
	PLAIN64("generation", generation),
};

static json_t *limits_to_record(const struct guest_limits *limits)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_milli",
		(json_int_t)limits->cpu_milli, "memory", (json_int_t)limits->memory, "swap",
		(json_int_t)limits->swap, "pids", (json_int_t)limits->pids, "io_weight",
		(json_int_t)limits->io_weight, "net_ingress", (json_int_t)limits->net_ingress,
		"net_egress", (json_int_t)limits->net_egress);
}

json_t *guest_to_record(const struct guest *guest)
{
	json_t *record = json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s, s:I, s:I, s:I, s:s, s:b, s:b, "
				   "s:o, s:o, s:b, s:s, s:I, s:s?, s:I}",
		"id", guest->id, "name", guest->name, "driver", guest->driver, "image",
		guest->image, "address", FMT_IPV4(guest->address), "mac", FMT_MAC(guest->mac),
		"created_ms", (json_int_t)guest->created_ms, "slots", (json_int_t)guest->slots,
		"storage_size", (json_int_t)guest->storage_size, "environment", guest->environment,
		"autostart", guest->autostart.on, "privileged", guest->privileged, "ports",
		guest_ports_to_json(guest), "labels", guest_labels_to_json(guest), "want_running",
		guest->want_running, "state", guest_state_to_string(guest->state), "since_ms",
		(json_int_t)guest->since_ms, "problem", guest->problem, "generation",
		(json_int_t)guest->generation);
	json_t *limits = limits_to_record(&guest->limits);

	json_object_update(record, limits);
	json_decref(limits);
	return record;
}

int guest_from_record(const json_t *json, struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *guest = guest_create();
	int r;

	if (!guest)
		return err_errno(err, ENOMEM, "cannot read a guest's record");
	r = reader_object(json, "", RECORD, ARRAY_SIZE(RECORD), guest, err);
	if (r < 0) {
		err_prefix(err, "a guest's record");
		return r;
	}
	*ret = TAKE_PTR(guest);
	return 0;
}
