/* Names of an archive's entries. */
#include "storage/unpack/path.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

const char *name_shown(char buf[static NAME_SHOWN], const char *name)
{
	size_t n = 0;

	for (; n < NAME_SHOWN - 4 && name[n]; n++)
		buf[n] = name[n];
	for (size_t i = 0; i < n; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			buf[i] = '?';
	snprintf(buf + n, NAME_SHOWN - n, "%s", name[n] ? "..." : "");
	return buf;
}

static bool is_part(const char *part, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(part, text, length) == 0;
}

/* Appends one part; `name` is the whole, for messages. */
static int add_part(struct path *path, size_t *used, const char *part, size_t length)
{
	if (*used + 1 + length > PATH_LENGTH_MAX)
		return -1;
	path->parent_length = *used;
	if (*used)
		path->text[(*used)++] = '/';
	path->base = path->text + *used;
	memcpy(path->text + *used, part, length);
	*used += length;
	return 0;
}

int path_parse(const char *name, struct path *ret, struct err *err)
{
	size_t used = 0, depth = 0, length;

	ret->base = ret->text;
	ret->parent_length = 0;
	if (name[0] == '/')
		return err_set(
			err, ERR_INVALID, NULL, "the entry %s has an absolute name", SHOWN(name));
	for (const char *part = name; *part; part += length + (part[length] == '/')) {
		length = strcspn(part, "/");
		if (length == 0 || is_part(part, length, "."))
			continue;
		if (is_part(part, length, ".."))
			return err_set(err, ERR_INVALID, NULL, "the entry %s has .. in its name",
				SHOWN(name));
		if (length > NAME_MAX || ++depth > PATH_DEPTH_MAX ||
			add_part(ret, &used, part, length) < 0)
			return err_set(err, ERR_INVALID, NULL,
				"the name of the entry %s is too long or too deep", SHOWN(name));
	}
	ret->text[used] = '\0';
	return 0;
}
