/* Containers in requests, in records and as they are shown. */
#include "model/guest_container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/signals.h"
#include "base/strv.h"
#include "model/guest_fields.h"

/* --- In memory ------------------------------------------------------------------------------- */

struct guest_container *guest_container_create(void)
{
	struct guest_container *container = calloc(1, sizeof(*container));

	if (container)
		container->terminal = true;
	return container;
}

struct guest_container *guest_container_free(struct guest_container *container)
{
	if (!container)
		return NULL;
	strv_free(container->entrypoint);
	strv_free(container->command);
	strv_free(container->environment);
	strv_free(container->data);
	free(container->user);
	free(container->working_dir);
	free(container->stop_signal);
	free(container);
	return NULL;
}

void guest_container_freep(struct guest_container **container)
{
	*container = guest_container_free(*container);
}

bool guest_container_copy(struct guest_container **ret, const struct guest_container *container)
{
	CLEANUP(guest_container_freep) struct guest_container *copy = NULL;

	*ret = NULL;
	if (!container)
		return true;
	copy = guest_container_create();
	if (!copy || !strv_copy(&copy->entrypoint, container->entrypoint) ||
		!strv_copy(&copy->command, container->command) ||
		!strv_copy(&copy->environment, container->environment) ||
		!strv_copy(&copy->data, container->data) ||
		!strv_copy_one(&copy->user, container->user) ||
		!strv_copy_one(&copy->working_dir, container->working_dir) ||
		!strv_copy_one(&copy->stop_signal, container->stop_signal))
		return false;
	copy->terminal = container->terminal;
	memcpy(copy->image_id, container->image_id, sizeof(copy->image_id));
	*ret = TAKE_PTR(copy);
	return true;
}

/* --- Texts ----------------------------------------------------------------------------------- */

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static int check_length(const char *text, size_t most, const char *field, struct err *err)
{
	if (strlen(text) > most)
		return err_set(
			err, ERR_INVALID, field, "%s must have at most %zu bytes", field, most);
	return 0;
}

/* Also of more than one line: scripts are given as words. */
static int check_word(const char *text, const char *field, struct err *err)
{
	return check_length(text, GUEST_CONTAINER_TEXT_MAX, field, err);
}

static int check_user(const char *text, const char *field, struct err *err)
{
	const char *colon = strchr(text, ':');

	if (!*text || has_control(text) || strpbrk(text, " /") ||
		(colon && (colon == text || !colon[1] || strchr(colon + 1, ':'))))
		return reader_expected(
			field, "a user of the guest, like \"www-data\" or \"33:33\"", err);
	return check_length(text, GUEST_CONTAINER_USER_MAX, field, err);
}

static bool is_clean(const char *path)
{
	for (; *path == '/'; path += 1 + strcspn(path + 1, "/")) {
		size_t length = strcspn(path + 1, "/");

		if (length == 0 || (length == 1 && path[1] == '.') ||
			(length == 2 && path[1] == '.' && path[2] == '.'))
			return false;
	}
	return true;
}

static int check_directory(const char *path, const char *field, struct err *err)
{
	if (*path != '/' || has_control(path) || (path[1] && !is_clean(path)))
		return reader_expected(field,
			"an absolute path without empty parts, \".\", \"..\" or a slash at its end",
			err);
	return check_length(path, GUEST_CONTAINER_PATH_MAX, field, err);
}

int guest_container_check_path(const char *path, const char *field, struct err *err)
{
	int r = check_directory(path, field, err);

	if (r == 0 && strcmp(path, "/") == 0)
		r = err_set(err, ERR_INVALID, field,
			"%s must be a path below /, which is the container's layer", field);
	return r;
}

/* --- Requests -------------------------------------------------------------------------------- */

/* [char **] A list of none is one, too. */
static int read_words(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	char ***owned = member;
	int r = reader_texts(field, value, path, member, err);

	if (r == 0 && !*owned) {
		*owned = calloc(1, sizeof(**owned));
		r = *owned ? 0 : err_errno(err, ENOMEM, "cannot read %s", path);
	}
	return r;
}

