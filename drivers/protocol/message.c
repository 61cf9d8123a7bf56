/* Messages from the agent to a driver, and the greeting of both. */
#include "drivers/protocol/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "drivers/protocol/value.h"

/* --- Greeting -------------------------------------------------------------------------------- */

char *message_encode_hello(const struct driver_config *c)
{
	return value_print(json_pack("{s:{s:i s:{s:s s:s s:s s:s* s:s* s:s* s:s* s:I s:I}}}",
		"hello", "protocol", DRIVER_PROTOCOL_VERSION, "config", "state_dir", c->state_dir,
		"run_dir", c->run_dir, "log_dir", c->log_dir, "additions_dir", c->additions_dir,
		"endpoint", c->endpoint, "registries", c->registries, "ssh_key", c->ssh_key,
		"idmap_base", (json_int_t)c->idmap_base, "idmap_count",
		(json_int_t)c->idmap_count));
}

static int check_version(const json_t *hello, struct err *err)
{
	uint64_t version = 0;
	int r = value_u64(hello, "protocol", UINT32_MAX, &version, err);

	if (r < 0)
		return r;
	if (version != DRIVER_PROTOCOL_VERSION)
		return err_set(err, ERR_UNSUPPORTED, "protocol",
			"the other side speaks version %llu of the driver protocol, this one %d",
			(unsigned long long)version, DRIVER_PROTOCOL_VERSION);
	return 0;
}

static int decode_config(const json_t *json, struct driver_config *c, struct err *err)
{
	uint64_t base = 0, count = 0;
	int r;

	if ((r = value_string(json, "state_dir", &c->state_dir, err)) < 0 ||
		(r = value_string(json, "run_dir", &c->run_dir, err)) < 0 ||
		(r = value_string(json, "log_dir", &c->log_dir, err)) < 0 ||
		(r = value_string(json, "additions_dir", &c->additions_dir, err)) < 0 ||
		(r = value_string(json, "endpoint", &c->endpoint, err)) < 0 ||
		(r = value_string(json, "registries", &c->registries, err)) < 0 ||
		(r = value_string(json, "ssh_key", &c->ssh_key, err)) < 0 ||
		(r = value_u64(json, "idmap_base", UINT32_MAX, &base, err)) < 0 ||
		(r = value_u64(json, "idmap_count", UINT32_MAX, &count, err)) < 0)
		return r;
	if (!c->state_dir || !c->run_dir || !c->log_dir)
		return err_set(err, ERR_MALFORMED, "config",
			"the configuration needs state_dir, run_dir and log_dir");
	c->idmap_base = (uint32_t)base;
	c->idmap_count = (uint32_t)count;
	return 0;
}

int message_decode_hello(const char *text, struct message_hello *ret, struct err *err)
{
	struct message_hello h = {0};
	json_t *hello = NULL, *config = NULL;
	int r = value_parse(text, &h.json, err);

	if (r < 0)
		return r;
	r = value_object(h.json, "hello", &hello, err);
	if (r == 0)
		r = check_version(hello, err);
	if (r == 0)
		r = value_object(hello, "config", &config, err);
	if (r == 0)
		r = decode_config(config, &h.config, err);
	if (r < 0) {
		message_hello_finish(&h);
		return r;
	}
	*ret = h;
	return 0;
}

void message_hello_finish(struct message_hello *hello)
{
	json_decref(hello->json);
	hello->json = NULL;
}

char *message_encode_welcome(const struct driver_ops *ops, const struct err *failed)
{
	json_t *welcome = json_pack(
		"{s:{s:i s:s}}", "hello", "protocol", DRIVER_PROTOCOL_VERSION, "name", ops->name);

	if (welcome && failed)
		json_object_set_new(welcome, "error", value_from_error(failed));
	return value_print(welcome);
}

int message_decode_welcome(
	const char *text, char ret_name[static DRIVER_NAME_MAX + 1], struct err *err)
{
	json_t *json = NULL, *hello = NULL, *error = NULL;
	const char *name = "";
	int r = value_parse(text, &json, err);

	if (r < 0)
		return r;
	r = value_object(json, "error", &error, err);
	if (r == 0 && error) {
		r = value_to_error(error, err, err);
		r = r < 0 ? r : err_errnum(err->code);
	}
	if (r == 0)
		r = value_object(json, "hello", &hello, err);
	if (r == 0)
		r = check_version(hello, err);
	if (r == 0)
		r = value_string(hello, "name", &name, err);
	if (r == 0)
		snprintf(ret_name, DRIVER_NAME_MAX + 1, "%s", name);
	json_decref(json);
	return r;
}

