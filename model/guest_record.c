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

static int read_format(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	if (disk_format_from_string(json_string_value(value), member) < 0)
		return reader_expected(path, "the format of a disk", err);
	return 0;
}

static int read_boot(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	if (disk_boot_from_string(json_string_value(value), member) < 0)
		return reader_expected(path, "how a disk is booted", err);
	return 0;
}

#define DISK(key, reader, member)                                                                  \
	.name = key, .read = reader, .offset = offsetof(struct image_disk, member)

static const struct reader_field DISK[] = {
	{DISK("format", read_format, format), .required = true},
	{DISK("boot", read_boot, boot), .required = true},
	{DISK("initrd", reader_bool, initrd)},
	{DISK("cmdline", reader_chars, cmdline), .size = DISK_CMDLINE_MAX + 1},
	{DISK("size", reader_u64, size), .max = INT64_MAX},
};

static int read_disk(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	AUTOFREE struct image_disk *disk = calloc(1, sizeof(*disk));
	struct image_disk **owned = member;
	int r;

	(void)field;
	if (!disk)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	r = reader_object(value, path, DISK, ARRAY_SIZE(DISK), disk, err);
	if (r < 0)
		return r;
	free(*owned);
	*owned = TAKE_PTR(disk);
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

#define HEALTH32(key, member, top)                                                                 \
	{                                                                                          \
		.name = key, .read = reader_u32, .offset = offsetof(struct guest_health, member),  \
		.max = top                                                                         \
	}

static const struct reader_field HEALTH[] = {
	{.name = "check",
		.read = guest_read_check,
		.offset = offsetof(struct guest_health, check),
		.required = true},
	{.name = "port",
		.read = reader_u16,
		.offset = offsetof(struct guest_health, port),
		.max = UINT16_MAX},
	{.name = "path", .read = reader_text, .offset = offsetof(struct guest_health, path)},
	{.name = "command",
		.read = reader_texts,
		.offset = offsetof(struct guest_health, command),
		.count = SIZE_MAX},
	HEALTH32("interval_s", interval_s, UINT32_MAX),
	HEALTH32("timeout_s", timeout_s, UINT32_MAX),
	HEALTH32("retries", retries, UINT32_MAX),
	HEALTH32("grace_s", grace_s, UINT32_MAX),
	{.name = "restart", .read = reader_bool, .offset = offsetof(struct guest_health, restart)},
};

static int read_health(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	guest_health_finish(member);
	return reader_object(value, path, HEALTH, ARRAY_SIZE(HEALTH), member, err);
}

static int read_runs_with(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	json_t **owned = member;

	(void)field;
	if (!json_is_object(value))
		return reader_expected(path, "an object", err);
	json_decref(*owned);
	*owned = json_deep_copy(value);
	return *owned ? 0 : err_errno(err, ENOMEM, "cannot read %s", path);
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
	{MEMBER("disk", read_disk, disk)},
	{MEMBER("container", guest_container_read_record, container)},
	PLAIN32("slots", slots),
	PLAIN32("cpu_milli", limits.cpu_milli),
	PLAIN64("memory", limits.memory),
	PLAIN64("swap", limits.swap),
	PLAIN32("pids", limits.pids),
	PLAIN32("io_weight", limits.io_weight),
	PLAIN64("io_read", limits.io_read),
	PLAIN64("io_write", limits.io_write),
	PLAIN64("net_ingress", limits.net_ingress),
	PLAIN64("net_egress", limits.net_egress),
	PLAIN64("storage_size", storage_size),
	{MEMBER("environment", reader_chars, environment), .size = 16},
	PLAIN_BOOL("autostart", autostart.on),
	PLAIN32("autostart_order", autostart.order),
	PLAIN32("autostart_delay_s", autostart.delay_s),
	{MEMBER("restart_policy", guest_read_policy, restart.policy)},
	PLAIN32("restart_max", restart.max),
	{MEMBER("health", read_health, health)},
	{MEMBER("ssh_keys", reader_texts, ssh_keys), .count = SIZE_MAX},
	{MEMBER("user_data", reader_text, user_data)},
	{MEMBER("raw", reader_texts, raw), .count = SIZE_MAX},
	PLAIN_BOOL("privileged", privileged),
	{.name = "ports", .read = guest_read_ports},
	{.name = "labels", .read = guest_read_labels},
	{MEMBER("password", reader_chars, password), .size = GUEST_PASSWORD_LEN + 1},
	PLAIN_BOOL("first_boot_done", first_boot_done),
	PLAIN32("seed_pending", seed_pending),
	{.name = "snapshots", .read = guest_read_snapshots},
	PLAIN_BOOL("want_running", want_running),
	{MEMBER("state", read_state, state), .required = true},
	PLAIN64("since_ms", since_ms),
	{MEMBER("runs_with", read_runs_with, runs_with)},
	{MEMBER("health_state", guest_read_health_state, health_state)},
	PLAIN32("restarts", restarts),
	PLAIN32("restarts_in_row", restarts_in_row),
	PLAIN_BOOL("resting", resting),
	{MEMBER("problem", reader_text, problem)},
	PLAIN64("generation", generation),
};

static json_t *limits_to_record(const struct guest_limits *limits)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_milli",
		(json_int_t)limits->cpu_milli, "memory", (json_int_t)limits->memory, "swap",
		(json_int_t)limits->swap, "pids", (json_int_t)limits->pids, "io_weight",
		(json_int_t)limits->io_weight, "io_read", (json_int_t)limits->io_read, "io_write",
		(json_int_t)limits->io_write, "net_ingress", (json_int_t)limits->net_ingress,
		"net_egress", (json_int_t)limits->net_egress);
}

