/* Readers of single values. */
#include "agent/config/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/names.h"
#include "base/parse.h"
#include "model/name.h"
#include "model/role.h"

/* --- Mappings ---------------------------------------------------------------------------------
 */

static const struct key *find_key(const struct key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

/* Line of the pair with that key before pair `end`; 0 when there is none. */
static size_t earlier(const struct place *mapping, const char *name, size_t end)
{
	struct place key, value;
	const char *text;

	for (size_t i = 0; i < end && place_pair(mapping, i, &key, &value); i++)
		if (place_text(&key, &text, NULL) == 0 && strcmp(text, name) == 0)
			return key.node->start_mark.line + 1;
	return 0;
}

static int read_pair(
	const struct place *mapping, size_t i, const struct key *keys, void *base, struct err *err)
{
	struct place at, value;
	const struct key *key;
	const char *name;
	size_t line;
	int r;

	place_pair(mapping, i, &at, &value);
	memcpy(at.path, value.path, sizeof(at.path));
	r = place_text(&at, &name, err);
	if (r < 0)
		return r;
	key = find_key(keys, name);
	if (!key)
		return place_fail(&at, err, "is not a key that is known here");
	line = earlier(mapping, name, i);
	if (line > 0)
		return place_fail(&at, err, "is given twice, first in line %zu", line);
	return key->read(&value, key, (char *)base + key->offset, err);
}

int setting_keys(const struct place *place, const struct key *keys, void *base, struct err *err)
{
	struct place key, value;
	int r = 0;

	if (place->node->type != YAML_MAPPING_NODE)
		return place_fail(place, err, "must be a group of \"key: value\" lines");
	for (size_t i = 0; r == 0 && place_pair(place, i, &key, &value); i++)
		r = read_pair(place, i, keys, base, err);
	return r;
}

/* Its keys' offsets are those in the whole, its own is 0. */
int setting_section(const struct place *place, const struct key *key, void *base, struct err *err)
{
	return setting_keys(place, key->keys, base, err);
}

/* --- Numbers ----------------------------------------------------------------------------------
 */

static int read_number(
	const struct place *place, const struct key *key, uint64_t *ret, struct err *err)
{
	const char *text;
	uint64_t value;
	int r = place_text(place, &text, err);

	if (r < 0)
		return r;
	if (parse_u64(text, key->max, &value) < 0 || value < key->min)
		return place_fail(place, err,
			"must be a whole number from %llu to %llu, not \"%.40s\"",
			(unsigned long long)key->min, (unsigned long long)key->max, text);
	*ret = value;
	return 0;
}

int setting_u16(const struct place *place, const struct key *key, void *member, struct err *err)
{
	uint64_t value = 0;
	int r = read_number(place, key, &value, err);

	if (r == 0)
		*(uint16_t *)member = (uint16_t)value;
	return r;
}

int setting_u32(const struct place *place, const struct key *key, void *member, struct err *err)
{
	uint64_t value = 0;
	int r = read_number(place, key, &value, err);

	if (r == 0)
		*(uint32_t *)member = (uint32_t)value;
	return r;
}

int setting_u64(const struct place *place, const struct key *key, void *member, struct err *err)
{
	return read_number(place, key, member, err);
}

int setting_size(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	uint64_t value;
	int r = place_text(place, &text, err);

	if (r < 0)
		return r;
	if (parse_size(text, &value) < 0)
		return place_fail(place, err,
			"must be a size like \"20GiB\" or \"500MB\", not \"%.40s\"", text);
	if (value < key->min || value > key->max)
		return place_fail(place, err, "must be a size from %s to %s, not \"%.40s\"",
			FMT_SIZE(key->min), FMT_SIZE(key->max), text);
	*(uint64_t *)member = value;
	return 0;
}

int setting_duration(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	uint64_t value;
	int r = place_text(place, &text, err);

	if (r < 0)
		return r;
	if (parse_duration_ms(text, &value) < 0)
		return place_fail(place, err,
			"must be a duration like \"90s\" or \"1h30m\", not \"%.40s\"", text);
	if (value < key->min || value > key->max)
		return place_fail(place, err, "must be from %llu s to %llu s, not \"%.40s\"",
			(unsigned long long)key->min / 1000, (unsigned long long)key->max / 1000,
			text);
	*(uint64_t *)member = value;
	return 0;
}

int setting_mode(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	char *end;
	unsigned long value;
	int r = place_text(place, &text, err);

	if (r < 0)
		return r;
	value = strtoul(text, &end, 8);
	if (!isdigit((unsigned char)*text) || *end || value > key->max)
		return place_fail(
			place, err, "must be a mode in octal like 0660, not \"%.40s\"", text);
	*(uint32_t *)member = (uint32_t)value;
	return 0;
}

int setting_ipv4(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	if (*text && parse_ipv4(text, member) < 0)
		return place_fail(
			place, err, "must be an IPv4 address like 10.5.0.1, not \"%.40s\"", text);
	return 0;
}

/* --- Words ------------------------------------------------------------------------------------
 */

int setting_bool(const struct place *place, const struct key *key, void *member, struct err *err)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}};
	const char *text;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].text, text) == 0) {
			*(bool *)member = words[i].value;
			return 0;
		}
	return place_fail(place, err, "must be true or false, not \"%.40s\"", text);
}

