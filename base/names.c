/* Finding a name. */
#include "base/names.h"

#include <errno.h>
#include <string.h>

int names_find(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; text && i < count; i++)
		if (names[i] && strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}
