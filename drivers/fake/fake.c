/* The fake driver: its functions, each with the faults around its work; and its events. */
#include "drivers/fake/fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/fake/fault.h"
#include "drivers/fake/machine.h"
#include "drivers/fake/work.h"
#include "drivers/watch/watch.h"

static struct fake *fake_of(struct driver *driver)
{
	return (struct fake *)driver;
}

/* --- The contract, with faults around what it does ---------------------------------------------
 */

static int before(struct driver *d, enum driver_call call, struct fault *fault, struct err *err)
{
	const struct fake *f = fake_of(d);

	return fault_before(f->dirs.state, call, f->host, fault, err);
}

static int fake_probe(struct driver *d, struct driver_info *ret, struct err *err)
{
	struct fault fault;
	enum image_kind kind = machine_image_kind(fake_of(d));
	int r = before(d, DRIVER_CALL_PROBE, &fault, err);

	if (r < 0)
		return r;
	*ret = (struct driver_info){.name = "fake",
		.version = "fake " CORPUS_VERSION,
		.capabilities = driver_capabilities(d->ops) | DRIVER_CAN_UNPRIVILEGED,
		.image_kind = kind,
		.usable = true};
	if (!machine_has_inside(fake_of(d)))
		ret->capabilities &= ~(uint32_t)(DRIVER_CAN_EXEC | DRIVER_CAN_FILE);
	if (kind == IMAGE_TREE)
		ret->capabilities &= ~(uint32_t)DRIVER_CAN_DISK;
	if (kind != IMAGE_DISK)
		ret->capabilities &= ~(uint32_t)DRIVER_CAN_SAVE;
	if (kind != IMAGE_OCI)
		ret->capabilities &= ~(uint32_t)(DRIVER_CAN_IMAGE | DRIVER_CAN_LAYER);
	if (kind == IMAGE_DISK) {
		snprintf(ret->acceleration, sizeof(ret->acceleration), "none");
		snprintf(ret->notice, sizeof(ret->notice), "its machines are pretended");
	}
	return fault_after(&fault, 0);
}

static int fake_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_CREATE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_create(fake_of(d), guest, err));
}

static int fake_start(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_START, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_start(fake_of(d), id, ret, err));
}

static int fake_stop(struct driver *d, const char *id, uint64_t timeout_ms, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STOP, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_end(fake_of(d), id, SIGTERM, timeout_ms, err));
}

static int fake_kill(struct driver *d, const char *id, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_KILL, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_end(fake_of(d), id, SIGKILL, 0, err));
}

static int fake_destroy(struct driver *d, const char *id, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_DESTROY, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_destroy(fake_of(d), id, err));
}

static int fake_status(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STATUS, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_look(fake_of(d), id, ret, err));
}

static int fake_list(
	struct driver *d, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_LIST, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_list(fake_of(d), ret, ret_count, err));
}

static int fake_update(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_UPDATE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_update(fake_of(d), guest, err));
}

static int fake_freeze(struct driver *d, const char *id, bool frozen, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_FREEZE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_signal(fake_of(d), id, frozen, err));
}

static int fake_exec(struct driver *d, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_EXEC, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_exec(fake_of(d), id, exec, ret_pid, err));
}

static int fake_console(
	struct driver *d, const char *id, const struct driver_console *console, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_CONSOLE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_console(fake_of(d), id, console, err));
}

static int fake_file(struct driver *d, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_FILE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_file(fake_of(d), id, file, ret, err));
}

static int fake_stats(struct driver *d, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STATS, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_stats(fake_of(d), id, ret, ret_count, err));
}

static int fake_disk(struct driver *d, const char *id, const struct driver_disk_work *work,
	struct driver_disk_result *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_DISK, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_disk(fake_of(d), id, work, ret, err));
}

static int fake_save(struct driver *d, const char *id, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_SAVE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_save(fake_of(d), id, err));
}

static int fake_image(struct driver *d, const struct driver_image_work *work,
	struct driver_image **ret, size_t *ret_count, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_IMAGE, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_image(fake_of(d), work, ret, ret_count, err));
}

static int fake_layer(struct driver *d, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_LAYER, &fault, err);

	return r < 0 ? r : fault_after(&fault, work_layer(fake_of(d), id, work, ret, err));
}

/* --- Events ---------------------------------------------------------------------------------- */

static bool watch_look(void *data, const char *id, struct watch_look *ret)
{
	if (work_look(data, id, &ret->status, NULL) < 0)
		return false;
	ret->pids[0] = ret->status.pid;
	return true;
}

static int fake_watch_fd(struct driver *d, struct err *err)
{
	struct fake *f = fake_of(d);
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0;
	int r;

	if (f->watch)
		return watch_fd(f->watch);
	r = work_list(f, &list, &count, err);
	if (r == 0)
		r = watch_create(watch_look, f, &f->watch, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		watch_dispatch(f->watch, list[i].id, NULL, NULL);
	return watch_fd(f->watch);
}

static void fake_watch_dispatch(struct driver *d, const char *id, driver_event_fn event, void *data)
{
	watch_dispatch(fake_of(d)->watch, id, event, data);
}

/* --- Instances ------------------------------------------------------------------------------- */

static void fake_close(struct driver *d)
{
	struct fake *f = fake_of(d);

	watch_free(f->watch);
	dirs_finish(&f->dirs);
	free(f);
}

static int fake_open(const struct driver_config *config, struct driver **ret, struct err *err)
{
	struct fake *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_errno(err, ENOMEM, "no memory for a driver");
	f->driver.ops = &fake_driver_ops;
	f->host = getpid();
	f->containers = config->endpoint && strcmp(config->endpoint, FAKE_CONTAINERS) == 0;
	f->disks = config->endpoint && strcmp(config->endpoint, FAKE_DISKS) == 0;
	r = dirs_take(&f->dirs, config, FAKE_TITLE, err);
	if (r == 0)
		r = dirs_make(&f->dirs, err);
	if (r < 0) {
		fake_close(&f->driver);
		return r;
	}
	*ret = &f->driver;
	return 0;
}

const struct driver_ops fake_driver_ops = {
	.name = "fake",
	.call_mode = DRIVER_CALL_FORK,
	.open = fake_open,
	.close = fake_close,
	.probe = fake_probe,
	.create = fake_create,
	.start = fake_start,
	.stop = fake_stop,
	.kill = fake_kill,
	.destroy = fake_destroy,
	.status = fake_status,
	.list = fake_list,
	.watch_fd = fake_watch_fd,
	.watch_dispatch = fake_watch_dispatch,
	.update = fake_update,
	.freeze = fake_freeze,
	.exec = fake_exec,
	.console = fake_console,
	.file = fake_file,
	.stats = fake_stats,
	.disk = fake_disk,
	.save = fake_save,
	.image = fake_image,
	.layer = fake_layer,
};
