/* JSON objects to structs, by tables. */
#include "model/reader.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"

#define EXPECTED_SIZE "a size: bytes, or a string like \"5GiB\""
#define EXPECTED_CPUS "a number of CPUs, like 1.5"
#define EXPECTED_TIME "a duration in whole seconds: a number, or a string like \"10s\""

void reader_path(char ret[static ERR_FIELD_MAX], const char *path, const char *name)
{
	snprintf(ret, ERR_FIELD_MAX, "%s%s%s", path, *path ? "." : "", name);
}

void reader_path_index(char ret[static ERR_FIELD_MAX], const char *path, size_t index)
{
	snprintf(ret, ERR_FIELD_MAX, "%s[%zu]", path, index);
}

int reader_expected(const char *path, const char *expected, struct err *err)
{
	return err_set(
		err, ERR_INVALID, path, "%s must be %s", *path ? path : "the request", expected);
}

static const struct reader_field *find_field(
	const struct reader_field *fields, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		const struct reader_field *field = &fields[i];
		const struct reader_field *found =
			!field->name ? find_field(field->fields, field->fields_count, name)
			: strcmp(field->name, name) == 0 ? field
							 : NULL;

		if (found)
			return found;
	}
	return NULL;
}

static int read_member(const struct reader_field *field, const char *name, const char *path,
	const json_t *value, void *target, struct err *err)
{
	char full[ERR_FIELD_MAX];

	reader_path(full, path, name);
	if (!field)
		return err_set(err, ERR_INVALID, full, "%s is not a known field", full);
	if (field->refusal)
		return err_set(err, ERR_INVALID, full, "%s %s", full, field->refusal);
	if (json_is_null(value))
		return 0;
	return field->read(field, value, full, (char *)target + field->offset, err);
}

static int check_required(
	const json_t *json, const char *path, const struct reader_field *field, struct err *err)
{
	const json_t *value = json_object_get(json, field->name);
	char full[ERR_FIELD_MAX];

	if (!field->required || (value && !json_is_null(value)))
		return 0;
	reader_path(full, path, field->name);
	return err_set(err, ERR_INVALID, full, "%s is missing", full);
}

static int check_all_required(const json_t *json, const char *path,
	const struct reader_field *fields, size_t count, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = fields[i].name ? check_required(json, path, &fields[i], err)
				   : check_all_required(json, path, fields[i].fields,
					     fields[i].fields_count, err);
	return r;
}

int reader_object(const json_t *json, const char *path, const struct reader_field *fields,
	size_t count, void *target, struct err *err)
{
	const char *name;
	json_t *value;
	int r;

	if (!json_is_object(json))
		return reader_expected(path, "a JSON object", err);
	json_object_foreach ((json_t *)json, name, value) {
		r = read_member(find_field(fields, count, name), name, path, value, target, err);
		if (r < 0)
			return r;
	}
	return check_all_required(json, path, fields, count, err);
}

int reader_nested(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	return reader_object(value, path, field->fields, field->fields_count, member, err);
}

int reader_bool(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	if (!json_is_boolean(value))
		return reader_expected(path, "true or false", err);
	*(bool *)member = json_is_true(value);
	return 0;
}

static bool in_range(const struct reader_field *field, uint64_t value)
{
	return (value == 0 && field->zero) || (value >= field->min && value <= field->max);
}

/* A whole number within the field's range. */
static int read_number(const struct reader_field *field, const json_t *value, const char *path,
	uint64_t *ret, struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value))
		return reader_expected(path, "a whole number", err);
	if (number < 0 || !in_range(field, (uint64_t)number))
		return err_set(err, ERR_INVALID, path,
			"%s must be a whole number from %llu to %llu", path,
			(unsigned long long)field->min, (unsigned long long)field->max);
	*ret = (uint64_t)number;
	return 0;
}

int reader_u16(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	uint64_t number = 0;
	int r = read_number(field, value, path, &number, err);

	if (r == 0)
		*(uint16_t *)member = (uint16_t)number;
	return r;
}

int reader_u32(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	uint64_t number = 0;
	int r = read_number(field, value, path, &number, err);

	if (r == 0)
		*(uint32_t *)member = (uint32_t)number;
	return r;
}

int reader_u64(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	return read_number(field, value, path, member, err);
}