static int read_signal(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	char number[24], name[SIGNAL_NAME_MAX], **owned = member;
	const char *text = json_string_value(value);
	int signal;

	(void)field;
	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	} else if (text && strlen(text) != json_string_length(value)) {
		text = NULL;
	}
	signal = text ? signal_parse(text) : -EINVAL;
	if (signal < 0)
		return reader_expected(path, "a signal, like \"SIGTERM\" or 15", err);
	free(*owned);
	*owned = strdup(signal_format(name, signal));
	return *owned ? 0 : err_errno(err, ENOMEM, "cannot read %s", path);
}

static int check_variable(const char *key, const json_t *value, const char *path, struct err *err)
{
	const char *text = json_string_value(value);

	if (!*key || has_control(key) || strpbrk(key, "= "))
		return err_set(err, ERR_INVALID, path,
			"%s must be named without \"=\", spaces and control characters", path);
	if (!text || strlen(text) != json_string_length(value))
		return reader_expected(path, "a string without NUL bytes", err);
	if (strlen(key) > GUEST_CONTAINER_KEY_MAX)
		return err_set(err, ERR_INVALID, path,
			"%.64s…: its name must have at most %d bytes", path,
			GUEST_CONTAINER_KEY_MAX);
	return check_word(text, path, err);
}

static int add_variable(char **list, size_t *count, const char *key, const char *text)
{
	return asprintf(&list[(*count)++], "%s=%s", key, text) < 0 ? -ENOMEM : 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* [char **] An object of strings. */
static int read_environment(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	CLEANUP(strv_freep) char **list = calloc(json_object_size(value) + 1, sizeof(*list));
	char ***owned = member;
	const char *key;
	json_t *text;
	size_t count = 0;

	(void)field;
	if (!json_is_object(value))
		return reader_expected(path, "an object of strings", err);
	if (json_object_size(value) > GUEST_CONTAINER_VARIABLES_MAX)
		return err_set(err, ERR_INVALID, path, "%s must be at most %d", path,
			GUEST_CONTAINER_VARIABLES_MAX);
	json_object_foreach ((json_t *)value, key, text) {
		char full[ERR_FIELD_MAX];
		int r;

		if (json_is_null(text))
			continue;
		reader_path(full, path, key);
		r = check_variable(key, text, full, err);
		if (r < 0)
			return r;
		if (!list || add_variable(list, &count, key, json_string_value(text)) < 0)
			return err_errno(err, ENOMEM, "cannot read %s", path);
	}
	qsort(list, count, sizeof(*list), compare);
	strv_free(*owned);
	*owned = count ? TAKE_PTR(list) : NULL;
	return 0;
}

/* Whether one of the two is the other, or lies in it. */
static bool overlap(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), least = n < m ? n : m;
	char after = n < m ? b[n] : a[m];

	return strncmp(a, b, least) == 0 && (after == '\0' || after == '/');
}

/* [char **] */
static int read_data(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	CLEANUP(strv_freep) char **list = NULL;
	char ***owned = member;
	int r = read_words(field, value, path, &list, err);

	for (size_t i = 0; r == 0 && list[i]; i++)
		for (size_t j = 0; r == 0 && j < i; j++) {
			char full[ERR_FIELD_MAX];

			if (!overlap(list[i], list[j]))
				continue;
			reader_path_index(full, path, i);
			r = err_set(err, ERR_INVALID, full,
				"%s is in the way of %s[%zu]: neither may be the other, or lie in "
				"it",
				full, path, j);
		}
	if (r < 0)
		return r;
	strv_free(*owned);
	*owned = TAKE_PTR(list);
	return 0;
}

int guest_container_read_data(const json_t *list, const char *path, char ***member, struct err *err)
{
	static const struct reader_field field = {
		.check = guest_container_check_path, .count = GUEST_CONTAINER_DATA_MAX};

	return read_data(&field, list, path, member, err);
}

#define MEMBER(key, reader, member)                                                                \
	.name = key, .read = reader, .offset = offsetof(struct guest_container, member)

static const struct reader_field REQUEST[] = {
	{MEMBER("entrypoint", read_words, entrypoint), .check = check_word,
		.count = GUEST_CONTAINER_WORDS_MAX},
	{MEMBER("command", read_words, command), .check = check_word,
		.count = GUEST_CONTAINER_WORDS_MAX},
	{MEMBER("environment", read_environment, environment)},
	{MEMBER("user", reader_text, user), .check = check_user},
	{MEMBER("working_dir", reader_text, working_dir), .check = check_directory},
	{MEMBER("stop_signal", read_signal, stop_signal)},
	{MEMBER("terminal", reader_bool, terminal)},
	{MEMBER("data", read_data, data), .check = guest_container_check_path,
		.count = GUEST_CONTAINER_DATA_MAX},
};

