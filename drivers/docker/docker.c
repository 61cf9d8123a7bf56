/* The Docker driver's functions: each finds the guest, and hands on to the file that knows how. */
#include "drivers/docker/docker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/definition.h"
#include "drivers/docker/bounds.h"
#include "drivers/docker/console.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/events.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/figures.h"
#include "drivers/docker/file.h"
#include "drivers/docker/freeze.h"
#include "drivers/docker/guest.h"
#include "drivers/docker/hold.h"
#include "drivers/docker/image.h"
#include "drivers/docker/inside.h"
#include "drivers/docker/instance.h"
#include "drivers/docker/layer.h"
#include "drivers/docker/look.h"
#include "drivers/docker/make.h"
#include "drivers/docker/names.h"
#include "drivers/docker/probe.h"
#include "drivers/docker/start.h"
#include "drivers/docker/stop.h"
#include "drivers/watch/remote.h"

static struct docker *docker_of(struct driver *driver)
{
	return (struct docker *)driver;
}

#define STALL_MS 120000 /* of what is pulled */
#define AWAY_MS	 120000 /* of dockerd, in the middle of that */
/* Of the time that driver.h gives to each. */
#define CREATE_MS 9500
#define START_MS  28000
#define STOP_MS	  15000 /* beyond the guest's own time */
#define KILL_MS	  9500
#define UPDATE_MS 14000
#define FREEZE_MS 9500
#define HOLD_MS	  20000
#define EXEC_MS	  9500

/* --- Life ------------------------------------------------------------------------------------ */

/* What is kept from before, of a guest that may be new. */
static int load_or_begin(struct driver *d, const char *id, struct docker_guest *g, struct err *err)
{
	struct err failed = {0};
	int r = guest_load(d, id, g, &failed);

	if (r < 0 && failed.code != ERR_NOT_FOUND) {
		if (err)
			*err = failed;
		return r;
	}
	g->definition.guest.id = id;
	return 0;
}

static int save(struct docker_guest *g, const struct driver_guest *guest, struct err *err)
{
	const char *container = guest_container(g);
	json_t *own = container ? json_pack("{s:s}", OWN_CONTAINER, container) : NULL;
	int r = definition_save(g->paths.definition, guest, own, err);

	json_decref(own);
	return r;
}

static int docker_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	CLEANUP(make_finish) struct make m = {0};
	int r = load_or_begin(d, guest->id, &g, err);

	if (r == 0)
		r = make_begin(&g, guest, &m, err);
	fault_point("driver.docker.create.before");
	if (r == 0)
		r = engine_open(g.docker->socket, CREATE_MS, &g.engine, err);
	if (r == 0 && json_object_get(g.definition.own, OWN_CONTAINER))
		r = guest_look(&g, err);
	if (r == 0)
		r = make_settle(&m, err);
	fault_point("driver.docker.create.made");
	return r == 0 ? save(&g, guest, err) : r;
}

static int docker_start(
	struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_connect(d, id, START_MS, &g, err);

	if (r == 0)
		r = start_run(&g, err);
	if (r == 0)
		guest_status_of(g.docker, id, g.info, ret);
	return r;
}

static int docker_stop(struct driver *d, const char *id, uint64_t timeout_ms, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_connect(d, id, STOP_MS + timeout_ms, &g, err);

	return r == 0 ? stop_run(&g, timeout_ms, err) : r;
}

static int docker_kill(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_connect(d, id, KILL_MS, &g, err);

	return r == 0 ? stop_run(&g, 0, err) : r;
}

static int docker_destroy(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = load_or_begin(d, id, &g, err);

	return r == 0 ? destroy_all(&g, err) : r;
}

/* --- What is --------------------------------------------------------------------------------- */

static int docker_status(
	struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	return look_one(docker_of(d), id, ret, err);
}

static int docker_list(
	struct driver *d, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	return look_all(docker_of(d), ret, ret_count, err);
}

static int docker_watch_fd(struct driver *d, struct err *err)
{
	struct docker *docker = docker_of(d);
	int r = docker->events ? 0 : events_watch(docker, &docker->events, err);

	return r < 0 ? r : remote_fd(docker->events);
}

static void docker_watch_dispatch(
	struct driver *d, const char *id, driver_event_fn event, void *data)
{
	remote_dispatch(docker_of(d)->events, id, event, data);
}

/* --- Optional -------------------------------------------------------------------------------- */

static int docker_freeze(struct driver *d, const char *id, bool frozen, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_running(d, id, FREEZE_MS, &g, err);

	if (r == 0 && frozen)
		r = hold_forget(&g, err);
	return r == 0 ? freeze_set(&g, frozen, err) : r;
}

static int update_names(struct docker_guest *g, const struct driver_guest *guest, struct err *err)
{
	int r = 0;

	if (!g->info || strcmp(g->definition.guest.name, guest->name) == 0)
		return 0;
	if (guest_is_active(g) && guest_init(g) > 0)
		r = names_give(guest, guest_init(g), err);
	fault_point("driver.docker.update.named");
	return r == 0 ? make_rename(g, guest_container(g), guest, DEFINE_NAME, err) : r;
}