/* --- Calls ----------------------------------------------------------------------------------- */

static json_t *from_exec(const struct driver_exec *e)
{
	return json_pack("{s:o s:o s:s* s:s* s:b}", "argv", value_from_strings(e->argv), "env",
		value_from_strings(e->env), "user", e->user, "cwd", e->cwd, "terminal",
		e->terminal);
}

static json_t *from_console(const struct driver_console *c)
{
	return json_pack("{s:I s:b s:b}", "tail",
		(json_int_t)(c->tail > INT64_MAX ? INT64_MAX : c->tail), "follow", c->follow,
		"input", c->input);
}

static const char *const FILE_OPS[] = {
	[DRIVER_FILE_STAT] = "stat",
	[DRIVER_FILE_LIST] = "list",
	[DRIVER_FILE_READ] = "read",
	[DRIVER_FILE_WRITE] = "write",
	[DRIVER_FILE_MKDIR] = "mkdir",
	[DRIVER_FILE_REMOVE] = "remove",
};

static const char *const DISK_OPS[] = {
	[DRIVER_DISK_RESIZE] = "resize",
	[DRIVER_DISK_DISCARD] = "discard",
	[DRIVER_DISK_HOLD] = "hold",
	[DRIVER_DISK_RELEASE] = "release",
};

static json_t *from_disk(const struct driver_disk_work *d)
{
	return json_pack("{s:s s:I}", "op", DISK_OPS[d->op], "size",
		(json_int_t)(d->size > INT64_MAX ? INT64_MAX : d->size));
}

static const char *const IMAGE_OPS[] = {
	[DRIVER_IMAGE_FIND] = "find",
	[DRIVER_IMAGE_LIST] = "list",
	[DRIVER_IMAGE_LOAD] = "load",
	[DRIVER_IMAGE_PULL] = "pull",
	[DRIVER_IMAGE_REMOVE] = "remove",
};

static const char *const LAYER_OPS[] = {
	[DRIVER_LAYER_KEEP] = "keep",
	[DRIVER_LAYER_DROP] = "drop",
	[DRIVER_LAYER_RESTORE] = "restore",
	[DRIVER_LAYER_RESTORE_UNDO] = "restore_undo",
	[DRIVER_LAYER_RESTORE_FINISH] = "restore_finish",
	[DRIVER_LAYER_USAGE] = "usage",
	[DRIVER_LAYER_BOUND] = "bound",
};

/* Which of its descriptors come is said by name, since each may be absent. */
static json_t *from_image(const struct driver_image_work *i)
{
	return json_pack("{s:s s:s* s:s* s:b s:b s:b s:b}", "op", IMAGE_OPS[i->op], "name", i->name,
		"sha256", i->sha256, "replace", i->replace, "archive", i->fd >= 0, "whole",
		i->whole_fd >= 0, "progress", i->progress_fd >= 0);
}

static json_t *from_layer(const struct driver_layer_work *l)
{
	return json_pack("{s:s s:s*}", "op", LAYER_OPS[l->op], "name", l->name);
}

static void set_unless_default(json_t *json, const char *key, int64_t n)
{
	if (n >= 0)
		json_object_set_new(json, key, json_integer(n));
}

static json_t *from_file(const struct driver_file *f)
{
	json_t *json = json_pack("{s:s s:s s:I}", "op", FILE_OPS[f->op], "path", f->path, "size",
		(json_int_t)(f->size > INT64_MAX ? INT64_MAX : f->size));

	set_unless_default(json, "mode", f->mode);
	set_unless_default(json, "uid", f->uid);
	set_unless_default(json, "gid", f->gid);
	return json;
}

