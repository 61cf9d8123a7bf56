/* Files of containers. */
#include "drivers/docker/file.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "drivers/docker/define.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/inside/visit.h"

int docker_file(const struct inside *in, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	struct visit visit = {.pid = in->pid};
	AUTOCLOSE int init = in->pid > 0 ? process_pidfd(in->pid) : -1;
	int r;

	if (!in->container)
		return err_set(err, ERR_ILLEGAL_STATE, NULL,
			"guest %s has no files before its first start", in->guest->name);
	visit.init = init;
	if (init >= 0)
		return visit_file(&visit, file, ret, err);
	/* dockerd mounts what the container has, and after the node's boot this is not there. */
	r = gatekeeper_lay(in->paths->gate, err);
	return r < 0 ? r : visit_run(file_stopped, (void *)in, file, ret, err);
}
