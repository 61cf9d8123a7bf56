/* The Docker driver's functions: each finds the guest, and hands on to the file that knows how. */
#include "drivers/docker/docker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/image.h"
#include "drivers/docker/instance.h"
#include "drivers/docker/probe.h"

static struct docker *docker_of(struct driver *driver)
{
	return (struct docker *)driver;
}

#define STALL_MS 120000 /* of what is pulled */

/* --- Instances ------------------------------------------------------------------------------- */

static void docker_close(struct driver *d)
{
	struct docker *docker = docker_of(d);

	free(docker->state_dir);
	free(docker->run_dir);
	free(docker->log_dir);
	free(docker->additions_dir);
	free(docker->socket);
	free(docker->registries);
	free(docker);
}

static int make_dirs(const struct docker *docker, struct err *err)
{
	int r = file_mkdirs(docker->state_dir, 0700);

	/* What runs below dockerd opens what lies here. */
	if (r == 0)
		r = file_mkdirs(docker->run_dir, 0711);
	if (r == 0 && chmod(docker->run_dir, 0711) < 0)
		r = -errno;
	if (r == 0)
		r = file_mkdirs(docker->log_dir, 0700);
	return r < 0 ? err_errno(err, r, "cannot make the driver's directories") : 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int fill(struct docker *docker, const struct driver_config *config, struct err *err)
{
	const char *socket = NULL;
	int r = engine_endpoint(config->endpoint, &socket, err);

	if (r < 0)
		return r;
	docker->driver.ops = &docker_driver_ops;
	docker->stall_ms = STALL_MS;
	docker->state_dir = strdup(config->state_dir);
	docker->run_dir = strdup(config->run_dir);
	docker->log_dir = strdup(config->log_dir);
	docker->additions_dir = copy(config->additions_dir);
	docker->registries = copy(config->registries);
	docker->socket = strdup(socket);
	if (!docker->state_dir || !docker->run_dir || !docker->log_dir || !docker->socket)
		return err_errno(err, ENOMEM, "no memory for a driver");
	/* dockerd, who is given some of these, is somewhere else. */
	if (docker->state_dir[0] != '/' || docker->run_dir[0] != '/' || docker->log_dir[0] != '/')
		return err_set(err, ERR_INVALID, "state_dir",
			"the directories of the Docker driver must be absolute paths");
	return 0;
}

static int docker_open(const struct driver_config *config, struct driver **ret, struct err *err)
{
	struct docker *docker = calloc(1, sizeof(*docker));
	int r;

	if (!docker)
		return err_errno(err, ENOMEM, "no memory for a driver");
	r = engine_global_init(err);
	if (r == 0)
		r = fill(docker, config, err);
	if (r == 0)
		r = make_dirs(docker, err);
	if (r < 0) {
		docker_close(&docker->driver);
		return r;
	}
	*ret = &docker->driver;
	return 0;
}

/* --- What is there --------------------------------------------------------------------------- */

static int docker_probe(struct driver *d, struct driver_info *ret, struct err *err)
{
	(void)err;
	*ret = (struct driver_info){.name = "docker",
		.capabilities = driver_capabilities(d->ops) | DRIVER_CAN_UNPRIVILEGED,
		.image_kind = IMAGE_OCI};
	probe_host(docker_of(d), ret);
	return 0;
}

const struct driver_ops docker_driver_ops = {
	.name = "docker",
	.call_mode = DRIVER_CALL_FORK,
	.open = docker_open,
	.close = docker_close,
	.probe = docker_probe,
	.image = docker_image,
};
