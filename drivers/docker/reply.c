/* Fields of what dockerd answers. */
#include "drivers/docker/reply.h"

#include <string.h>

#include "base/err.h"

#define KEY_MAX 64

json_t *reply_at(const json_t *reply, const char *path)
{
	json_t *at = NULL;

	for (;;) {
		size_t length = strcspn(path, ".");
		char key[KEY_MAX];

		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = '\0';
		at = json_object_get(reply, key);
		if (!at || path[length] == '\0')
			return at;
		reply = at;
		path += length + 1;
	}
}

static int missing(const char *kind, const char *path, struct err *err)
{
	return err_set(err, ERR_DRIVER, NULL, "dockerd's answer has no %s \"%s\"", kind, path);
}

int reply_text(const json_t *reply, const char *path, const char **ret, struct err *err)
{
	const char *text = json_string_value(reply_at(reply, path));

	if (!text)
		return missing("text", path, err);
	*ret = text;
	return 0;
}

int reply_number(const json_t *reply, const char *path, int64_t *ret, struct err *err)
{
	const json_t *number = reply_at(reply, path);

	if (!json_is_integer(number))
		return missing("whole number", path, err);
	*ret = json_integer_value(number);
	return 0;
}

int reply_list(const json_t *reply, const char *path, json_t **ret, struct err *err)
{
	json_t *list = reply_at(reply, path);

	if (!json_is_array(list))
		return missing("list", path, err);
	*ret = list;
	return 0;
}

const char *reply_text_or_none(const json_t *reply, const char *path)
{
	const char *text = json_string_value(reply_at(reply, path));

	return text ? text : "";
}

int64_t reply_number_or_none(const json_t *reply, const char *path)
{
	return json_integer_value(reply_at(reply, path));
}

bool reply_is_true(const json_t *reply, const char *path)
{
	return json_is_true(reply_at(reply, path));
}