static int docker_update(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	CLEANUP(make_finish) struct make m = {0};
	int r = guest_connect(d, guest->id, UPDATE_MS, &g, err);

	if (r == 0)
		r = make_begin(&g, guest, &m, err);
	if (r == 0 && guest_is_active(&g) && guest_init(&g) > 0)
		r = bounds_change(&g, guest, err);
	if (r == 0)
		r = update_names(&g, guest, err);
	return r == 0 ? save(&g, guest, err) : r;
}

static int fill_inside(struct driver *d, const char *id, uint64_t timeout_ms,
	struct docker_guest *g, struct inside *ret, struct err *err)
{
	int r = guest_connect(d, id, timeout_ms, g, err);
	struct driver_status status;

	if (r < 0)
		return r;
	guest_status_of(g->docker, id, g->info, &status);
	*ret = (struct inside){.docker = g->docker,
		.paths = &g->paths,
		.guest = &g->definition.guest,
		.engine = g->engine,
		.info = g->info,
		.container = guest_container(g),
		.pid = status.state == GUEST_STARTING ? 0 : status.pid};
	return 0;
}

static int driver_exec(struct driver *d, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	struct inside in;
	int r = fill_inside(d, id, EXEC_MS, &g, &in, err);

	return r == 0 ? docker_exec(&in, exec, ret_pid, err) : r;
}

static int driver_disk(struct driver *d, const char *id, const struct driver_disk_work *work,
	struct driver_disk_result *ret, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	bool holds = work->op == DRIVER_DISK_HOLD;
	int r;

	if (!holds && work->op != DRIVER_DISK_RELEASE)
		return err_set(err, ERR_UNSUPPORTED, NULL, "a container has no disk");
	r = holds ? guest_running(d, id, HOLD_MS, &g, err) : guest_connect(d, id, HOLD_MS, &g, err);
	if (r == 0)
		r = holds ? hold_begin(&g, err) : hold_end(&g, err);
	/* It has none of its own: what it wrote is in the node's. */
	if (r == 0 && ret)
		*ret = (struct driver_disk_result){.file_system = holds};
	return r;
}

static int driver_console(
	struct driver *d, const char *id, const struct driver_console *console, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	struct inside in;
	int r = fill_inside(d, id, EXEC_MS, &g, &in, err);

	return r == 0 ? docker_console(&in, console, err) : r;
}

static int driver_file(struct driver *d, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	struct inside in;
	int r = fill_inside(d, id, 0, &g, &in, err);

	return r == 0 ? docker_file(&in, file, ret, err) : r;
}

static int check_running(struct driver *d, const char *id, struct err *err)
{
	struct driver_status status;
	int r = look_one(docker_of(d), id, &status, err);

	if (r == 0 && status.state == GUEST_UNKNOWN)
		return err_set(
			err, ERR_UNAVAILABLE, NULL, "dockerd does not say what guest %s is", id);
	if (r == 0 && (status.pid == 0 || status.state == GUEST_STARTING))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return r;
}

static int docker_stats(struct driver *d, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	int r = id ? check_running(d, id, err) : 0;

	return r < 0 ? r : figures_tell(docker_of(d), id, ret, ret_count, err);
}

/* --- Instances ------------------------------------------------------------------------------- */

static void docker_close(struct driver *d)
{
	struct docker *docker = docker_of(d);

	remote_free(docker->events);
	dirs_finish(&docker->dirs);
	free(docker->socket);
	free(docker->registries);
	free(docker);
}

static int fill(struct docker *docker, const struct driver_config *config, struct err *err)
{
	const char *socket = NULL;
	int r = engine_endpoint(config->endpoint, &socket, err);

	if (r < 0)
		return r;
	docker->driver.ops = &docker_driver_ops;
	docker->stall_ms = STALL_MS;
	docker->away_ms = AWAY_MS;
	docker->layers_most = LAYERS_USUAL;
	docker->registries = config->registries ? strdup(config->registries) : NULL;
	docker->socket = strdup(socket);
	if (!docker->socket || (config->registries && !docker->registries))
		return err_errno(err, ENOMEM, "no memory for a driver");
	r = dirs_take(&docker->dirs, config, DOCKER_TITLE, err);
	if (r < 0)
		return r;
	return cgroups_find(&docker->cgroups, err);
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
		r = dirs_make(&docker->dirs, err);
	if (r < 0) {
		docker_close(&docker->driver);
		return r;
	}
	make_forget(docker);
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
	.create = docker_create,
	.start = docker_start,
	.stop = docker_stop,
	.kill = docker_kill,
	.destroy = docker_destroy,
	.status = docker_status,
	.list = docker_list,
	.watch_fd = docker_watch_fd,
	.watch_dispatch = docker_watch_dispatch,
	.update = docker_update,
	.freeze = docker_freeze,
	.exec = driver_exec,
	.console = driver_console,
	.file = driver_file,
	.disk = driver_disk,
	.stats = docker_stats,
	.layer = docker_layer,
};
