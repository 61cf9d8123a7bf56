/* The LXC driver's functions: each finds the guest, and hands on to the file that knows how. */
#include "drivers/lxc/lxc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/cgroup/limits.h"
#include "drivers/definition.h"
#include "drivers/dirs.h"
#include "drivers/inside/hostname.h"
#include "drivers/lxc/console.h"
#include "drivers/lxc/define.h"
#include "drivers/lxc/exec.h"
#include "drivers/lxc/file.h"
#include "drivers/lxc/instance.h"
#include "drivers/lxc/probe.h"
#include "drivers/lxc/runtime.h"
#include "drivers/lxc/seccomp.h"
#include "drivers/lxc/start.h"
#include "drivers/lxc/stats.h"
#include "drivers/lxc/stop.h"
#include "drivers/watch/watch.h"

/* One guest, for the time of a call. */
struct subject {
	struct lxc *lxc;
	struct lxc_paths paths;
	struct definition definition;
};

static void subject_finish(struct subject *s)
{
	definition_finish(&s->definition);
}

static struct lxc *lxc_of(struct driver *driver)
{
	return (struct lxc *)driver;
}

static int subject_load(struct driver *d, const char *id, struct subject *ret, struct err *err)
{
	int r;

	*ret = (struct subject){.lxc = lxc_of(d)};
	r = lxc_paths(ret->lxc, id, &ret->paths, err);
	return r < 0 ? r
		     : definition_load(ret->paths.definition, LXC_TITLE, id, &ret->definition, err);
}

static void look(struct driver *d, const char *id, struct driver_status *ret)
{
	struct watch_look l;

	if (runtime_look(lxc_of(d), id, &l))
		*ret = l.status;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int lxc_probe(struct driver *d, struct driver_info *ret, struct err *err)
{
	(void)err;
	*ret = (struct driver_info){.name = "lxc",
		.capabilities = driver_capabilities(d->ops) | DRIVER_CAN_UNPRIVILEGED};
	probe_host(lxc_of(d), ret);
	return 0;
}

/* All that can be known before anything is changed. */
static int check_guest(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct limits_host host;
	int r = define_check(guest, err);

	if (r < 0)
		return r;
	limits_host(&lxc_of(d)->groups.cgroups, &host);
	return limits_check(&host, &guest->limits, guest->block_device, err);
}

static int lxc_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct lxc_paths paths;
	int r = lxc_paths(lxc_of(d), guest->id, &paths, err);

	if (r < 0)
		return r;
	r = check_guest(d, guest, err);
	if (r < 0)
		return r;
	fault_point("driver.lxc.create.before");
	r = definition_save(paths.definition, guest, NULL, err);
	fault_point("driver.lxc.create.saved");
	return r;
}

static int lxc_start(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	int r = subject_load(d, id, &s, err);

	if (r < 0)
		return r;
	look(d, id, ret);
	if (ret->state == GUEST_RUNNING || ret->state == GUEST_FROZEN) {
		unlink(s.paths.starting);
		return 0;
	}
	r = lxc_guest_start(s.lxc, &s.definition, &s.paths, err);
	if (r == 0)
		look(d, id, ret);
	return r;
}

static int lxc_stop(struct driver *d, const char *id, uint64_t timeout_ms, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	int signal = SIGPWR;
	int r = subject_load(d, id, &s, err);

	if (r < 0)
		return r;
	/* An init that is no longer there is no reason not to stop. */
	init_halt_signal(s.definition.guest.rootfs, &signal, NULL);
	return lxc_guest_end(s.lxc, &s.definition, &s.paths, signal, timeout_ms, err);
}

static int lxc_kill(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	int r = subject_load(d, id, &s, err);

	return r < 0 ? r : lxc_guest_end(s.lxc, &s.definition, &s.paths, SIGKILL, 0, err);
}

static int lxc_destroy(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	struct err unknown = {0};
	int r = subject_load(d, id, &s, &unknown);

	if (r < 0 && unknown.code == ERR_NOT_FOUND)
		return define_remove(&s.paths, err);
	if (r < 0) {
		*err = unknown;
		return r;
	}
	r = lxc_guest_end(s.lxc, &s.definition, &s.paths, SIGKILL, 0, err);
	fault_point("driver.lxc.destroy.ended");
	return r < 0 ? r : define_remove(&s.paths, err);
}