/* All of it goes to the driver in one message. */
static int check_total(const struct guest_container *container, const char *path, struct err *err)
{
	json_auto_t *json = guest_container_to_json(container);
	AUTOFREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (!text)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	if (strlen(text) > GUEST_CONTAINER_TEXT_MAX)
		return err_set(err, ERR_INVALID, path, "%s must have at most %d bytes in all", path,
			GUEST_CONTAINER_TEXT_MAX);
	return 0;
}

/* One that has an entry point and a command of nothing would have nothing to run. */
static int check_whole(const struct guest_container *container, const char *path, struct err *err)
{
	char full[ERR_FIELD_MAX];

	if (container->entrypoint && !container->entrypoint[0] &&
		!(container->command && container->command[0])) {
		reader_path(full, path, "command");
		return err_set(err, ERR_INVALID, full,
			"%s must be given where the entry point is none: nothing would run", full);
	}
	return check_total(container, path, err);
}

static int read_by(const struct reader_field *fields, size_t count, const json_t *value,
	const char *path, struct guest_container **owned, struct err *err)
{
	CLEANUP(guest_container_freep) struct guest_container *container = guest_container_create();
	int r;

	if (!container)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	r = reader_object(value, path, fields, count, container, err);
	if (r == 0 && fields == REQUEST)
		r = check_whole(container, path, err);
	if (r < 0)
		return r;
	guest_container_free(*owned);
	*owned = TAKE_PTR(container);
	return 0;
}

int guest_container_read(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	(void)field;
	return read_by(REQUEST, ARRAY_SIZE(REQUEST), value, path, member, err);
}

/* --- Records --------------------------------------------------------------------------------- */

#define WORDS(key, member)                                                                         \
	{                                                                                          \
		MEMBER(key, read_words, member), .count = SIZE_MAX                                 \
	}

static const struct reader_field RECORD[] = {
	WORDS("entrypoint", entrypoint),
	WORDS("command", command),
	WORDS("environment", environment),
	{MEMBER("user", reader_text, user)},
	{MEMBER("working_dir", reader_text, working_dir)},
	{MEMBER("stop_signal", reader_text, stop_signal)},
	{MEMBER("terminal", reader_bool, terminal)},
	WORDS("data", data),
	{MEMBER("image_id", reader_chars, image_id), .size = IMAGE_ID_MAX + 1},
};

int guest_container_read_record(const struct reader_field *field, const json_t *value,
	const char *path, void *member, struct err *err)
{
	(void)field;
	return read_by(RECORD, ARRAY_SIZE(RECORD), value, path, member, err);
}

static json_t *words_or_null(char *const *list)
{
	return list ? guest_texts_to_json(list) : json_null();
}

json_t *guest_container_to_record(const struct guest_container *c)
{
	if (!c)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:s?, s:s?, s:s?, s:b, s:o, s:s}", "entrypoint",
		words_or_null(c->entrypoint), "command", words_or_null(c->command), "environment",
		words_or_null(c->environment), "user", c->user, "working_dir", c->working_dir,
		"stop_signal", c->stop_signal, "terminal", c->terminal, "data",
		words_or_null(c->data), "image_id", c->image_id);
}

/* --- As they are shown ----------------------------------------------------------------------- */

static json_t *environment_to_json(char *const *list)
{
	json_t *json = json_object();

	for (; list && *list; list++) {
		const char *value = strchr(*list, '=');
		char key[GUEST_CONTAINER_KEY_MAX + 1];

		if (!value)
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)(value - *list), *list);
		json_object_set_new(json, key, json_string(value + 1));
	}
	return json;
}

json_t *guest_container_to_json(const struct guest_container *c)
{
	if (!c)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:s?, s:s?, s:s?, s:b, s:o}", "entrypoint",
		words_or_null(c->entrypoint), "command", words_or_null(c->command), "environment",
		environment_to_json(c->environment), "user", c->user, "working_dir", c->working_dir,
		"stop_signal", c->stop_signal, "terminal", c->terminal, "data",
		words_or_null(c->data));
}
