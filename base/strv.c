/* Lists of strings. */
#include "base/strv.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool strv_copy_one(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return !text || *ret;
}

size_t strv_length(char *const *list)
{
	size_t count = 0;

	while (list && list[count])
		count++;
	return count;
}

bool strv_copy(char ***ret, char *const *list)
{
	size_t count = strv_length(list);
	CLEANUP(strv_freep) char **copy = NULL;

	*ret = NULL;
	if (!list)
		return true;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i])
			return false;
	}
	*ret = TAKE_PTR(copy);
	return *ret != NULL;
}

bool strv_equal(char *const *a, char *const *b)
{
	size_t count = strv_length(a);

	if (strv_length(b) != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

char **strv_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
	return NULL;
}

void strv_freep(char ***list)
{
	*list = strv_free(*list);
}
