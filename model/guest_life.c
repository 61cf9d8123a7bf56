/* Life without hands, as requests say it and as the API shows it: start with the node, restart, and
 * the health check. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/strv.h"
#include "model/guest_fields.h"

#define DAY_S UINT32_C(86400)

static const char *const POLICIES[] = {[GUEST_RESTART_NEVER] = "never",
	[GUEST_RESTART_ON_FAILURE] = "on-failure",
	[GUEST_RESTART_ALWAYS] = "always"};

static const char *const CHECKS[] = {[GUEST_CHECK_NONE] = "none",
	[GUEST_CHECK_HTTP] = "http",
	[GUEST_CHECK_TCP] = "tcp",
	[GUEST_CHECK_EXEC] = "exec"};

static const char *const HEALTH[] = {[GUEST_HEALTH_NONE] = "none",
	[GUEST_HEALTH_STARTING] = "starting",
	[GUEST_HEALTH_HEALTHY] = "healthy",
	[GUEST_HEALTH_UNHEALTHY] = "unhealthy"};

const char *guest_restart_to_string(enum guest_restart policy)
{
	return POLICIES[policy];
}

const char *guest_check_to_string(enum guest_check check)
{
	return CHECKS[check];
}

const char *guest_health_to_string(enum guest_health_state state)
{
	return HEALTH[state];
}

int guest_read_policy(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	int policy = names_find(POLICIES, ARRAY_SIZE(POLICIES), json_string_value(value));

	(void)field;
	if (policy < 0)
		return reader_expected(path, "one of never, on-failure, always", err);
	*(enum guest_restart *)member = (enum guest_restart)policy;
	return 0;
}

int guest_read_health_state(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	int state = names_find(HEALTH, ARRAY_SIZE(HEALTH), json_string_value(value));

	(void)field;
	if (state < 0)
		return reader_expected(path, "a state of health", err);
	*(enum guest_health_state *)member = (enum guest_health_state)state;
	return 0;
}

int guest_read_check(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	int check = names_find(CHECKS, ARRAY_SIZE(CHECKS), json_string_value(value));

	(void)field;
	if (check <= GUEST_CHECK_NONE)
		return reader_expected(path, "one of http, tcp, exec", err);
	*(enum guest_check *)member = (enum guest_check)check;
	return 0;
}

const struct reader_field GUEST_AUTOSTART[GUEST_AUTOSTART_FIELDS] = {
	{.name = "on", .read = reader_bool, .offset = offsetof(struct guest, autostart.on)},
	{.name = "order",
		.read = reader_u32,
		.offset = offsetof(struct guest, autostart.order),
		.max = GUEST_ORDER_MAX},
	{.name = "delay",
		.read = reader_seconds,
		.offset = offsetof(struct guest, autostart.delay_s),
		.max = 3600},
};

const struct reader_field GUEST_RESTART_POLICY[GUEST_RESTART_POLICY_FIELDS] = {
	{.name = "policy",
		.read = guest_read_policy,
		.offset = offsetof(struct guest, restart.policy)},
	{.name = "max",
		.read = reader_u32,
		.offset = offsetof(struct guest, restart.max),
		.max = 1000000},
};

/* --- Health checks -----------------------------------------------------------------------------
 */

static int check_path(const char *text, const char *field, struct err *err)
{
	if (*text != '/' || strlen(text) > GUEST_HEALTH_PATH_MAX)
		return err_set(err, ERR_INVALID, field,
			"%s must begin with / and have at most %d bytes", field,
			GUEST_HEALTH_PATH_MAX);
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 || (unsigned char)*text >= 0x7f)
			return reader_expected(field,
				"a path without blanks and in ASCII: others as %20 and so on", err);
	return 0;
}

static int check_word(const char *text, const char *field, struct err *err)
{
	if (strlen(text) > GUEST_HEALTH_WORD_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d bytes", field,
			GUEST_HEALTH_WORD_MAX);
	return 0;
}

#define GRACE_S		30
#define GRACE_MACHINE_S 300

#define MEMBER(key, reader, member)                                                                \
	.name = key, .read = reader, .offset = offsetof(struct guest_health, member)

static const struct reader_field FIELDS[] = {
	{MEMBER("check", guest_read_check, check)},
	{MEMBER("port", reader_u16, port), .min = 1, .max = UINT16_MAX},
	{MEMBER("path", reader_text, path), .check = check_path},
	{MEMBER("command", reader_texts, command), .check = check_word,
		.count = GUEST_HEALTH_COMMAND_MAX},
	{MEMBER("interval", reader_seconds, interval_s), .min = 1, .max = DAY_S},
	{MEMBER("timeout", reader_seconds, timeout_s), .min = 1, .max = 3600},
	{MEMBER("retries", reader_u32, retries), .min = 1, .max = 1000},
	{MEMBER("grace", reader_seconds, grace_s), .max = DAY_S},
	{MEMBER("restart", reader_bool, restart)},
};

