/* Directories of drivers. */
#include "drivers/dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/driver.h"

int dirs_take(
	struct dirs *d, const struct driver_config *config, const char *title, struct err *err)
{
	const struct {
		const char *field, *path;
		char **copy;
	} all[] = {
		{"state_dir", config->state_dir, &d->state},
		{"run_dir", config->run_dir, &d->run},
		{"log_dir", config->log_dir, &d->log},
		{"additions_dir", config->additions_dir, &d->additions},
	};

	*d = (struct dirs){0};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i].path)
			continue;
		/* Who uses them, too, is somewhere else. */
		if (all[i].path[0] != '/')
			return err_set(err, ERR_INVALID, all[i].field,
				"the directories of the %s driver must be absolute paths", title);
		*all[i].copy = strdup(all[i].path);
		if (!*all[i].copy)
			return err_errno(err, ENOMEM, "no memory for a driver");
	}
	return 0;
}

int dirs_make(const struct dirs *d, struct err *err)
{
	int r;

	if ((r = file_mkdirs(d->state, 0700)) < 0 || (r = file_mkdirs(d->run, 0711)) < 0 ||
		(r = file_mkdirs(d->log, 0700)) < 0)
		return err_errno(err, r, "cannot make the driver's directories");
	if (chmod(d->run, 0711) < 0) /* it may have been there */
		return err_errno(err, errno, "cannot open %s to others", d->run);
	return 0;
}

void dirs_finish(struct dirs *d)
{
	free(d->state);
	free(d->run);
	free(d->log);
	free(d->additions);
	*d = (struct dirs){0};
}
