/* Keys of ssh on a command line. */
#pragma once

#include <jansson.h>

struct err;

/* The keys that a word stands for, as an array of strings: itself when it has a blank in it, else
 * those in the file of that name ("-": standard input), one a line. The agent checks them. */
int keys_read(const char *word, json_t **ret, struct err *err);
