/* Builders of images: programs in the folder image-build, which is below the directory that
 * CORPUS_LIBEXEC in the environment names, or else beside our own program (so it is where it was
 * built), or else where it is installed. */
#include "cli/kinds.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/strbuf.h"

/* DIRECTORY/NAME, or NULL when that is not there. */
static char *find_below(const char *directory, int length, const char *name)
{
	AUTOFREE char *path = NULL;

	if (asprintf(&path, "%.*s/%s", length, directory, name) < 0)
		path = NULL;
	return path && access(path, F_OK) == 0 ? TAKE_PTR(path) : NULL;
}

static char *find_beside_us(const char *name)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;

	if (length <= 0)
		return NULL;
	self[length] = '\0';
	slash = strrchr(self, '/');
	return slash ? find_below(self, (int)(slash - self), name) : NULL;
}

char *kinds_libexec(const char *name)
{
	const char *libexec = getenv("CORPUS_LIBEXEC");
	char *found;

	if (libexec && *libexec)
		return find_below(libexec, (int)strlen(libexec), name);
	found = find_beside_us(name);
	return found ? found : find_below(CORPUS_LIBEXECDIR, (int)strlen(CORPUS_LIBEXECDIR), name);
}

static char *builders_directory(void)
{
	return kinds_libexec("image-build");
}

char *kinds_program(const char *kind)
{
	AUTOFREE char *directory = builders_directory();
	AUTOFREE char *path = NULL;

	if (!directory || !*kind || *kind == '.' || strchr(kind, '/') ||
		asprintf(&path, "%s/%s", directory, kind) < 0)
		return NULL;
	return access(path, X_OK) == 0 ? TAKE_PTR(path) : NULL;
}

static int is_kind(const struct dirent *entry)
{
	AUTOFREE char *program = kinds_program(entry->d_name);

	return program && (entry->d_type == DT_REG || entry->d_type == DT_LNK);
}

char *kinds_list(const char *separator)
{
	AUTOFREE char *directory = builders_directory();
	struct strbuf buf = {0};
	struct dirent **entries = NULL;
	int count = directory ? scandir(directory, &entries, is_kind, alphasort) : 0;

	for (int i = 0; i < count; i++) {
		strbuf_add(&buf, i ? separator : "");
		strbuf_add(&buf, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return strbuf_take(&buf);
}
