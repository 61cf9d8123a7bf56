/* Lists of words on a command line. */
#pragma once

#include <jansson.h>

struct err;

/* Adds the words of a text: those that blanks part, or what a JSON array of texts holds ('["a
 * b"]'): for words with blanks in them. */
int words_add(json_t *array, const char *text, struct err *err);
