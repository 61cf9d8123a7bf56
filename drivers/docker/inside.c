/* Guests as seen from the inside. */
#include "drivers/docker/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/err.h"

int inside_running(const struct inside *in, struct err *err)
{
	return in->pid > 0 ? 0
			   : err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s does not run",
				     in->guest->name);
}

int inside_root(const struct inside *in, struct err *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/root", in->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ESRCH))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s has ended", in->guest->name);
	return fd < 0 ? err_errno(err, errno, "cannot look into guest %s", in->guest->name) : fd;
}
