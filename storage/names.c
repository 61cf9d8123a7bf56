/* Names in a directory of the pool, as a list. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "storage/pool.h"

DEFINE_CLEANUP(char **, names_free)

void names_free(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
}

static int add(char ***names, size_t count, const char *name)
{
	char **grown = realloc(*names, (count + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*names = grown;
	grown[count] = strdup(name);
	if (!grown[count])
		return -ENOMEM;
	grown[count + 1] = NULL;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_read(int dir, bool (*wanted)(const char *name), char ***ret)
{
	CLEANUP(names_freep) char **names = calloc(1, sizeof(*names));
	/* A descriptor of its own, since reading moves its offset. */
	AUTOCLOSE int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closedirp) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t count = 0;

	if (!names)
		return -ENOMEM;
	if (!stream)
		return -errno;
	fd = -1;
	while ((entry = readdir(stream))) {
		int r = wanted(entry->d_name) ? add(&names, count++, entry->d_name) : 0;

		if (r < 0)
			return r;
	}
	qsort(names, count, sizeof(*names), compare);
	*ret = TAKE_PTR(names);
	return 0;
}
