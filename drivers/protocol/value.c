/* Values to JSON and back. Unknown fields are ignored, so that either side may learn more; known
 * ones are taken only in their own type and range. */
#include "drivers/protocol/value.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

int value_parse(const char *text, json_t **ret, struct err *err)
{
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		return err_set(err, ERR_MALFORMED, NULL, "not JSON: %s", error.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, ERR_MALFORMED, NULL, "a message must be an object");
	}
	*ret = json;
	return 0;
}

char *value_print(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static int wrong(struct err *err, const char *key, const char *what)
{
	return err_set(err, ERR_MALFORMED, key, "%s must be %s", key, what);
}

int value_string(const json_t *object, const char *key, const char **ret, struct err *err)
{
	const json_t *v = json_object_get(object, key);

	if (!v)
		return 0;
	if (!json_is_string(v))
		return wrong(err, key, "a string");
	*ret = json_string_value(v);
	return 0;
}

int value_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret, struct err *err)
{
	const json_t *v = json_object_get(object, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		(uint64_t)json_integer_value(v) > max)
		return wrong(err, key, "a whole number within its range");
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

int value_i64(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct err *err)
{
	const json_t *v = json_object_get(object, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return wrong(err, key, "a whole number within its range");
	*ret = json_integer_value(v);
	return 0;
}

int value_bool(const json_t *object, const char *key, bool *ret, struct err *err)
{
	const json_t *v = json_object_get(object, key);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return wrong(err, key, "true or false");
	*ret = json_is_true(v);
	return 0;
}

int value_object(const json_t *object, const char *key, json_t **ret, struct err *err)
{
	json_t *v = json_object_get(object, key);

	if (!v)
		return 0;
	if (!json_is_object(v))
		return wrong(err, key, "an object");
	*ret = v;
	return 0;
}

/* --- Limits ---------------------------------------------------------------------------------- */

/* JSON integers are signed: what is beyond means "no limit" anyway, and is cut to the largest. */
static json_int_t clamp(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (json_int_t)n;
}

json_t *value_from_limits(const struct guest_limits *l)
{
	return json_pack("{sI sI sI sI sI sI sI sI sI}", "cpu_milli", (json_int_t)l->cpu_milli,
		"memory", clamp(l->memory), "swap", clamp(l->swap), "pids", (json_int_t)l->pids,
		"io_weight", (json_int_t)l->io_weight, "io_read", clamp(l->io_read), "io_write",
		clamp(l->io_write), "net_ingress", clamp(l->net_ingress), "net_egress",
		clamp(l->net_egress));
}

int value_to_limits(const json_t *json, struct guest_limits *ret, struct err *err)
{
	uint64_t cpu = 0, pids = 0, io = 0;
	struct guest_limits l = {0};
	int r;

	if ((r = value_u64(json, "cpu_milli", UINT32_MAX, &cpu, err)) < 0 ||
		(r = value_u64(json, "memory", INT64_MAX, &l.memory, err)) < 0 ||
		(r = value_u64(json, "swap", INT64_MAX, &l.swap, err)) < 0 ||
		(r = value_u64(json, "pids", UINT32_MAX, &pids, err)) < 0 ||
		(r = value_u64(json, "io_weight", 10000, &io, err)) < 0 ||
		(r = value_u64(json, "io_read", INT64_MAX, &l.io_read, err)) < 0 ||
		(r = value_u64(json, "io_write", INT64_MAX, &l.io_write, err)) < 0 ||
		(r = value_u64(json, "net_ingress", INT64_MAX, &l.net_ingress, err)) < 0 ||
		(r = value_u64(json, "net_egress", INT64_MAX, &l.net_egress, err)) < 0)
		return r;
	l.cpu_milli = (uint32_t)cpu;
	l.pids = (uint32_t)pids;
	l.io_weight = (uint32_t)io;
	*ret = l;
	return 0;
}

/* --- Lists of strings ------------------------------------------------------------------------ */

json_t *value_from_strings(const char *const *strings)
{
	json_t *array = json_array();

	for (; strings && *strings; strings++)
		if (json_array_append_new(array, json_string(*strings)) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

int value_strings(
	const json_t *object, const char *key, size_t max, const char *const **ret, struct err *err)
{
	const json_t *array = json_object_get(object, key), *item;
	AUTOFREE const char **list = NULL;
	size_t i;

	if (!array)
		return 0;
	if (!json_is_array(array) || json_array_size(array) > max)
		return wrong(err, key, "a list of strings, and not too long");
	list = calloc(json_array_size(array) + 1, sizeof(*list));
	if (!list)
		return err_errno(err, ENOMEM, "no memory for a message");
	json_array_foreach (array, i, item) {
		if (!json_is_string(item))
			return wrong(err, key, "a list of strings");
		list[i] = json_string_value(item);
	}
	*ret = TAKE_PTR(list);
	return 0;
}

/* --- Guests ---------------------------------------------------------------------------------- */

static json_t *from_net(const struct driver_guest *g)
{
	json_t *net = json_pack("{s:s* s:s* s:s}", "bridge", g->net.bridge, "link", g->net.link,
		"mac", FMT_MAC(g->net.mac));

	if (net && g->net.address) {
		json_object_set_new(net, "address", json_string(FMT_IPV4(g->net.address)));
		json_object_set_new(net, "prefix", json_integer(g->net.prefix));
	}
	if (net && g->net.gateway)
		json_object_set_new(net, "gateway", json_string(FMT_IPV4(g->net.gateway)));
	return net;
}

static json_t *from_disk(const struct driver_disk *d)
{
	return json_pack("{s:s s:s s:s s:s* s:s* s:s* s:b s:s* s:s* s:s*}", "path", d->path, "base",
		d->base, "base_format", disk_format_to_string(d->base_format), "kernel", d->kernel,
		"initrd", d->initrd, "cmdline", d->cmdline, "uefi", d->uefi, "nvram", d->nvram,
		"seed", d->seed, "memory", d->memory);
}

json_t *value_from_guest(const struct driver_guest *g)
{
	json_t *json = json_pack("{s:s s:s s:s* s:b s:s* s:o s:o s:o}", "id", g->id, "name",
		g->name, "rootfs", g->rootfs, "privileged", g->privileged, "block_device",
		g->block_device, "raw", value_from_strings(g->raw), "limits",
		value_from_limits(&g->limits), "net", from_net(g));

	if (json && g->disk && json_object_set_new(json, "disk", from_disk(g->disk)) < 0) {
		json_decref(json); /* one of its paths is not valid UTF-8 */
		return NULL;
	}
	return json;
}

static int to_address(const json_t *json, const char *key, uint32_t *ret, struct err *err)
{
	const char *text = NULL;
	int r = value_string(json, key, &text, err);

	if (r == 0 && text && parse_ipv4(text, ret) < 0)
		return wrong(err, key, "an IPv4 address");
	return r;
}

static int to_net(const json_t *json, struct driver_guest *g, struct err *err)
{
	const char *mac = NULL;
	uint64_t prefix = 0;
	int r;

	if ((r = value_string(json, "bridge", &g->net.bridge, err)) < 0 ||
		(r = value_string(json, "link", &g->net.link, err)) < 0 ||
		(r = value_string(json, "mac", &mac, err)) < 0 ||
		(r = to_address(json, "address", &g->net.address, err)) < 0 ||
		(r = to_address(json, "gateway", &g->net.gateway, err)) < 0 ||
		(r = value_u64(json, "prefix", 32, &prefix, err)) < 0)
		return r;
	if (mac && parse_mac(mac, g->net.mac) < 0)
		return wrong(err, "mac", "six bytes in hexadecimal");
	if (g->net.link && strlen(g->net.link) > DRIVER_LINK_MAX)
		return wrong(err, "link", "at most 15 characters long");
	g->net.prefix = (unsigned)prefix;
	return 0;
}

static int to_disk(const json_t *json, struct driver_disk *d, struct err *err)
{
	const char *format = "";
	int r;

	if ((r = value_string(json, "path", &d->path, err)) < 0 ||
		(r = value_string(json, "base", &d->base, err)) < 0 ||
		(r = value_string(json, "base_format", &format, err)) < 0 ||
		(r = value_string(json, "kernel", &d->kernel, err)) < 0 ||
		(r = value_string(json, "initrd", &d->initrd, err)) < 0 ||
		(r = value_string(json, "cmdline", &d->cmdline, err)) < 0 ||
		(r = value_bool(json, "uefi", &d->uefi, err)) < 0 ||
		(r = value_string(json, "nvram", &d->nvram, err)) < 0 ||
		(r = value_string(json, "seed", &d->seed, err)) < 0 ||
		(r = value_string(json, "memory", &d->memory, err)) < 0)
		return r;
	if (!d->path || !d->base || disk_format_from_string(format, &d->base_format) < 0)
		return err_set(err, ERR_MALFORMED, "disk",
			"a disk needs a path, and a base with its format");
	return 0;
}

/* Allocates; the rest of a guest is read already. */
static int to_disk_and_raw(const json_t *json, struct driver_guest *g, struct err *err)
{
	AUTOFREE struct driver_disk *disk = NULL;
	json_t *object = NULL;
	int r = value_object(json, "disk", &object, err);

	if (r == 0 && object) {
		disk = calloc(1, sizeof(*disk));
		r = disk ? to_disk(object, disk, err)
			 : err_errno(err, ENOMEM, "no memory for a message");
	}
	if (r == 0)
		r = value_strings(json, "raw", GUEST_RAW_MAX, &g->raw, err);
	if (r == 0)
		g->disk = TAKE_PTR(disk);
	return r;
}

int value_to_guest(const json_t *json, struct driver_guest *ret, struct err *err)
{
	struct driver_guest g = {0};
	json_t *limits = NULL, *net = NULL;
	int r;

	if ((r = value_string(json, "id", &g.id, err)) < 0 ||
		(r = value_string(json, "name", &g.name, err)) < 0 ||
		(r = value_string(json, "rootfs", &g.rootfs, err)) < 0 ||
		(r = value_bool(json, "privileged", &g.privileged, err)) < 0 ||
		(r = value_string(json, "block_device", &g.block_device, err)) < 0 ||
		(r = value_object(json, "limits", &limits, err)) < 0 ||
		(r = value_object(json, "net", &net, err)) < 0)
		return r;
	if (!g.id || !g.name)
		return err_set(err, ERR_MALFORMED, "guest", "a guest needs id and name");
	if (limits && (r = value_to_limits(limits, &g.limits, err)) < 0)
		return r;
	if (net && (r = to_net(net, &g, err)) < 0)
		return r;
	if ((r = to_disk_and_raw(json, &g, err)) < 0)
		return r;
	if (!g.rootfs == !g.disk) {
		value_guest_finish(&g);
		return err_set(
			err, ERR_MALFORMED, "guest", "a guest needs either a rootfs or a disk");
	}
	*ret = g;
	return 0;
}

void value_guest_finish(struct driver_guest *guest)
{
	free((void *)guest->raw);
	free((void *)guest->disk);
	guest->raw = NULL;
	guest->disk = NULL;
}
