/* Names of several things in one sentence: "a, b, c and 12 more". */
#pragma once

#include <stddef.h>

#define NAMES_SHOWN 5

struct names {
	size_t count;
	char text[256];
};

/* Adds one; those beyond the first NAMES_SHOWN are only counted. */
void names_add(struct names *names, const char *name);

/* Ends the sentence, and returns it. */
const char *names_end(struct names *names);
