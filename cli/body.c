/* Request bodies. Values are handed on as they were written: the agent checks them and names the
 * field that is wrong, in one place for all its clients. */
#include "cli/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/names.h"
#include "base/parse.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/health.h"
#include "cli/keys.h"
#include "cli/words.h"

const struct setting BODY_SETTINGS[] = {
	{"image", "image", SETTING_TEXT, false},
	{"driver", "driver", SETTING_TEXT, false},
	{"slots", "slots", SETTING_NUMBER, true},
	{"cpus", "limits.cpus", SETTING_NUMBER, true},
	{"memory", "limits.memory", SETTING_TEXT, true},
	{"swap", "limits.swap", SETTING_TEXT, true},
	{"pids", "limits.pids", SETTING_NUMBER, true},
	{"io-weight", "limits.io_weight", SETTING_NUMBER, true},
	{"io-read", "limits.io_read", SETTING_TEXT, true},
	{"io-write", "limits.io_write", SETTING_TEXT, true},
	{"net-ingress", "limits.net_ingress", SETTING_TEXT, true},
	{"net-egress", "limits.net_egress", SETTING_TEXT, true},
	{"size", "storage.size", SETTING_TEXT, false},
	{"address", "network.address", SETTING_TEXT, false},
	{"mac", "network.mac", SETTING_TEXT, false},
	{"env", "environment", SETTING_TEXT, true},
	{"environment", "environment", SETTING_TEXT, true},
	{"autostart", "autostart.on", SETTING_SWITCH, true},
	{"autostart-order", "autostart.order", SETTING_NUMBER, true},
	{"autostart-delay", "autostart.delay", SETTING_TEXT, true},
	{"restart", "restart.policy", SETTING_TEXT, true},
	{"restart-max", "restart.max", SETTING_NUMBER, true},
	{"health", "health", SETTING_HEALTH, true},
	{"health-interval", "health.interval", SETTING_TEXT, true},
	{"health-timeout", "health.timeout", SETTING_TEXT, true},
	{"health-retries", "health.retries", SETTING_NUMBER, true},
	{"health-grace", "health.grace", SETTING_TEXT, true},
	{"health-restart", "health.restart", SETTING_SWITCH, true},
	{"entrypoint", "container.entrypoint", SETTING_WORDS, true},
	{"command", "container.command", SETTING_WORDS, true},
	{"user", "container.user", SETTING_TEXT, true},
	{"workdir", "container.working_dir", SETTING_TEXT, true},
	{"stop-signal", "container.stop_signal", SETTING_TEXT, true},
	{"terminal", "container.terminal", SETTING_SWITCH, true},
	{"data", "container.data", SETTING_WORDS, true},
	{0},
};

#define USER_DATA_MAX (1 << 20) /* what fits in a request; the agent says what it takes */

/* What bears names that people choose: --OPTION NAME=VALUE, and OPTION.NAME=VALUE of `set`. */
static const struct named {
	const char *option, *path, *what;
} NAMED[] = {
	{"label", "labels", "a label: KEY=VALUE"},
	{"var", "container.environment", "a variable: NAME=VALUE"},
};

static const struct setting *find_setting(const char *name, size_t length)
{
	for (const struct setting *setting = BODY_SETTINGS; setting->name; setting++)
		if (strncmp(setting->name, name, length) == 0 && setting->name[length] == '\0')
			return setting;
	return NULL;
}

/* The object at a path of names joined by dots, made when it is not there; NULL without memory. */
static json_t *object_at(json_t *body, const char *path)
{
	while (body && *path) {
		size_t length = strcspn(path, ".");
		json_t *inner = json_object_getn(body, path, length);

		if (!inner) {
			inner = json_object();
			if (json_object_setn_new(body, path, length, inner) < 0)
				inner = NULL;
		}
		body = inner;
		path += length + (path[length] == '.');
	}
	return body;
}