static json_t *texts_or_null(char *const *list)
{
	return list ? guest_texts_to_json(list) : json_null();
}

static json_t *health_to_record(const struct guest_health *health)
{
	if (health->check == GUEST_CHECK_NONE)
		return json_null();
	return json_pack("{s:s, s:i, s:s?, s:o, s:I, s:I, s:I, s:I, s:b}", "check",
		guest_check_to_string(health->check), "port", health->port, "path", health->path,
		"command", texts_or_null(health->command), "interval_s",
		(json_int_t)health->interval_s, "timeout_s", (json_int_t)health->timeout_s,
		"retries", (json_int_t)health->retries, "grace_s", (json_int_t)health->grace_s,
		"restart", health->restart);
}

static json_t *disk_to_record(const struct image_disk *disk)
{
	if (!disk)
		return json_null();
	return json_pack("{s:s, s:s, s:b, s:s, s:I}", "format", disk_format_to_string(disk->format),
		"boot", disk_boot_to_string(disk->boot), "initrd", disk->initrd, "cmdline",
		disk->cmdline, "size", (json_int_t)disk->size);
}

/* How it lives by itself, and its first boot. */
static json_t *life_to_record(const struct guest *guest)
{
	return json_pack("{s:b, s:I, s:I, s:s, s:I, s:o, s:o, s:s?, s:o, s:s, s:b, s:I}",
		"autostart", guest->autostart.on, "autostart_order",
		(json_int_t)guest->autostart.order, "autostart_delay_s",
		(json_int_t)guest->autostart.delay_s, "restart_policy",
		guest_restart_to_string(guest->restart.policy), "restart_max",
		(json_int_t)guest->restart.max, "health", health_to_record(&guest->health),
		"ssh_keys", texts_or_null(guest->ssh_keys), "user_data", guest->user_data, "raw",
		texts_or_null(guest->raw), "password", guest->password, "first_boot_done",
		guest->first_boot_done, "seed_pending", (json_int_t)guest->seed_pending);
}

/* What it should be doing, and what it was seen to do. */
static json_t *state_to_record(const struct guest *guest)
{
	return json_pack("{s:b, s:s, s:I, s:O?, s:s, s:I, s:I, s:b, s:s?, s:I}", "want_running",
		guest->want_running, "state", guest_state_to_string(guest->state), "since_ms",
		(json_int_t)guest->since_ms, "runs_with", guest->runs_with, "health_state",
		guest_health_to_string(guest->health_state), "restarts",
		(json_int_t)guest->restarts, "restarts_in_row", (json_int_t)guest->restarts_in_row,
		"resting", guest->resting, "problem", guest->problem, "generation",
		(json_int_t)guest->generation);
}

static void merge(json_t *record, json_t *part)
{
	json_object_update(record, part);
	json_decref(part);
}

json_t *guest_to_record(const struct guest *guest)
{
	json_t *record = json_pack(
		"{s:s, s:s, s:s, s:s?, s:s, s:s, s:I, s:I, s:I, s:s, s:b, s:o, s:o, s:o, s:o, s:o}",
		"id", guest->id, "name", guest->name, "driver", guest->driver, "image",
		guest->image, "address", FMT_IPV4(guest->address), "mac", FMT_MAC(guest->mac),
		"created_ms", (json_int_t)guest->created_ms, "slots", (json_int_t)guest->slots,
		"storage_size", (json_int_t)guest->storage_size, "environment", guest->environment,
		"privileged", guest->privileged, "ports", guest_ports_to_json(guest), "labels",
		guest_labels_to_json(guest), "snapshots", guest_snapshots_to_record(guest), "disk",
		disk_to_record(guest->disk), "container",
		guest_container_to_record(guest->container));

	merge(record, limits_to_record(&guest->limits));
	merge(record, life_to_record(guest));
	merge(record, state_to_record(guest));
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
