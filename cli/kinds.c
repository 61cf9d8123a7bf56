/* Builders of images: LIBEXEC/image-build/KIND, or below CORPUS_LIBEXEC. */
#include "cli/kinds.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/strbuf.h"

static char *builders_directory(void)
{
	const char *libexec = getenv("CORPUS_LIBEXEC");
	char *path;

	if (!libexec || !*libexec)
		libexec = CORPUS_LIBEXECDIR;
	return asprintf(&path, "%s/image-build", libexec) < 0 ? NULL : path;
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
