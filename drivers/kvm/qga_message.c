/* Texts to and from QEMU's guest agent. */
#include "drivers/kvm/qga_message.h"

#include <errno.h>
#include <jansson.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

/* --- Requests -------------------------------------------------------------------------------- */

static char *request_text(const char *command, json_t *arguments)
{
	json_auto_t *json = json_pack("{ss}", "execute", command);

	if (arguments && json_object_set_new(json, "arguments", arguments) < 0)
		return NULL;
	return json ? json_dumps(json, JSON_COMPACT) : NULL;
}

char *qga_request(const char *command)
{
	return request_text(command, NULL);
}

static char *encode(const void *data, size_t size)
{
	char *text = malloc(BASE64_ENCODE_RAW_LENGTH(size) + 1);

	if (!text)
		return NULL;
	base64_encode_raw(text, size, data);
	text[BASE64_ENCODE_RAW_LENGTH(size)] = '\0';
	return text;
}

/* NULL also for what is not UTF-8: that cannot be said in JSON. */
static json_t *arguments_of(const char *const *argv)
{
	json_t *array = json_array();

	for (size_t i = 1; array && argv[i]; i++)
		if (json_array_append_new(array, json_string(argv[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

char *qga_request_exec(const struct qga_exec *exec)
{
	json_t *arguments = json_pack("{ss so* sb}", "path", exec->argv[0], "arg",
		arguments_of(exec->argv), "capture-output", exec->capture);

	if (!arguments || !json_object_get(arguments, "arg")) {
		json_decref(arguments);
		return NULL;
	}
	if (exec->input) {
		AUTOFREE char *text = encode(exec->input, exec->input_size);

		if (!text || json_object_set_new(
				     arguments, "input-data", json_string_nocheck(text)) < 0) {
			json_decref(arguments);
			return NULL;
		}
	}
	return request_text("guest-exec", arguments);
}

char *qga_request_status(int64_t pid)
{
	return request_text("guest-exec-status", json_pack("{sI}", "pid", (json_int_t)pid));
}

/* --- Answers --------------------------------------------------------------------------------- */

static int strange(struct err *err, const char *what)
{
	return err_set(
		err, ERR_DRIVER, NULL, "the guest's agent answers what makes no sense: %s", what);
}

/* Its "return"; a new reference. */
static int returned(const char *text, json_t **ret, struct err *err)
{
	json_auto_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *value = json_object_get(json, "return");

	if (!value)
		return strange(err, "no answer to what was asked");
	*ret = json_incref(value);
	return 0;
}

int qga_parse_pid(const char *text, int64_t *ret, struct err *err)
{
	json_auto_t *value = NULL;
	const json_t *pid;
	int r = returned(text, &value, err);

	if (r < 0)
		return r;
	pid = json_object_get(value, "pid");
	if (!json_is_integer(pid) || json_integer_value(pid) <= 0)
		return strange(err, "a process without a number");
	*ret = json_integer_value(pid);
	return 0;
}

int qga_parse_number(const char *text, int64_t *ret, struct err *err)
{
	json_auto_t *value = NULL;
	int r = returned(text, &value, err);

	if (r < 0)
		return r;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return strange(err, "no number");
	*ret = json_integer_value(value);
	return 0;
}

void qga_status_finish(struct qga_status *s)
{
	free(s->output);
	*s = (struct qga_status){0};
}

static int decode_output(const json_t *data, struct qga_status *ret, struct err *err)
{
	size_t length = json_string_length(data);
	AUTOFREE char *output = NULL;

	if (length / 4 * 3 > QGA_OUTPUT_MAX)
		return strange(err, "more than was asked for");
	output = malloc(length / 4 * 3 + 1);
	if (!output)
		return err_errno(err, ENOMEM, "no memory for what the guest says");
	if (parse_base64(json_string_value(data), length, (uint8_t *)output, &ret->output_size) < 0)
		return strange(err, "no base64");
	output[ret->output_size] = '\0';
	ret->output = TAKE_PTR(output);
	return 0;
}

/* "exitcode" or "signal", as wait(2) has them. */
static int decode_end(const json_t *value, int *ret, struct err *err)
{
	const json_t *code = json_object_get(value, "exitcode");
	const json_t *number = json_object_get(value, "signal");

	if (json_is_integer(number) && json_integer_value(number) > 0 &&
		json_integer_value(number) < 127)
		*ret = W_EXITCODE(0, (int)json_integer_value(number));
	else if (json_is_integer(code) && json_integer_value(code) >= 0 &&
		 json_integer_value(code) <= 255)
		*ret = W_EXITCODE((int)json_integer_value(code), 0);
	else
		return strange(err, "an end of no kind");
	return 0;
}

int qga_parse_status(const char *text, struct qga_status *ret, struct err *err)
{
	json_auto_t *value = NULL;
	const json_t *exited, *data;
	struct qga_status s = {0};
	int r = returned(text, &value, err);

	if (r < 0)
		return r;
	exited = json_object_get(value, "exited");
	if (!json_is_boolean(exited))
		return strange(err, "neither ended nor not");
	s.exited = json_is_true(exited);
	r = s.exited ? decode_end(value, &s.status, err) : 0;
	data = json_object_get(value, "out-data");
	if (r == 0 && s.exited && json_is_string(data))
		r = decode_output(data, &s, err);
	if (r < 0)
		return r;
	s.truncated = json_is_true(json_object_get(value, "out-truncated"));
	*ret = s;
	return 0;
}

int qga_parse_can(const char *text, const char *command, struct err *err)
{
	json_auto_t *value = NULL;
	const json_t *entry;
	size_t i;
	int r = returned(text, &value, err);

	if (r < 0)
		return r;
	json_array_foreach (json_object_get(value, "supported_commands"), i, entry) {
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (name && strcmp(name, command) == 0 &&
			json_is_true(json_object_get(entry, "enabled")))
			return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, NULL,
		"it does not do %s: the guest may have switched "
		"that off in qemu-ga's configuration",
		command);
}

int qga_parse_trim(const char *text, struct err *err)
{
	json_auto_t *value = NULL;
	const char *why = "it has none that could be";
	const json_t *entry;
	bool any = false;
	size_t i;
	int r = returned(text, &value, err);

	if (r < 0)
		return r;
	json_array_foreach (json_object_get(value, "paths"), i, entry) {
		const char *error = json_string_value(json_object_get(entry, "error"));

		any = any || !error;
		why = error ? error : why;
	}
	return any ? 0
		   : err_set(err, ERR_UNSUPPORTED, NULL,
			     "the guest could not trim any of its file systems: %.200s", why);
}
