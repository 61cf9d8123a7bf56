/* Files and programs of the host. */
#include "doctor/read.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define TEXT_MAX (16 << 20)

char *read_text(const char *path)
{
	char *text = NULL;

	return file_read(path, TEXT_MAX, &text, NULL) < 0 ? NULL : text;
}

uint64_t read_number(const char *path)
{
	AUTOFREE char *text = read_text(path);

	return text ? strtoull(text, NULL, 10) : 0;
}

bool is_in_path(const char *program)
{
	AUTOFREE char *copy =
		strdup("/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
	char *rest = copy, *folder;
	char path[PATH_MAX];

	while ((folder = strsep(&rest, ":")))
		if (file_path(path, sizeof(path), "%s/%s", folder, program) == 0 &&
			access(path, X_OK) == 0)
			return true;
	return false;
}
