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

#define WORDS_MAX 4096 /* of a command, an environment */

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
	if (net && g->net.domain)
		json_object_set_new(net, "domain", json_string(g->net.domain));
	return net;
}

static json_t *from_disk(const struct driver_disk *d)
{
	return json_pack("{s:s s:s s:s s:s* s:s* s:s* s:b s:s* s:s* s:s*}", "path", d->path, "base",
		d->base, "base_format", disk_format_to_string(d->base_format), "kernel", d->kernel,
		"initrd", d->initrd, "cmdline", d->cmdline, "uefi", d->uefi, "nvram", d->nvram,
		"seed", d->seed, "memory", d->memory);
}

/* What stands for "as the image says" is not there at all. False: one is not valid UTF-8. */
static bool add_strings(json_t *json, const char *key, const char *const *strings)
{
	return !strings || json_object_set_new(json, key, value_from_strings(strings)) == 0;
}

static json_t *from_container(const struct driver_container *c)
{
	json_t *json = json_pack("{s:s s:s* s:s* s:s* s:s* s:s* s:b s:s s:I}", "image", c->image,
		"layer_of", c->layer_of, "layer", c->layer, "user", c->user, "working_dir",
		c->working_dir, "stop_signal", c->stop_signal, "terminal", c->terminal, "data",
		c->data, "layer_size", clamp(c->layer_size));

	if (json && add_strings(json, "entrypoint", c->entrypoint) &&
		add_strings(json, "command", c->command) && add_strings(json, "env", c->env) &&
		add_strings(json, "data_paths", c->data_paths))
		return json;
	json_decref(json);
	return NULL;
}

json_t *value_from_guest(const struct driver_guest *g)
{
	json_t *json = json_pack("{s:s s:s s:s* s:b s:s* s:o s:o s:o}", "id", g->id, "name",
		g->name, "rootfs", g->rootfs, "privileged", g->privileged, "block_device",
		g->block_device, "raw", value_from_strings(g->raw), "limits",
		value_from_limits(&g->limits), "net", from_net(g));

	if (json && ((g->disk && json_object_set_new(json, "disk", from_disk(g->disk)) < 0) ||
			    (g->container && json_object_set_new(json, "container",
						     from_container(g->container)) < 0))) {
		json_decref(json); /* one of their texts is not valid UTF-8 */
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
		(r = value_string(json, "domain", &g->net.domain, err)) < 0 ||
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

static void container_free(struct driver_container *c)
{
	if (!c)
		return;
	free((void *)c->entrypoint);
	free((void *)c->command);
	free((void *)c->env);
	free((void *)c->data_paths);
	free(c);
}

/* What was read of it when this fails is released with the guest. */
static int to_container(const json_t *json, struct driver_container *c, struct err *err)
{
	int r;

	if ((r = value_string(json, "image", &c->image, err)) < 0 ||
		(r = value_string(json, "layer_of", &c->layer_of, err)) < 0 ||
		(r = value_string(json, "layer", &c->layer, err)) < 0 ||
		(r = value_string(json, "user", &c->user, err)) < 0 ||
		(r = value_string(json, "working_dir", &c->working_dir, err)) < 0 ||
		(r = value_string(json, "stop_signal", &c->stop_signal, err)) < 0 ||
		(r = value_bool(json, "terminal", &c->terminal, err)) < 0 ||
		(r = value_string(json, "data", &c->data, err)) < 0 ||
		(r = value_u64(json, "layer_size", INT64_MAX, &c->layer_size, err)) < 0 ||
		(r = value_strings(json, "entrypoint", WORDS_MAX, &c->entrypoint, err)) < 0 ||
		(r = value_strings(json, "command", WORDS_MAX, &c->command, err)) < 0 ||
		(r = value_strings(json, "env", WORDS_MAX, &c->env, err)) < 0 ||
		(r = value_strings(json, "data_paths", WORDS_MAX, &c->data_paths, err)) < 0)
		return r;
	if (!c->image || !c->data || !c->layer_of != !c->layer)
		return err_set(err, ERR_MALFORMED, "container",
			"a container needs an image and a place for its data");
	return 0;
}

/* Allocates; the rest of a guest is read already. */
static int to_allocated(const json_t *json, struct driver_guest *g, struct err *err)
{
	json_t *disk = NULL, *container = NULL;
	int r;

	if ((r = value_object(json, "disk", &disk, err)) < 0 ||
		(r = value_object(json, "container", &container, err)) < 0)
		return r;
	g->disk = disk ? calloc(1, sizeof(*g->disk)) : NULL;
	g->container = container ? calloc(1, sizeof(*g->container)) : NULL;
	if ((disk && !g->disk) || (container && !g->container))
		return err_errno(err, ENOMEM, "no memory for a message");
	if (disk)
		r = to_disk(disk, (struct driver_disk *)g->disk, err);
	if (r == 0 && container)
		r = to_container(container, (struct driver_container *)g->container, err);
	if (r == 0)
		r = value_strings(json, "raw", GUEST_RAW_MAX, &g->raw, err);
	if (r == 0 && !!g->rootfs + !!disk + !!container != 1)
		r = err_set(err, ERR_MALFORMED, "guest",
			"a guest needs one of rootfs, disk and container");
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
	r = to_allocated(json, &g, err);
	if (r < 0) {
		value_guest_finish(&g);
		return r;
	}
	*ret = g;
	return 0;
}

void value_guest_finish(struct driver_guest *guest)
{
	free((void *)guest->raw);
	free((void *)guest->disk);
	container_free((struct driver_container *)guest->container);
	guest->raw = NULL;
	guest->disk = NULL;
	guest->container = NULL;
}