/* Which check takes which field, and whether it can do without. */
static const struct {
	const char *name;
	bool taken[4], needed[4]; /* by enum guest_check */
	const char *takers;
} SPECIFIC[] = {
	{"port", {[GUEST_CHECK_HTTP] = true, [GUEST_CHECK_TCP] = true},
		{[GUEST_CHECK_HTTP] = true, [GUEST_CHECK_TCP] = true}, "http and tcp"},
	{"path", {[GUEST_CHECK_HTTP] = true}, {false}, "http"},
	{"command", {[GUEST_CHECK_EXEC] = true}, {[GUEST_CHECK_EXEC] = true}, "exec"},
};

static int check_specific(const json_t *json, const struct guest_health *health, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(SPECIFIC); i++) {
		const json_t *value = json_object_get(json, SPECIFIC[i].name);
		bool given = value && !json_is_null(value);
		char full[ERR_FIELD_MAX];

		reader_path(full, "health", SPECIFIC[i].name);
		if (given && !SPECIFIC[i].taken[health->check])
			return err_set(err, ERR_INVALID, full,
				"%s is for checks of %s: leave it out, or set it to null", full,
				SPECIFIC[i].takers);
		if (!given && SPECIFIC[i].needed[health->check])
			return err_set(err, ERR_INVALID, full,
				"%s is missing: a check of %s needs it", full,
				guest_check_to_string(health->check));
	}
	if (health->check == GUEST_CHECK_EXEC && (!health->command || !*health->command[0]))
		return reader_expected("health.command", "a command and its arguments", err);
	return 0;
}

int guest_check_health(const json_t *json, struct guest *guest, struct err *err)
{
	struct guest_health *health = &guest->health;
	const json_t *given = json_object_get(json, "health");
	int r;

	if (!json_is_object(given))
		return 0;
	if (health->check == GUEST_CHECK_NONE)
		return err_set(err, ERR_INVALID, "health.check",
			"health.check is missing: one of http, tcp, exec");
	r = check_specific(given, health, err);
	if (r < 0 || health->check != GUEST_CHECK_HTTP || health->path)
		return r;
	health->path = strdup("/");
	return health->path ? 0 : err_errno(err, ENOMEM, "cannot read health");
}

void guest_health_finish(struct guest_health *health)
{
	free(health->path);
	strv_free(health->command);
	*health = (struct guest_health){0};
}

bool guest_health_copy(struct guest_health *ret, const struct guest_health *health)
{
	*ret = *health;
	ret->path = health->path ? strdup(health->path) : NULL;
	return strv_copy(&ret->command, health->command) && (!health->path || ret->path);
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool guest_health_equal(const struct guest_health *a, const struct guest_health *b)
{
	return a->check == b->check && a->port == b->port && texts_equal(a->path, b->path) &&
	       strv_equal(a->command, b->command) && a->interval_s == b->interval_s &&
	       a->timeout_s == b->timeout_s && a->retries == b->retries &&
	       a->grace_s == b->grace_s && a->restart == b->restart;
}

int guest_read_health(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	struct guest_health *health = member;

	(void)field;
	guest_health_finish(health);
	health->interval_s = 30;
	health->timeout_s = 5;
	health->retries = 3;
	health->grace_s = GUEST_HEALTH_GRACE_DEFAULT;
	return reader_object(value, path, FIELDS, ARRAY_SIZE(FIELDS), health, err);
}

uint32_t guest_health_grace(const struct guest *guest)
{
	if (guest->health.grace_s != GUEST_HEALTH_GRACE_DEFAULT)
		return guest->health.grace_s;
	return guest->disk ? GRACE_MACHINE_S : GRACE_S;
}

/* --- Showing ---------------------------------------------------------------------------------- */

static json_t *seconds(uint32_t value)
{
	return json_sprintf("%us", value);
}

json_t *guest_autostart_to_json(const struct guest *guest)
{
	return json_pack("{s:b, s:I, s:o}", "on", guest->autostart.on, "order",
		(json_int_t)guest->autostart.order, "delay", seconds(guest->autostart.delay_s));
}

json_t *guest_restart_to_json(const struct guest *guest)
{
	return json_pack("{s:s, s:I}", "policy", POLICIES[guest->restart.policy], "max",
		(json_int_t)guest->restart.max);
}

/* What the check does not take is left out: the answer can be sent back. */
json_t *guest_health_to_json(const struct guest *guest)
{
	const struct guest_health *health = &guest->health;
	json_t *json;

	if (health->check == GUEST_CHECK_NONE)
		return json_null();
	json = json_pack("{s:s, s:o, s:o, s:I, s:o, s:b}", "check", CHECKS[health->check],
		"interval", seconds(health->interval_s), "timeout", seconds(health->timeout_s),
		"retries", (json_int_t)health->retries, "grace", seconds(guest_health_grace(guest)),
		"restart", health->restart);
	if (health->port)
		json_object_set_new(json, "port", json_integer(health->port));
	if (health->path)
		json_object_set_new(json, "path", json_string(health->path));
	if (health->command)
		json_object_set_new(json, "command", guest_texts_to_json(health->command));
	return json;
}
