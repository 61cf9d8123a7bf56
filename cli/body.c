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
#include "cli/health.h"
#include "cli/keys.h"

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
	{0},
};

#define USER_DATA_MAX (1 << 20) /* what fits in a request; the agent says what it takes */
#define LABEL_PREFIX  "label."

static const struct setting *find_setting(const char *name, size_t length)
{
	for (const struct setting *setting = BODY_SETTINGS; setting->name; setting++)
		if (strncmp(setting->name, name, length) == 0 && setting->name[length] == '\0')
			return setting;
	return NULL;
}

int body_set(json_t *body, const char *path, json_t *value, struct err *err)
{
	size_t length = strcspn(path, ".");
	int r;

	if (path[length] == '.') {
		json_t *inner = json_object_getn(body, path, length);

		if (!inner) {
			inner = json_object();
			if (json_object_setn_new(body, path, length, inner) < 0)
				inner = NULL;
		}
		if (inner)
			return body_set(inner, path + length + 1, value, err);
		json_decref(value);
		return err_errno(err, ENOMEM, "making a request");
	}
	r = json_object_set_new(body, path, value);
	return r < 0 ? err_set(err, ERR_INVALID, NULL, "%s is not UTF-8 text", path) : 0;
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

static int set_setting(
	json_t *body, const struct setting *setting, const char *text, struct err *err)
{
	if (setting->kind == SETTING_HEALTH)
		return set_health(body, text, err);
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

/* Keys are set as they are: one with a dot is for the agent to refuse. */
static int set_label(json_t *body, const char *key, size_t length, json_t *value, struct err *err)
{
	json_t *labels = json_object_get(body, "labels");

	if (!labels) {
		labels = json_object();
		json_object_set_new(body, "labels", labels);
	}
	if (json_object_setn_new(labels, key, length, value) < 0)
		return err_set(err, ERR_INVALID, NULL, "the label is not UTF-8 text");
	return 0;
}

static int add_label(json_t *body, const char *word, struct err *err)
{
	const char *equals = strchr(word, '=');

	if (!equals || equals == word)
		return err_set(err, ERR_INVALID, NULL, "%s is not a label: KEY=VALUE", word);
	return set_label(body, word, (size_t)(equals - word), json_string(equals + 1), err);
}

static int add_labels(json_t *body, const struct args *args, struct err *err)
{
	size_t position = 0;
	const char *word;

	while ((word = args_next(args, "label", &position))) {
		int r = add_label(body, word, err);

		if (r < 0)
			return r;
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
		const char *text = args_value(args, setting->name);
		int r = 0;

		if (text && setting->kind != SETTING_SWITCH)
			r = set_setting(body, setting, text, err);
		if (r < 0)
			return r;
	}
	return 0;
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
		r = add_labels(body, args, err);
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

int body_add_assignment(json_t *patch, const char *word, struct err *err)
{
	size_t length = strcspn(word, "=");
	const struct setting *setting = find_setting(word, length);
	const char *value = word + length + 1;

	if (word[length] != '=')
		return err_set(err, ERR_INVALID, NULL, "%s is not KEY=VALUE", word);
	if (strncmp(word, LABEL_PREFIX, strlen(LABEL_PREFIX)) == 0)
		return set_label(patch, word + strlen(LABEL_PREFIX), length - strlen(LABEL_PREFIX),
			*value ? json_string(value) : json_null(), err);
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
