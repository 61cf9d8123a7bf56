/* Names of an archive's entries, made safe. */
#pragma once

#include <stddef.h>

struct err;

#define PATH_LENGTH_MAX 4095
#define PATH_DEPTH_MAX	256

struct path {
	char text[PATH_LENGTH_MAX + 1]; /* relative, no "." or ".." or empty part; "" is the root */
	const char *base;		/* its last part, in text */
	size_t parent_length;		/* of what precedes the slash before `base`; 0: the root */
};

/* Refuses what is absolute, has "..", or is too long or deep; drops "." and doubled slashes. */
int path_parse(const char *name, struct path *ret, struct err *err);

#define NAME_SHOWN 200

/* A name for a message: printable ASCII only, cut where it is long. */
const char *name_shown(char buf[static NAME_SHOWN], const char *name);
#define SHOWN(name) name_shown((char[NAME_SHOWN]){0}, name)
