/* Names of an enum's values: one table, both ways. */
#pragma once

#include <stddef.h>

/* Which of them the text is; -EINVAL for none of them, and for NULL. */
int names_find(const char *const *names, size_t count, const char *text);

/* Defines, for `enum name` and an array of its names from 0 on, what a header declares as
 *	const char *name_to_string(enum name value);
 *	int name_from_string(const char *text, enum name *ret);
 * The latter is -EINVAL for no name of one. */
#define DEFINE_NAMES(name, names)                                                                  \
	const char *name##_to_string(enum name value)                                              \
	{                                                                                          \
		return (size_t)value < sizeof(names) / sizeof(*(names)) ? (names)[value]           \
									: "unknown";               \
	}                                                                                          \
                                                                                                   \
	int name##_from_string(const char *text, enum name *ret)                                   \
	{                                                                                          \
		int found = names_find(names, sizeof(names) / sizeof(*(names)), text);             \
                                                                                                   \
		if (found < 0)                                                                     \
			return found;                                                              \
		*ret = (enum name)found;                                                           \
		return 0;                                                                          \
	}
