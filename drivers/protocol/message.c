/* Messages from the agent to a driver, and the greeting of both. */
#include "drivers/protocol/message.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "drivers/protocol/value.h"

/* --- Greeting -------------------------------------------------------------------------------- */

char *message_encode_hello(const struct driver_config *c)
{
	return value_print(json_pack("{s:{s:i s:{s:s s:s s:s s:s* s:I s:I}}}", "hello", "protocol",
		DRIVER_PROTOCOL_VERSION, "config", "state_dir", c->state_dir, "run_dir", c->run_dir,
		"log_dir", c->log_dir, "endpoint", c->endpoint, "idmap_base",
		(json_int_t)c->idmap_base, "idmap_count", (json_int_t)c->idmap_count));
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
		(r = value_string(json, "endpoint", &c->endpoint, err)) < 0 ||
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

static json_t *from_strings(const char *const *strings)
{
	json_t *array = json_array();

	for (; strings && *strings; strings++)
		json_array_append_new(array, json_string(*strings));
	return array;
}

static json_t *from_exec(const struct driver_exec *e)
{
	json_t *json = json_pack("{s:o s:I s:I s:s*}", "argv", from_strings(e->argv), "uid",
		(json_int_t)e->uid, "gid", (json_int_t)e->gid, "cwd", e->cwd);

	if (json && e->env)
		json_object_set_new(json, "env", from_strings(e->env));
	return json;
}

char *message_encode_call(uint64_t serial, const struct driver_request *q)
{
	json_t *json = json_pack("{s:I s:s s:I}", "serial", (json_int_t)serial, "call",
		driver_call_to_string(q->call), "deadline_ms",
		(json_int_t)driver_call_deadline_ms(q));

	if (!json)
		return NULL;
	if (driver_call_takes_id(q->call))
		json_object_set_new(json, "id", json_string(q->id));
	if (q->call == DRIVER_CALL_CREATE)
		json_object_set_new(json, "guest", value_from_guest(q->guest));
	if (q->call == DRIVER_CALL_SET_LIMITS)
		json_object_set_new(json, "limits", value_from_limits(q->limits));
	if (q->call == DRIVER_CALL_EXEC)
		json_object_set_new(json, "exec", from_exec(q->exec));
	if (q->call == DRIVER_CALL_STOP)
		json_object_set_new(json, "timeout_ms", json_integer((json_int_t)q->timeout_ms));
	return value_print(json);
}

/* Fills `to` from an array of strings and ends it with NULL. */
static int to_strings(const json_t *array, const char *key, const char **to, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		if (!json_is_string(item))
			return err_set(err, ERR_MALFORMED, key, "%s must hold strings", key);
		to[i] = json_string_value(item);
	}
	to[json_array_size(array)] = NULL;
	return 0;
}

static int decode_exec(const json_t *json, struct message_call *c, struct err *err)
{
	const json_t *argv = json_object_get(json, "argv"), *env = json_object_get(json, "env");
	size_t argc = json_array_size(argv), envc = json_array_size(env);
	uint64_t uid = 0, gid = 0;
	int r;

	if (argc == 0 || argc + envc > MESSAGE_ARGS_MAX || (env && !json_is_array(env)))
		return err_set(
			err, ERR_MALFORMED, "exec.argv", "exec needs argv, and not too long");
	if ((r = value_u64(json, "uid", UINT32_MAX, &uid, err)) < 0 ||
		(r = value_u64(json, "gid", UINT32_MAX, &gid, err)) < 0 ||
		(r = value_string(json, "cwd", &c->exec.cwd, err)) < 0)
		return r;
	c->strings = calloc(argc + envc + 2, sizeof(*c->strings));
	if (!c->strings)
		return err_errno(err, ENOMEM, "no memory for a call");
	c->exec.argv = c->strings;
	c->exec.env = env ? c->strings + argc + 1 : NULL;
	c->exec.uid = (uid_t)uid;
	c->exec.gid = (gid_t)gid;
	c->exec.stdin_fd = c->exec.stdout_fd = c->exec.stderr_fd = -1;
	r = to_strings(argv, "exec.argv", c->strings, err);
	return r < 0 ? r : to_strings(env, "exec.env", c->strings + argc + 1, err);
}

/* The part that only some calls have. */
static int decode_arguments(struct message_call *c, struct err *err)
{
	struct driver_request *q = &c->request;
	json_t *guest = NULL, *limits = NULL, *exec = NULL;
	int r;

	if ((r = value_object(c->json, "guest", &guest, err)) < 0 ||
		(r = value_object(c->json, "limits", &limits, err)) < 0 ||
		(r = value_object(c->json, "exec", &exec, err)) < 0)
		return r;
	if ((driver_call_takes_id(q->call) && !q->id) ||
		(q->call == DRIVER_CALL_CREATE && !guest) ||
		(q->call == DRIVER_CALL_SET_LIMITS && !limits) ||
		(q->call == DRIVER_CALL_EXEC && !exec))
		return err_set(err, ERR_MALFORMED, NULL, "%s lacks an argument",
			driver_call_to_string(q->call));
	q->guest = &c->guest;
	q->limits = &c->limits;
	q->exec = &c->exec;
	if (guest && (r = value_to_guest(guest, &c->guest, err)) < 0)
		return r;
	if (limits && (r = value_to_limits(limits, &c->limits, err)) < 0)
		return r;
	return exec ? decode_exec(exec, c, err) : 0;
}

static int decode_call(struct message_call *c, struct err *err)
{
	const char *call = "";
	int r;

	if ((r = value_u64(c->json, "serial", INT64_MAX, &c->serial, err)) < 0 ||
		(r = value_string(c->json, "call", &call, err)) < 0 ||
		(r = value_string(c->json, "id", &c->request.id, err)) < 0 ||
		(r = value_u64(c->json, "deadline_ms", INT64_MAX, &c->request.deadline_ms, err)) <
			0 ||
		(r = value_u64(c->json, "timeout_ms", INT64_MAX, &c->request.timeout_ms, err)) < 0)
		return r;
	if (driver_call_from_string(call, &c->request.call) < 0)
		return err_set(err, ERR_UNSUPPORTED, "call", "no call is named \"%.32s\"", call);
	return decode_arguments(c, err);
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

void message_call_finish(struct message_call *call)
{
	json_decref(call->json);
	call->json = NULL;
	free(call->strings);
	call->strings = NULL;
}
