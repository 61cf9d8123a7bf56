/* Files of containers. */
#include "drivers/docker/file.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/inside/visit.h"

int docker_file(const struct inside *in, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	struct visit visit = {.pid = in->pid};
	AUTOCLOSE int init = in->pid > 0 ? process_pidfd(in->pid) : -1;

	if (!in->container)
		return err_set(err, ERR_ILLEGAL_STATE, NULL,
			"guest %s has no files before its first start", in->guest->name);
	visit.init = init;
	return init >= 0 ? visit_file(&visit, file, ret, err)
			 : visit_run(file_stopped, (void *)in, file, ret, err);
}