/* The part that only some calls have. */
static void add_arguments(json_t *json, const struct driver_request *q)
{
	if (q->id && (driver_call_takes_id(q->call) || q->call == DRIVER_CALL_STATS))
		json_object_set_new(json, "id", json_string(q->id));
	if (q->call == DRIVER_CALL_CREATE || q->call == DRIVER_CALL_UPDATE)
		json_object_set_new(json, "guest", value_from_guest(q->guest));
	if (q->call == DRIVER_CALL_STOP)
		json_object_set_new(json, "timeout_ms", json_integer((json_int_t)q->timeout_ms));
	if (q->call == DRIVER_CALL_FREEZE)
		json_object_set_new(json, "frozen", json_boolean(q->frozen));
	if (q->call == DRIVER_CALL_EXEC)
		json_object_set_new(json, "exec", from_exec(q->exec));
	if (q->call == DRIVER_CALL_CONSOLE)
		json_object_set_new(json, "console", from_console(q->console));
	if (q->call == DRIVER_CALL_FILE)
		json_object_set_new(json, "file", from_file(q->file));
	if (q->call == DRIVER_CALL_DISK)
		json_object_set_new(json, "disk", from_disk(q->disk));
	if (q->call == DRIVER_CALL_IMAGE)
		json_object_set_new(json, "image", from_image(q->image));
	if (q->call == DRIVER_CALL_LAYER)
		json_object_set_new(json, "layer", from_layer(q->layer));
}

/* An argument that is not valid UTF-8 leaves its key without a value, which must not look like an
 * argument that was not given. */
static bool arguments_are_whole(const json_t *json, const struct driver_request *q)
{
	static const char *const keys[DRIVER_CALL_MAX_] = {
		[DRIVER_CALL_CREATE] = "guest",
		[DRIVER_CALL_UPDATE] = "guest",
		[DRIVER_CALL_EXEC] = "exec",
		[DRIVER_CALL_CONSOLE] = "console",
		[DRIVER_CALL_FILE] = "file",
		[DRIVER_CALL_DISK] = "disk",
		[DRIVER_CALL_IMAGE] = "image",
		[DRIVER_CALL_LAYER] = "layer",
	};
	const char *key = keys[q->call];

	return (!q->id || !driver_call_takes_id(q->call) || json_object_get(json, "id")) &&
	       (!key || json_object_get(json, key));
}

char *message_encode_call(uint64_t serial, const struct driver_request *q)
{
	json_t *json = json_pack("{s:I s:s s:I}", "serial", (json_int_t)serial, "call",
		driver_call_to_string(q->call), "deadline_ms",
		(json_int_t)driver_call_deadline_ms(q));

	if (!json)
		return NULL;
	add_arguments(json, q);
	if (!arguments_are_whole(json, q)) {
		json_decref(json);
		return NULL;
	}
	return value_print(json);
}

static int decode_exec(const json_t *json, struct message_call *c, struct err *err)
{
	int r;

	c->exec.stdin_fd = c->exec.stdout_fd = c->exec.stderr_fd = c->exec.status_fd = -1;
	if ((r = value_strings(json, "argv", MESSAGE_ARGS_MAX, &c->exec.argv, err)) < 0 ||
		(r = value_strings(json, "env", MESSAGE_ARGS_MAX, &c->exec.env, err)) < 0 ||
		(r = value_string(json, "user", &c->exec.user, err)) < 0 ||
		(r = value_string(json, "cwd", &c->exec.cwd, err)) < 0 ||
		(r = value_bool(json, "terminal", &c->exec.terminal, err)) < 0)
		return r;
	if (!c->exec.argv || !c->exec.argv[0])
		return err_set(err, ERR_MALFORMED, "argv", "exec needs argv");
	return 0;
}

static int decode_console(const json_t *json, struct driver_console *c, struct err *err)
{
	int r;

	c->fd = -1;
	if ((r = value_u64(json, "tail", INT64_MAX, &c->tail, err)) < 0 ||
		(r = value_bool(json, "follow", &c->follow, err)) < 0 ||
		(r = value_bool(json, "input", &c->input, err)) < 0)
		return r;
	return 0;
}

/* The place of the object's "op" in the table. */
static int decode_op(
	const json_t *json, const char *const *table, size_t count, unsigned *ret, struct err *err)
{
	const char *name = NULL;
	int r = value_string(json, "op", &name, err);

	for (unsigned i = 0; r == 0 && name && i < count; i++)
		if (strcmp(name, table[i]) == 0) {
			*ret = i;
			return 0;
		}
	return r < 0 ? r : err_set(err, ERR_MALFORMED, "op", "there is nothing of that name to do");
}

