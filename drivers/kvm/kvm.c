/* The KVM driver's functions: each finds the guest, and hands on to the file that knows how. */
#include "drivers/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/definition.h"
#include "drivers/dirs.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/console.h"
#include "drivers/kvm/define.h"
#include "drivers/kvm/disk.h"
#include "drivers/kvm/events.h"
#include "drivers/kvm/exec.h"
#include "drivers/kvm/file.h"
#include "drivers/kvm/guest.h"
#include "drivers/kvm/instance.h"
#include "drivers/kvm/look.h"
#include "drivers/kvm/probe.h"
#include "drivers/kvm/remains.h"
#include "drivers/kvm/save.h"
#include "drivers/kvm/start.h"
#include "drivers/kvm/stats.h"
#include "drivers/kvm/stop.h"
#include "drivers/kvm/update.h"
#include "drivers/watch/remote.h"

static struct kvm *kvm_of(struct driver *driver)
{
	return (struct kvm *)driver;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int kvm_probe(struct driver *d, struct driver_info *ret, struct err *err)
{
	(void)err;
	*ret = (struct driver_info){.name = "kvm",
		.capabilities = driver_capabilities(d->ops) | DRIVER_CAN_UNPRIVILEGED,
		.image_kind = IMAGE_DISK};
	probe_host(kvm_of(d), ret);
	return 0;
}

static int kvm_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct kvm_paths paths;
	int r = kvm_paths(kvm_of(d), guest->id, &paths, err);