int setting_log_level(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	if (log_level_from_string(text, member) < 0)
		return place_fail(
			place, err, "must be error, warning, info or debug, not \"%.40s\"", text);
	return 0;
}

int setting_role(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = place_text(place, &text, err);

	(void)key;
	if (r < 0)
		return r;
	for (enum role role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
		if (strcmp(role_to_string(role), text) == 0) {
			*(enum role *)member = role;
			return 0;
		}
	return place_fail(place, err, "must be viewer, operator or admin, not \"%.40s\"", text);
}

/* --- Text -------------------------------------------------------------------------------------
 */

static int replace_text(char **member, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return err_errno(err, ENOMEM, "cannot read the configuration");
	free(*member);
	*member = copy;
	return 0;
}

static int get_text(
	const struct place *place, const struct key *key, const char **ret, struct err *err)
{
	size_t length;
	int r = place_text(place, ret, err);

	if (r < 0)
		return r;
	length = strlen(*ret);
	if (length < key->min)
		return place_fail(place, err, "must not be empty");
	if (length > key->max)
		return place_fail(place, err, "must have at most %llu characters, not %zu",
			(unsigned long long)key->max, length);
	return 0;
}

int setting_text(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = get_text(place, key, &text, err);

	return r < 0 ? r : replace_text(member, text, err);
}

int setting_path(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = get_text(place, key, &text, err);

	if (r < 0)
		return r;
	if (*text && *text != '/')
		return place_fail(
			place, err, "must be a path that begins with \"/\", not \"%.60s\"", text);
	return replace_text(member, text, err);
}

int setting_host_name(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = get_text(place, key, &text, err);

	if (r < 0)
		return r;
	if (*text && name_check_guest(text, place->path, err) < 0)
		return place_prefix(place, err);
	return replace_text(member, text, err);
}

int setting_word(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = get_text(place, key, &text, err);

	if (r < 0)
		return r;
	if (name_check_word(text, place->path, err) < 0)
		return place_prefix(place, err);
	return replace_text(member, text, err);
}

/* What the kernel takes as a link's name (dev_valid_name), without what tools trip over. */
int setting_link(const struct place *place, const struct key *key, void *member, struct err *err)
{
	const char *text;
	int r = get_text(place, key, &text, err);

	if (r < 0)
		return r;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
			strlen(text) ||
		!isalpha((unsigned char)*text))
		return place_fail(place, err,
			"must be a link's name of letters, digits, \"-\", \"_\" and \".\", not "
			"\"%.40s\"",
			text);
	return replace_text(member, text, err);
}

int setting_environment(
	const struct place *place, const struct key *key, void *member, struct err *err)
{
	static const char *const names[] = {"dev", "staging", "preprod", "prod"};
	const char *text;
	int r = get_text(place, key, &text, err);

	if (r < 0)
		return r;
	if (names_find(names, ARRAY_SIZE(names), text) >= 0)
		return replace_text(member, text, err);
	return place_fail(place, err, "must be dev, staging, preprod or prod, not \"%.40s\"", text);
}