/* --- What is --------------------------------------------------------------------------------- */

static int lxc_status(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct lxc_paths paths;
	struct watch_look l;
	int r = lxc_paths(lxc_of(d), id, &paths, err);

	if (r < 0)
		return r;
	if (!runtime_look(lxc_of(d), id, &l))
		return definition_missing(LXC_TITLE, id, err);
	*ret = l.status;
	return 0;
}

static bool list_look(void *data, const char *id, struct driver_status *ret)
{
	struct watch_look l;
	bool found = runtime_look(data, id, &l);

	if (found)
		*ret = l.status;
	return found;
}

static int lxc_list(
	struct driver *d, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	return definition_list(lxc_of(d)->dirs.state, list_look, lxc_of(d), ret, ret_count, err);
}

static bool watch_look(void *data, const char *id, struct watch_look *ret)
{
	return runtime_look(data, id, ret);
}

static int lxc_watch_fd(struct driver *d, struct err *err)
{
	struct lxc *lxc = lxc_of(d);
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0;
	int r;

	if (lxc->watch)
		return watch_fd(lxc->watch);
	r = lxc_list(d, &list, &count, err);
	if (r == 0)
		r = watch_create(watch_look, lxc, &lxc->watch, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		watch_dispatch(lxc->watch, list[i].id, NULL, NULL);
	return watch_fd(lxc->watch);
}

static void lxc_watch_dispatch(struct driver *d, const char *id, driver_event_fn event, void *data)
{
	watch_dispatch(lxc_of(d)->watch, id, event, data);
}

/* --- Optional -------------------------------------------------------------------------------- */

/* A name that the guest gave itself stays until it is renamed. */
static int rename_running(
	pid_t init, const struct driver_guest *from, const struct driver_guest *to, struct err *err)
{
	return strcmp(from->name, to->name) == 0 ? 0 : hostname_set(init, to->name, err);
}

static int update_running(
	struct subject *s, pid_t init, const struct driver_guest *guest, struct err *err)
{
	const struct driver_guest *before = &s->definition.guest;
	struct cgroup group;
	int r = groups_of(&s->lxc->groups, guest->id, &group);

	if (r < 0)
		return err_errno(err, r, "cannot find the control groups of guest %s", guest->id);
	r = limits_apply(&group, &guest->limits, guest->block_device, err);
	if (r < 0)
		return r;
	r = rename_running(init, before, guest, err);
	fault_point("driver.lxc.update.applied");
	if (r == 0)
		r = definition_save(s->paths.definition, guest, NULL, err);
	if (r < 0) {
		limits_apply(&group, &before->limits, before->block_device, NULL);
		rename_running(init, guest, before, NULL);
	}
	return r;
}

static int lxc_update(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	struct driver_status status = {0};
	int r = subject_load(d, guest->id, &s, err);

	if (r == 0)
		r = check_guest(d, guest, err);
	if (r < 0)
		return r;
	look(d, guest->id, &status);
	return status.pid > 0 ? update_running(&s, status.pid, guest, err)
			      : definition_save(s.paths.definition, guest, NULL, err);
}

static int check_running(struct driver *d, const char *id, struct err *err)
{
	struct driver_status status = {0};
	int r = lxc_status(d, id, &status, err);

	if (r == 0 && status.pid == 0)
		r = err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return r;
}

static int lxc_freeze(struct driver *d, const char *id, bool frozen, struct err *err)
{
	int r = check_running(d, id, err);

	if (r < 0)
		return r;
	r = groups_freeze(&lxc_of(d)->groups, id, frozen);
	return r < 0 ? err_errno(err, r, "cannot %s the guest", frozen ? "freeze" : "thaw") : 0;
}

static int lxc_exec(struct driver *d, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	struct driver_status status = {0};
	int r = subject_load(d, id, &s, err);

	if (r < 0)
		return r;
	look(d, id, &status);
	if (status.state == GUEST_FROZEN)
		return err_set(
			err, ERR_ILLEGAL_STATE, NULL, "guest %s is frozen: thaw it first", id);
	if (status.pid == 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return lxc_guest_exec(s.lxc, &s.definition, exec, ret_pid, err);
}

static int lxc_console(
	struct driver *d, const char *id, const struct driver_console *console, struct err *err)
{
	struct driver_status status = {0};
	int r = lxc_status(d, id, &status, err);

	return r < 0 ? r : lxc_guest_console(lxc_of(d), id, console, err);
}

static int lxc_file(struct driver *d, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	CLEANUP(subject_finish) struct subject s;
	int r = subject_load(d, id, &s, err);

	return r < 0 ? r : lxc_guest_file(&s.paths, &s.definition, file, ret, err);
}

static int lxc_stats(struct driver *d, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	int r = id ? check_running(d, id, err) : 0;

	return r < 0 ? r : lxc_guests_stats(lxc_of(d), id, ret, ret_count, err);
}

/* --- Instances ------------------------------------------------------------------------------- */

static void lxc_close(struct driver *d)
{
	struct lxc *lxc = lxc_of(d);

	watch_free(lxc->watch);
	dirs_finish(&lxc->dirs);
	free(lxc->seccomp);
	free(lxc);
}

#define IDMAP_BASE  100000 /* what Debian gives to root with the package uidmap */
#define IDMAP_COUNT 65536  /* as many ids as the systems inside know */
#define SUBID_MAX   (1024 * 1024)

/* The ids of guests: as configured, else root's first range. */
static void choose_ids(struct lxc *lxc, const struct driver_config *config)
{
	AUTOFREE char *text = NULL;
	uint32_t count = 0;

	lxc->idmap_base = config->idmap_base;
	lxc->idmap_count = config->idmap_count ? config->idmap_count : IDMAP_COUNT;
	if (config->idmap_base)
		return;
	lxc->idmap_base = IDMAP_BASE;
	if (file_read("/etc/subuid", SUBID_MAX, &text, NULL) == 0 &&
		probe_first_range(text, &lxc->idmap_base, &count) && !config->idmap_count &&
		count < IDMAP_COUNT)
		lxc->idmap_count = count;
}

static int make_dirs(struct lxc *lxc, struct err *err)
{
	int r = dirs_make(&lxc->dirs, err);

	if (r < 0)
		return r;
	r = file_replace(lxc->seccomp, LXC_SECCOMP_PROFILE, 0600, false);
	return r < 0 ? err_errno(err, r, "cannot write %s", lxc->seccomp) : 0;
}

static int fill(struct lxc *lxc, const struct driver_config *config, struct err *err)
{
	int r = dirs_take(&lxc->dirs, config, LXC_TITLE, err);

	if (r < 0)
		return r;
	lxc->driver.ops = &lxc_driver_ops;
	if (asprintf(&lxc->seccomp, "%s/seccomp", lxc->dirs.state) < 0) {
		lxc->seccomp = NULL;
		return err_errno(err, ENOMEM, "no memory for a driver");
	}
	choose_ids(lxc, config);
	return groups_find(&lxc->groups, err);
}

static int lxc_open(const struct driver_config *config, struct driver **ret, struct err *err)
{
	struct lxc *lxc = calloc(1, sizeof(*lxc));
	int r;

	if (!lxc)
		return err_errno(err, ENOMEM, "no memory for a driver");
	r = fill(lxc, config, err);
	if (r == 0)
		r = make_dirs(lxc, err);
	if (r < 0) {
		lxc_close(&lxc->driver);
		return r;
	}
	*ret = &lxc->driver;
	return 0;
}

const struct driver_ops lxc_driver_ops = {
	.name = "lxc",
	.call_mode = DRIVER_CALL_FORK,
	.open = lxc_open,
	.close = lxc_close,
	.probe = lxc_probe,
	.create = lxc_create,
	.start = lxc_start,
	.stop = lxc_stop,
	.kill = lxc_kill,
	.destroy = lxc_destroy,
	.status = lxc_status,
	.list = lxc_list,
	.watch_fd = lxc_watch_fd,
	.watch_dispatch = lxc_watch_dispatch,
	.update = lxc_update,
	.freeze = lxc_freeze,
	.exec = lxc_exec,
	.console = lxc_console,
	.file = lxc_file,
	.stats = lxc_stats,
};