int body_set(json_t *body, const char *path, json_t *value, struct err *err)
{
	const char *dot = strrchr(path, '.');
	AUTOFREE char *where = strndup(path, dot ? (size_t)(dot - path) : 0);
	json_t *object = where ? object_at(body, where) : NULL;

	if (!object) {
		json_decref(value);
		return err_errno(err, ENOMEM, "making a request");
	}
	if (json_object_set_new(object, dot ? dot + 1 : path, value) < 0)
		return err_set(err, ERR_INVALID, NULL, "%s is not UTF-8 text", path);
	return 0;
}

/* A number where the text is one. What is not goes as text, for the agent to refuse. */
static json_t *number_or_text(const char *text)
{
	json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);

	if (json_is_number(number))
		return number;
	json_decref(number);
	return json_string(text);
}

static json_t *switch_or_text(const char *text)
{
	static const char *const ON[] = {"on", "yes", "true"}, *const OFF[] = {
								       "off", "no", "false"};

	for (size_t i = 0; i < ARRAY_SIZE(ON); i++)
		if (strcmp(text, ON[i]) == 0 || strcmp(text, OFF[i]) == 0)
			return json_boolean(strcmp(text, ON[i]) == 0);
	return json_string(text);
}

static json_t *setting_value(const struct setting *setting, const char *text)
{
	switch (setting->kind) {
	case SETTING_NUMBER: return number_or_text(text);
	case SETTING_SWITCH: return switch_or_text(text);
	default: return json_string(text);
	}
}

