/* Names of several things in one sentence. */
#include "agent/node/names.h"

#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 40 /* characters of each */

void names_add(struct names *names, const char *name)
{
	size_t used = strlen(names->text);

	if (names->count++ < NAMES_SHOWN)
		snprintf(names->text + used, sizeof(names->text) - used, "%s%.*s", used ? ", " : "",
			NAME_SHOWN, name);
}

const char *names_end(struct names *names)
{
	size_t used = strlen(names->text);

	if (names->count > NAMES_SHOWN)
		snprintf(names->text + used, sizeof(names->text) - used, " and %zu more",
			names->count - NAMES_SHOWN);
	return names->text;
}
