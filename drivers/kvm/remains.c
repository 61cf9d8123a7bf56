/* What libvirt leaves behind of our machines. */
#include "drivers/kvm/remains.h"

#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "drivers/kvm/connect.h"

#define DEPTH 8 /* descriptors that may be open at once */

static void each(
	const char *before, const char *id, const char *after, void (*act)(const char *path))
{
	char path[PATH_MAX];
	glob_t found = {0};

	snprintf(path, sizeof(path), "%s" KVM_NAME_PREFIX "%s%s", before, id, after);
	if (glob(path, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			act(found.gl_pathv[i]);
	globfree(&found);
}

/* Groups with processes in them stay. */
static int remove_group(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)at;
	if (kind == FTW_DP)
		rmdir(path);
	return 0;
}

static void remove_groups(const char *path)
{
	nftw(path, remove_group, DEPTH, FTW_DEPTH | FTW_PHYS);
}

static void remove_log(const char *path)
{
	unlink(path);
}

void remains_remove_groups(const char *id)
{
	each("/sys/fs/cgroup/machine/qemu-*-", id, ".libvirt-qemu", remove_groups);
	each("/sys/fs/cgroup/*/machine/qemu-*-", id, ".libvirt-qemu", remove_groups);
}

void remains_remove_logs(const char *id)
{
	each("/var/log/libvirt/qemu/", id, ".log*", remove_log);
}