/* Its members one by one: other settings may name further ones. */
static int set_health(json_t *body, const char *text, struct err *err)
{
	json_auto_t *health = NULL;
	int r = health_read(text, &health, err);
	const char *key;
	json_t *value;

	if (r < 0)
		return r;
	json_object_foreach (health, key, value) {
		char path[32];

		snprintf(path, sizeof(path), "health.%s", key);
		r = body_set(body, path, json_incref(value), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_words(json_t *body, const char *path, const char *text, struct err *err)
{
	const char *name = strrchr(path, '.') + 1;
	AUTOFREE char *where = strndup(path, (size_t)(name - 1 - path));
	json_t *object = where ? object_at(body, where) : NULL;
	json_t *array = json_object_get(object, name);

	if (!array) {
		array = json_array();
		if (json_object_set_new(object, name, array) < 0)
			return err_errno(err, ENOMEM, "making a request");
	}
	return words_add(array, text, err);
}

static int set_setting(
	json_t *body, const struct setting *setting, const char *text, struct err *err)
{
	if (setting->kind == SETTING_HEALTH)
		return set_health(body, text, err);
	if (setting->kind == SETTING_WORDS)
		return add_words(body, setting->path, text, err);
	return body_set(body, setting->path, setting_value(setting, text), err);
}

/* --- Ports ----------------------------------------------------------------------------------- */

static const char *const PROTOS[] = {"tcp", "udp"};

static const char *find_proto(const char *text)
{
	int found = names_find(PROTOS, ARRAY_SIZE(PROTOS), text);

	return found < 0 ? NULL : PROTOS[found];
}

static int refuse_port(const char *word, struct err *err)
{
	return err_set(err, ERR_INVALID, NULL,
		"%s is not a port: [tcp:|udp:][HOST:]GUEST[:PURPOSE], with numbers from 1 to 65535",
		word);
}

static bool is_number(const char *text)
{
	uint64_t ignored;

	return text && parse_u64(text, UINT16_MAX, &ignored) == 0;
}

/* Splits at colons, in place; returns how many parts there are, at most `max`. */
static size_t split(char *text, char **parts, size_t max)
{
	size_t count = 0;

	for (char *part = text; part && count < max; count++) {
		parts[count] = part;
		part = strchr(part, ':');
		if (part)
			*part++ = '\0';
	}
	return count;
}

int body_port(const char *word, json_t **ret, struct err *err)
{
	AUTOFREE char *copy = strdup(word);
	char *parts[5] = {0}, **part = parts;
	const char *proto, *host = NULL;
	json_t *port;

	if (!copy || split(copy, parts, ARRAY_SIZE(parts)) == ARRAY_SIZE(parts))
		return refuse_port(word, err);
	proto = find_proto(*part);
	part += proto ? 1 : 0;
	if (is_number(part[0]) && is_number(part[1]))
		host = *part++;
	if (!is_number(part[0]) || is_number(part[1]) || (part[1] && part[2]))
		return refuse_port(word, err);
	port = json_pack("{s:s, s:i}", "proto", proto ? proto : PROTOS[0], "guest", atoi(part[0]));
	if (host)
		json_object_set_new(port, "host", json_integer(atoi(host)));
	if (part[1])
		json_object_set_new(port, "purpose", json_string(part[1]));
	*ret = port;
	return 0;
}

int body_port_number(const char *word, unsigned *ret_port, const char **ret_proto, struct err *err)
{
	AUTOFREE char *copy = strdup(word);
	char *slash = copy ? strchr(copy, '/') : NULL;
	const char *proto = slash ? find_proto(slash + 1) : PROTOS[0];
	uint64_t port;

	if (slash)
		*slash = '\0';
	if (!copy || !proto || parse_u64(copy, UINT16_MAX, &port) < 0 || port == 0)
		return err_set(err, ERR_INVALID, NULL,
			"%s is not a port: a number from 1 to 65535, with /udp behind it where it "
			"is "
			"not tcp",
			word);
	*ret_port = (unsigned)port;
	*ret_proto = proto;
	return 0;
}

/* --- Guests ---------------------------------------------------------------------------------- */

static int add_ports(json_t *body, const struct args *args, struct err *err)
{
	json_t *ports = NULL;
	size_t position = 0;
	const char *word;

	while ((word = args_next(args, "port", &position))) {
		json_t *port;
		int r = body_port(word, &port, err);

		if (r < 0)
			return r;
		if (!ports) {
			ports = json_array();
			json_object_set_new(body, "ports", ports);
		}
		json_array_append_new(ports, port);
	}
	return 0;
}

/* Names are set as they are: one with a dot is for the agent to refuse. */
static int set_named(
	json_t *body, const struct named *named, const char *word, bool removes, struct err *err)
{
	const char *equals = strchr(word, '=');
	json_t *object, *value;

	if (!equals || equals == word)
		return err_set(err, ERR_INVALID, NULL, "%s is not %s", word, named->what);
	object = object_at(body, named->path);
	value = removes && !equals[1] ? json_null() : json_string(equals + 1);
	if (json_object_setn_new(object, word, (size_t)(equals - word), value) < 0)
		return err_set(err, ERR_INVALID, NULL, "the %s is not UTF-8 text", named->option);
	return 0;
}

static int add_all_named(json_t *body, const struct args *args, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(NAMED); i++) {
		size_t position = 0;
		const char *word;

		while ((word = args_next(args, NAMED[i].option, &position))) {
			int r = set_named(body, &NAMED[i], word, false, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int add_switches(json_t *body, const struct args *args, struct err *err)
{
	static const struct {
		const char *option, *path;
		bool value;
	} SWITCHES[] = {
		{"privileged", "privileged", true},
		{"no-start", "start", false},
		{"autostart", "autostart.on", true},
		{"no-autostart", "autostart.on", false},
		{"health-restart", "health.restart", true},
		{"no-terminal", "container.terminal", false},
	};

	if (args_has(args, "autostart") && args_has(args, "no-autostart"))
		return err_set(err, ERR_INVALID, NULL,
			"--autostart and --no-autostart contradict each other");
	for (size_t i = 0; i < ARRAY_SIZE(SWITCHES); i++) {
		int r = 0;

		if (args_has(args, SWITCHES[i].option))
			r = body_set(body, SWITCHES[i].path, json_boolean(SWITCHES[i].value), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_settings(json_t *body, const struct args *args, struct err *err)
{
	for (const struct setting *setting = BODY_SETTINGS; setting->name; setting++) {
		size_t position = 0;
		const char *text;
		int r = 0;

		while (r == 0 && (text = args_next(args, setting->name, &position)))
			if (setting->kind != SETTING_SWITCH)
				r = set_setting(body, setting, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What follows the name of a guest that is created. */
static int add_command(json_t *body, const struct args *args, struct err *err)
{
	json_t *command;
	int r;

	if (args->command->run != cmd_create || args->operands_count < 2)
		return 0;
	command = json_array();
	r = body_set(body, "container.command", command, err);
	for (size_t i = 1; r == 0 && i < args->operands_count; i++)
		if (json_array_append_new(command, json_string(args->operands[i])) < 0)
			r = err_set(err, ERR_INVALID, NULL, "the command is not UTF-8 text");
	return r;
}

static int add_keys(json_t *body, const struct args *args, struct err *err)
{
	size_t position = 0;
	const char *word;

	while ((word = args_next(args, "ssh-key", &position))) {
		json_auto_t *keys = NULL;
		int r = keys_read(word, &keys, err);

		if (r < 0)
			return r;
		if (!json_object_get(body, "ssh_keys"))
			json_object_set_new(body, "ssh_keys", json_array());
		json_array_extend(json_object_get(body, "ssh_keys"), keys);
	}
	return 0;
}

static int add_raw(json_t *body, const struct args *args)
{
	size_t position = 0;
	const char *line;

	while ((line = args_next(args, "raw", &position))) {
		if (!json_object_get(body, "raw"))
			json_object_set_new(body, "raw", json_array());
		json_array_append_new(json_object_get(body, "raw"), json_string(line));
	}
	return 0;
}

static int add_user_data(json_t *body, const struct args *args, struct err *err)
{
	const char *file = args_value(args, "user-data");
	AUTOFREE char *text = NULL;
	int r;

	if (!file)
		return 0;
	r = file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, USER_DATA_MAX, &text, NULL);
	if (r < 0)
		return err_set(err, ERR_INVALID, NULL, "%s: %s", file, strerrordesc_np(-r));
	return body_set(body, "user_data", json_string(text), err);
}

int body_for_new(const struct args *args, const char *name, json_t **ret, struct err *err)
{
	json_auto_t *body = json_object();
	int r = body_set(body, "name", json_string(name), err);

	if (r == 0)
		r = add_settings(body, args, err);
	if (r == 0)
		r = add_switches(body, args, err);
	if (r == 0)
		r = add_ports(body, args, err);
	if (r == 0)
		r = add_all_named(body, args, err);
	if (r == 0)
		r = add_command(body, args, err);
	if (r == 0)
		r = add_keys(body, args, err);
	if (r == 0)
		r = add_raw(body, args);
	if (r == 0)
		r = add_user_data(body, args, err);
	if (r == 0)
		*ret = TAKE_PTR(body);
	return r;
}

/* "label.KEY=VALUE": the prefix's length with its dot, or 0. */
static size_t named_prefix(const struct named *named, const char *word)
{
	size_t length = strlen(named->option);

	return strncmp(word, named->option, length) == 0 && word[length] == '.' ? length + 1 : 0;
}

int body_add_assignment(json_t *patch, const char *word, struct err *err)
{
	size_t length = strcspn(word, "=");
	const struct setting *setting = find_setting(word, length);
	const char *value = word + length + 1;

	if (word[length] != '=')
		return err_set(err, ERR_INVALID, NULL, "%s is not KEY=VALUE", word);
	for (size_t i = 0; i < ARRAY_SIZE(NAMED); i++)
		if (named_prefix(&NAMED[i], word) > 0)
			return set_named(
				patch, &NAMED[i], word + named_prefix(&NAMED[i], word), true, err);
	if (!setting)
		return err_set(err, ERR_INVALID, NULL,
			"there is no setting %.*s: `corpus help set` lists them", (int)length,
			word);
	if (!setting->changeable)
		return err_set(err, ERR_INVALID, NULL, "%s cannot be changed after creation%s",
			setting->name,
			strcmp(setting->name, "size") == 0 ? ": use enlarge or trim" : "");
	return *value ? set_setting(patch, setting, value, err)
		      : body_set(patch, setting->path, json_null(), err);
}
