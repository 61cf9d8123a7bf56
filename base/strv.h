/* Lists of strings: arrays of owned strings that end with NULL. NULL itself is the empty list. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A copy of one string; false when memory ran out. A copy of NULL is NULL. */
bool strv_copy_one(char **ret, const char *text);

size_t strv_length(char *const *list);

/* A deep copy; false when memory ran out, with *ret NULL. A copy of NULL is NULL. */
bool strv_copy(char ***ret, char *const *list);

/* The same strings in the same order; NULL equals a list of none. */
bool strv_equal(char *const *a, char *const *b);

/* Frees the strings and the array; accepts NULL; returns NULL. */
char **strv_free(char **list);
void strv_freep(char ***list);
