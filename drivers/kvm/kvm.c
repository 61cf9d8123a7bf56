/* The KVM driver's functions: each finds the guest, and hands on to the file that knows how. */
#include "drivers/kvm/kvm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/define.h"
#include "drivers/kvm/exec.h"
#include "drivers/kvm/file.h"
#include "drivers/kvm/guest.h"
#include "drivers/kvm/instance.h"
#include "drivers/kvm/stats.h"
#include "drivers/kvm/update.h"

static struct kvm *kvm_of(struct driver *driver)
{
	return (struct kvm *)driver;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int kvm_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct kvm_paths paths;
	int r = kvm_paths(kvm_of(d), guest->id, &paths, err);

	if (r == 0)
		r = define_check(guest, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.create.before");
	r = define_save(&paths, guest, err);
	fault_point("driver.kvm.create.saved");
	return r;
}

/* --- What is --------------------------------------------------------------------------------- */

static int kvm_status(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	int r = guest_connect(d, id, &g, err);

	if (r == 0)
		guest_status(&g, ret);
	return r;
}

/* --- Instances ------------------------------------------------------------------------------- */

static void kvm_close(struct driver *d)
{
	struct kvm *kvm = kvm_of(d);

	free(kvm->state_dir);
	free(kvm->run_dir);
	free(kvm->log_dir);
	free(kvm->additions_dir);
	free(kvm->uri);
	free(kvm->ssh_key);
	free(kvm);
}

static int make_dirs(const struct kvm *kvm, struct err *err)
{
	int r = file_mkdirs(kvm->state_dir, 0700);

	/* What QEMU opens by itself lies below these. */
	if (r == 0)
		r = file_mkdirs(kvm->run_dir, 0711);
	if (r == 0 && chmod(kvm->run_dir, 0711) < 0)
		r = -errno;
	if (r == 0)
		r = file_mkdirs(kvm->log_dir, 0700);
	return r < 0 ? err_errno(err, r, "cannot make the driver's directories") : 0;
}

static int fill(struct kvm *kvm, const struct driver_config *config, struct err *err)
{
	kvm->driver.ops = &kvm_driver_ops;
	kvm->state_dir = strdup(config->state_dir);
	kvm->run_dir = strdup(config->run_dir);
	kvm->log_dir = strdup(config->log_dir);
	kvm->additions_dir = config->additions_dir ? strdup(config->additions_dir) : NULL;
	kvm->ssh_key = config->ssh_key ? strdup(config->ssh_key) : NULL;
	if (!kvm->state_dir || !kvm->run_dir || !kvm->log_dir)
		return err_errno(err, ENOMEM, "no memory for a driver");
	/* libvirt and QEMU, who use them, are somewhere else. */
	if (kvm->state_dir[0] != '/' || kvm->run_dir[0] != '/' || kvm->log_dir[0] != '/')
		return err_set(err, ERR_INVALID, "state_dir",
			"the directories of the KVM driver must be absolute paths");
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
		r = make_dirs(kvm, err);
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
	.create = kvm_create,
	.status = kvm_status,
	.update = kvm_update,
	.exec = kvm_exec,
	.file = kvm_file,
	.stats = kvm_stats,
};