static int decode_file(const json_t *json, struct driver_file *f, struct err *err)
{
	unsigned op = 0;
	int r;

	*f = (struct driver_file){.fd = -1, .whole_fd = -1, .mode = -1, .uid = -1, .gid = -1};
	if ((r = decode_op(json, FILE_OPS, ARRAY_SIZE(FILE_OPS), &op, err)) < 0 ||
		(r = value_string(json, "path", &f->path, err)) < 0 ||
		(r = value_u64(json, "size", INT64_MAX, &f->size, err)) < 0 ||
		(r = value_i64(json, "mode", 0, 07777, &f->mode, err)) < 0 ||
		(r = value_i64(json, "uid", 0, UINT32_MAX - 1, &f->uid, err)) < 0 ||
		(r = value_i64(json, "gid", 0, UINT32_MAX - 1, &f->gid, err)) < 0)
		return r;
	if (!f->path)
		return err_set(err, ERR_MALFORMED, "path", "a file needs a path");
	f->op = (enum driver_file_op)op;
	return 0;
}

static int decode_disk(const json_t *json, struct driver_disk_work *d, struct err *err)
{
	unsigned op = 0;
	int r = decode_op(json, DISK_OPS, ARRAY_SIZE(DISK_OPS), &op, err);

	*d = (struct driver_disk_work){.op = (enum driver_disk_op)op};
	return r < 0 ? r : value_u64(json, "size", INT64_MAX, &d->size, err);
}

static int decode_image(const json_t *json, struct message_call *c, struct err *err)
{
	struct driver_image_work *i = &c->image;
	unsigned op = 0;
	int r;

	*i = (struct driver_image_work){.fd = -1, .whole_fd = -1, .progress_fd = -1};
	if ((r = decode_op(json, IMAGE_OPS, ARRAY_SIZE(IMAGE_OPS), &op, err)) < 0 ||
		(r = value_string(json, "name", &i->name, err)) < 0 ||
		(r = value_string(json, "sha256", &i->sha256, err)) < 0 ||
		(r = value_bool(json, "replace", &i->replace, err)) < 0 ||
		(r = value_bool(json, "archive", &c->image_fds[0], err)) < 0 ||
		(r = value_bool(json, "whole", &c->image_fds[1], err)) < 0 ||
		(r = value_bool(json, "progress", &c->image_fds[2], err)) < 0)
		return r;
	i->op = (enum driver_image_op)op;
	if (!i->name && i->op != DRIVER_IMAGE_LIST)
		return err_set(err, ERR_MALFORMED, "name", "an image needs a name");
	if (i->op == DRIVER_IMAGE_LOAD && !c->image_fds[0])
		return err_set(err, ERR_MALFORMED, "archive", "what is loaded needs a descriptor");
	return 0;
}

static int decode_layer(const json_t *json, struct driver_layer_work *l, struct err *err)
{
	unsigned op = 0;
	int r = decode_op(json, LAYER_OPS, ARRAY_SIZE(LAYER_OPS), &op, err);
	bool named =
		op == DRIVER_LAYER_KEEP || op == DRIVER_LAYER_DROP || op == DRIVER_LAYER_RESTORE;

	*l = (struct driver_layer_work){.op = (enum driver_layer_op)op};
	if (r == 0)
		r = value_string(json, "name", &l->name, err);
	if (r == 0 && named && !l->name)
		r = err_set(err, ERR_MALFORMED, "name", "what is kept of a layer has a name");
	return r;
}

/* The object that the call needs, where it needs one. */
static int decode_object(struct message_call *c, struct err *err)
{
	struct driver_request *q = &c->request;
	json_t *guest = NULL, *exec = NULL, *console = NULL, *file = NULL, *disk = NULL;
	json_t *image = NULL, *layer = NULL;
	int r;

	if ((r = value_object(c->json, "guest", &guest, err)) < 0 ||
		(r = value_object(c->json, "exec", &exec, err)) < 0 ||
		(r = value_object(c->json, "console", &console, err)) < 0 ||
		(r = value_object(c->json, "file", &file, err)) < 0 ||
		(r = value_object(c->json, "disk", &disk, err)) < 0 ||
		(r = value_object(c->json, "image", &image, err)) < 0 ||
		(r = value_object(c->json, "layer", &layer, err)) < 0)
		return r;
	switch (q->call) {
	case DRIVER_CALL_CREATE:
	case DRIVER_CALL_UPDATE: q->guest = &c->guest; return value_to_guest(guest, &c->guest, err);
	case DRIVER_CALL_EXEC: q->exec = &c->exec; return decode_exec(exec, c, err);
	case DRIVER_CALL_CONSOLE:
		q->console = &c->console;
		return decode_console(console, &c->console, err);
	case DRIVER_CALL_FILE: q->file = &c->file; return decode_file(file, &c->file, err);
	case DRIVER_CALL_DISK: q->disk = &c->disk; return decode_disk(disk, &c->disk, err);
	case DRIVER_CALL_IMAGE: q->image = &c->image; return decode_image(image, c, err);
	case DRIVER_CALL_LAYER: q->layer = &c->layer; return decode_layer(layer, &c->layer, err);
	default: return 0;
	}
}

