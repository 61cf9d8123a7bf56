/* Where our own programs are that are not for people. */
#include "base/libexec.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

/* Beside our own program, as in a build tree with all programs in one place. */
static bool beside_us(const char *program, char path[static PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		return false;
	self[length] = '\0';
	return file_path(path, PATH_MAX, "%s/%s", dirname(self), program) == 0 &&
	       access(path, X_OK) == 0;
}

int libexec_find(const char *program, char **ret, struct err *err)
{
	const char *directory = getenv("CORPUS_LIBEXEC");
	char path[PATH_MAX];
	char *copy;

	if ((directory && *directory) || !beside_us(program, path)) {
		int r = file_path(path, sizeof(path), "%s/%s",
			directory && *directory ? directory : CORPUS_LIBEXECDIR, program);

		if (r < 0)
			return err_errno(err, r, "cannot find %s", program);
	}
	copy = strdup(path);
	if (!copy)
		return err_errno(err, ENOMEM, "cannot find %s", program);
	*ret = copy;
	return 0;
}