/* The text of a string without NUL bytes in it, or NULL. */
static const char *plain_string(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

int reader_size(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = plain_string(value);
	uint64_t bytes;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		bytes = (uint64_t)json_integer_value(value);
	else if (!text || parse_size(text, &bytes) < 0)
		return reader_expected(path, EXPECTED_SIZE, err);
	if (!in_range(field, bytes))
		return err_set(err, ERR_INVALID, path, "%s must be a size from %s to %s", path,
			FMT_SIZE(field->min), FMT_SIZE(field->max));
	*(uint64_t *)member = bytes;
	return 0;
}

int reader_seconds(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = plain_string(value);
	uint64_t seconds, ms;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		seconds = (uint64_t)json_integer_value(value);
	else if (!text || parse_duration_ms(text, &ms) < 0 || ms % 1000 != 0)
		return reader_expected(path, EXPECTED_TIME, err);
	else
		seconds = ms / 1000;
	if (!in_range(field, seconds))
		return err_set(err, ERR_INVALID, path, "%s must be a duration from %llus to %llus",
			path, (unsigned long long)field->min, (unsigned long long)field->max);
	*(uint32_t *)member = (uint32_t)seconds;
	return 0;
}

/* "1.5" to thousandths; at most three decimals. */
static int parse_milli(const char *text, uint64_t *ret)
{
	char whole[16] = "", fraction[4] = "000";
	const char *dot = strchr(text, '.');
	size_t n = dot ? (size_t)(dot - text) : strlen(text);
	size_t decimals = dot ? strlen(dot + 1) : 0;
	uint64_t units, thousandths;

	if (n >= sizeof(whole) || decimals > 3 || (dot && decimals == 0))
		return -EINVAL;
	memcpy(whole, text, n);
	if (dot)
		memcpy(fraction, dot + 1, decimals);
	if (parse_u64(whole, UINT32_MAX, &units) < 0 || parse_u64(fraction, 999, &thousandths) < 0)
		return -EINVAL;
	*ret = units * 1000 + thousandths;
	return 0;
}

int reader_cpus(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = plain_string(value);
	uint64_t milli;

	if (json_is_number(value)) {
		double number = json_number_value(value);

		/* Also false for what is not a number. */
		if (!(number >= 0 && number <= UINT32_MAX / 1000.0))
			return reader_expected(path, EXPECTED_CPUS, err);
		milli = (uint64_t)llround(number * 1000);
		if (milli == 0 && number > 0)
			milli = 1; /* too little, not "no limit" */
	} else if (!text || parse_milli(text, &milli) < 0) {
		return reader_expected(path, EXPECTED_CPUS, err);
	}
	if (!in_range(field, milli))
		return err_set(err, ERR_INVALID, path, "%s must be a number of CPUs from %g to %g",
			path, (double)field->min / 1000, (double)field->max / 1000);
	*(uint32_t *)member = (uint32_t)milli;
	return 0;
}

static bool is_choice(const char *const *choices, const char *text)
{
	for (; *choices; choices++)
		if (strcmp(*choices, text) == 0)
			return true;
	return false;
}

static void refuse_choice(const char *const *choices, const char *path, struct err *err)
{
	struct strbuf list = {0};
	AUTOFREE char *text = NULL;

	for (; *choices; choices++)
		strbuf_addf(&list, "%s%s", list.used ? ", " : "one of ", *choices);
	text = strbuf_take(&list);
	reader_expected(path, text ? text : "one of the known words", err);
}

/* The text, or NULL with *err filled. */
static const char *read_string(
	const struct reader_field *field, const json_t *value, const char *path, struct err *err)
{
	const char *text = plain_string(value);

	if (!text)
		reader_expected(path,
			json_is_string(value) ? "a string without NUL bytes" : "a string", err);
	else if (field->choices && !is_choice(field->choices, text))
		refuse_choice(field->choices, path, err);
	else if (!field->check || field->check(text, path, err) == 0)
		return text;
	return NULL;
}

int reader_chars(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = read_string(field, value, path, err);

	if (!text)
		return err_errnum(ERR_INVALID);
	if (strlen(text) >= field->size)
		return err_set(err, ERR_INVALID, path, "%s must have at most %zu characters", path,
			field->size - 1);
	memcpy(member, text, strlen(text) + 1);
	return 0;
}

int reader_text(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = read_string(field, value, path, err);
	char **owned = member;
	char *copy;

	if (!text)
		return err_errnum(ERR_INVALID);
	copy = strdup(text);
	if (!copy)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	free(*owned);
	*owned = copy;
	return 0;
}

int reader_texts(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	size_t count = json_array_size(value);
	CLEANUP(strv_freep) char **list = NULL;
	char ***owned = member;

	if (!json_is_array(value))
		return reader_expected(path, "an array of strings", err);
	if (count > field->count)
		return err_set(
			err, ERR_INVALID, path, "%s must be at most %zu", path, field->count);
	list = count ? calloc(count + 1, sizeof(*list)) : NULL;
	if (count && !list)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	for (size_t i = 0; i < count; i++) {
		char full[ERR_FIELD_MAX];
		int r;

		reader_path_index(full, path, i);
		r = reader_text(field, json_array_get(value, i), full, &list[i], err);
		if (r < 0)
			return r;
	}
	strv_free(*owned);
	*owned = TAKE_PTR(list);
	return 0;
}

int reader_ipv4(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = plain_string(value);

	(void)field;
	if (!text || parse_ipv4(text, member) < 0)
		return reader_expected(path, "an IPv4 address, like \"10.5.0.2\"", err);
	return 0;
}

int reader_mac(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = plain_string(value);

	(void)field;
	if (!text || parse_mac(text, member) < 0)
		return reader_expected(path, "a MAC address, like \"00:16:3e:12:34:56\"", err);
	return 0;
}