static int decode_call(struct message_call *c, struct err *err)
{
	struct driver_request *q = &c->request;
	const char *call = "";
	int r;

	if ((r = value_u64(c->json, "serial", INT64_MAX, &c->serial, err)) < 0 ||
		(r = value_string(c->json, "call", &call, err)) < 0 ||
		(r = value_string(c->json, "id", &q->id, err)) < 0 ||
		(r = value_u64(c->json, "deadline_ms", INT64_MAX, &q->deadline_ms, err)) < 0 ||
		(r = value_u64(c->json, "timeout_ms", INT64_MAX, &q->timeout_ms, err)) < 0 ||
		(r = value_bool(c->json, "frozen", &q->frozen, err)) < 0)
		return r;
	if (driver_call_from_string(call, &q->call) < 0)
		return err_set(err, ERR_UNSUPPORTED, "call", "no call is named \"%.32s\"", call);
	if (driver_call_takes_id(q->call) && !q->id)
		return err_set(err, ERR_MALFORMED, "id", "%s needs the id of a guest", call);
	return decode_object(c, err);
}

int message_decode_call(const char *text, struct message_call *ret, struct err *err)
{
	int r;

	*ret = (struct message_call){0};
	r = value_parse(text, &ret->json, err);
	if (r == 0)
		r = decode_call(ret, err);
	if (r < 0)
		message_call_finish(ret);
	return r;
}

/* Descriptors of that file operation: `read` may ask only what the file is, `write` is told by a
 * second one whether it got all. */
static size_t file_fds_least(const struct driver_file *f)
{
	return f->op == DRIVER_FILE_LIST || f->op == DRIVER_FILE_WRITE;
}

static size_t file_fds_most(const struct driver_file *f)
{
	if (f->op == DRIVER_FILE_WRITE)
		return 2;
	return f->op == DRIVER_FILE_LIST || f->op == DRIVER_FILE_READ;
}

static size_t image_fds(const struct message_call *c)
{
	return (size_t)c->image_fds[0] + c->image_fds[1] + c->image_fds[2];
}

static void take_image_fds(struct message_call *c, const int *fds)
{
	int *const all[] = {&c->image.fd, &c->image.whole_fd, &c->image.progress_fd};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (c->image_fds[i])
			*all[i] = *fds++;
}

int message_call_take_fds(struct message_call *c, const int *fds, size_t count, struct err *err)
{
	enum driver_call call = c->request.call;
	size_t least = call == DRIVER_CALL_EXEC	     ? 4
		       : call == DRIVER_CALL_CONSOLE ? 1
		       : call == DRIVER_CALL_FILE    ? file_fds_least(&c->file)
		       : call == DRIVER_CALL_IMAGE   ? image_fds(c)
						     : 0;
	size_t most = call == DRIVER_CALL_FILE ? file_fds_most(&c->file) : least;

	if (count < least || (count > most && most > 0))
		return err_set(err, ERR_MALFORMED, NULL, "%s came with %zu descriptors",
			driver_call_to_string(call), count);
	if (call == DRIVER_CALL_EXEC) {
		c->exec.stdin_fd = fds[0];
		c->exec.stdout_fd = fds[1];
		c->exec.stderr_fd = fds[2];
		c->exec.status_fd = fds[3];
	}
	if (call == DRIVER_CALL_CONSOLE)
		c->console.fd = fds[0];
	if (call == DRIVER_CALL_FILE && count > 0)
		c->file.fd = fds[0];
	if (call == DRIVER_CALL_FILE && count > 1)
		c->file.whole_fd = fds[1];
	if (call == DRIVER_CALL_IMAGE)
		take_image_fds(c, fds);
	return 0;
}

void message_call_finish(struct message_call *call)
{
	json_decref(call->json);
	call->json = NULL;
	value_guest_finish(&call->guest);
	free((void *)call->exec.argv);
	free((void *)call->exec.env);
	call->exec.argv = call->exec.env = NULL;
}