	if (r == 0)
		r = start_check(guest, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.create.before");
	r = definition_save(paths.definition, guest, NULL, err);
	fault_point("driver.kvm.create.saved");
	return r;
}

static int start(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	bool memory = false;
	int r = guest_connect(d, id, &g, err);

	if (r == 0)
		r = start_settle(&g, err);
	if (r == 0)
		r = save_settle(&g, &memory, err);
	if (r == 0 && !guest_is_active(&g))
		r = kvm_guest_start(&g, memory, err);
	if (r < 0)
		return r;
	stop_unmark(&g);
	guest_status(&g, ret);
	return 0;
}

/* A libvirtd that has just come back may work off the end of a machine only when the next one
 * begins, and then ends that: QEMU itself has said nothing. */
static bool was_mistaken(const struct err *err)
{
	static const char exited[] = "process exited while connecting to monitor";
	const char *found = strstr(err->message, exited);

	return (found && found[strlen(exited)] != ':') ||
	       strstr(err->message, "domain is no longer running");
}

static int kvm_start(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct err why = {0};
	int r = start(d, id, ret, &why);

	if (r < 0 && was_mistaken(&why))
		r = start(d, id, ret, &why);
	if (r < 0)
		*err = why;
	return r;
}

static int kvm_stop(struct driver *d, const char *id, uint64_t timeout_ms, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	int r = guest_connect(d, id, &g, err);

	return r < 0 ? r : kvm_guest_end(&g, STOP_WRITE, timeout_ms, err);
}

static int kvm_kill(struct driver *d, const char *id, struct err *err)
{
	return kvm_stop(d, id, 0, err);
}

/* libvirt may know what our directories have forgotten. */
static int destroy_unknown(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(guest_finish)
	struct kvm_guest g = {.kvm = kvm_of(d), .definition.guest.id = id};
	int r = kvm_paths(g.kvm, id, &g.paths, err);

	if (r < 0)
		return r;
	if (kvm_connect(g.kvm, &g.conn, NULL) == 0 && guest_find(&g, g.conn, NULL) == 0) {
		r = kvm_guest_end(&g, STOP_DISCARD, 0, err);
		if (r == 0)
			r = stop_undefine(&g, err);
	}
	return r == 0 ? define_remove(&g.paths, err) : r;
}

static int kvm_destroy(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	struct err failed = {0};
	int r = guest_connect(d, id, &g, &failed);

	if (failed.code == ERR_NOT_FOUND)
		return destroy_unknown(d, id, err);
	/* What only looks like ours is none of our business. */
	if (r < 0 && failed.code != ERR_CONFLICT) {
		if (err)
			*err = failed;
		return r;
	}
	r = kvm_guest_end(&g, STOP_DISCARD, 0, err);
	fault_point("driver.kvm.destroy.ended");
	if (r == 0)
		r = stop_undefine(&g, err);
	fault_point("driver.kvm.destroy.undefined");
	return r == 0 ? define_remove(&g.paths, err) : r;
}

/* --- What is --------------------------------------------------------------------------------- */

#define STATUS_MS 800 /* of the second that there is */

static int kvm_status(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	AUTOCONN virConnectPtr conn = NULL;
	struct kvm_paths paths;
	int r = kvm_paths(kvm_of(d), id, &paths, err);

	if (r < 0)
		return r;
	if (definition_exists(paths.definition))
		connect_within(kvm_of(d), STATUS_MS, &conn, NULL);
	if (look_one(kvm_of(d), conn, id, ret))
		return 0;
	return definition_missing(KVM_TITLE, id, err);
}

static int kvm_list(
	struct driver *d, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	AUTOCONN virConnectPtr conn = NULL;

	if (kvm_connect(kvm_of(d), &conn, NULL) == 0 && kvm_of(d)->type == KVM_QEMU)
		remains_remove_domains(kvm_of(d), conn);
	return look_all(kvm_of(d), conn, ret, ret_count, err);
}

static int kvm_watch_fd(struct driver *d, struct err *err)
{
	struct kvm *kvm = kvm_of(d);
	int r = kvm->watcher ? 0 : events_watch(kvm, &kvm->watcher, err);

	return r < 0 ? r : remote_fd(kvm->watcher);
}

static void kvm_watch_dispatch(struct driver *d, const char *id, driver_event_fn event, void *data)
{
	remote_dispatch(kvm_of(d)->watcher, id, event, data);
}

/* --- Optional -------------------------------------------------------------------------------- */

/* One that the node has stopped, for want of room on its disk, is frozen, too, and goes on. */
static int kvm_freeze(struct driver *d, const char *id, bool frozen, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	int r = guest_running(d, id, &g, err);

	if (r < 0 || (g.state == VIR_DOMAIN_PAUSED) == frozen)
		return r;
	r = frozen ? virDomainSuspend(g.domain) : virDomainResume(g.domain);
	return r < 0 ? connect_error(err, "cannot %s the guest", frozen ? "freeze" : "thaw") : 0;
}

/* --- Instances ------------------------------------------------------------------------------- */

static void kvm_close(struct driver *d)
{
	struct kvm *kvm = kvm_of(d);

	remote_free(kvm->watcher);
	dirs_finish(&kvm->dirs);
	free(kvm->uri);
	free(kvm->ssh_key);
	free(kvm);
}

static int fill(struct kvm *kvm, const struct driver_config *config, struct err *err)
{
	int r = dirs_take(&kvm->dirs, config, KVM_TITLE, err);

	if (r < 0)
		return r;
	kvm->driver.ops = &kvm_driver_ops;
	kvm->ssh_key = config->ssh_key ? strdup(config->ssh_key) : NULL;
	return connect_choose(config->endpoint, &kvm->uri, &kvm->type, err);
}

static int kvm_open(const struct driver_config *config, struct driver **ret, struct err *err)
{
	struct kvm *kvm = calloc(1, sizeof(*kvm));
	int r;

	if (!kvm)
		return err_errno(err, ENOMEM, "no memory for a driver");
	r = fill(kvm, config, err);
	if (r == 0)
		r = dirs_make(&kvm->dirs, err);
	if (r < 0) {
		kvm_close(&kvm->driver);
		return r;
	}
	*ret = &kvm->driver;
	return 0;
}

const struct driver_ops kvm_driver_ops = {
	.name = "kvm",
	.call_mode = DRIVER_CALL_FORK,
	.open = kvm_open,
	.close = kvm_close,
	.probe = kvm_probe,
	.create = kvm_create,
	.start = kvm_start,
	.stop = kvm_stop,
	.kill = kvm_kill,
	.destroy = kvm_destroy,
	.status = kvm_status,
	.list = kvm_list,
	.watch_fd = kvm_watch_fd,
	.watch_dispatch = kvm_watch_dispatch,
	.freeze = kvm_freeze,
	.update = kvm_update,
	.exec = kvm_exec,
	.console = kvm_console,
	.file = kvm_file,
	.stats = kvm_stats,
	.disk = kvm_disk,
	.save = kvm_save,
};
