/* Whether LXC guests can run here: what is missing is said in a way that can be acted upon. */
#include "drivers/lxc/probe.h"

#include <errno.h>
#include <linux/mount.h>
#include <lxc/lxccontainer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/subid.h"

#define SUBID_MAX (1024 * 1024)

bool probe_first_range(const char *text, uint32_t *ret_base, uint32_t *ret_count)
{
	struct subid_range r;

	if (!subid_next(&text, &r) || r.base > UINT32_MAX || r.count == 0)
		return false;
	*ret_base = (uint32_t)r.base;
	*ret_count = r.count > UINT32_MAX ? UINT32_MAX : (uint32_t)r.count;
	return true;
}

bool probe_has_range(const char *text, uint32_t base, uint32_t count)
{
	struct subid_range r;

	while (subid_next(&text, &r))
		if (subid_holds(&r, base, count))
			return true;
	return false;
}

/* The first one counts. */
static void problem(struct driver_info *info, const char *text)
{
	if (!info->problem[0])
		snprintf(info->problem, sizeof(info->problem), "%s", text);
}

static void check_subids(const struct lxc *lxc, const char *path, struct driver_info *info)
{
	AUTOFREE char *text = NULL;
	char what[sizeof(info->problem)];

	if (file_read(path, SUBID_MAX, &text, NULL) == 0 &&
		probe_has_range(text, lxc->idmap_base, lxc->idmap_count))
		return;
	snprintf(what, sizeof(what),
		"root may not use the ids %u to %u for guests: add the line \"root:%u:%u\" to %s "
		"(Debian: install uidmap)",
		lxc->idmap_base, lxc->idmap_base + lxc->idmap_count - 1, lxc->idmap_base,
		lxc->idmap_count, path);
	problem(info, what);
}

void probe_host(const struct lxc *lxc, struct driver_info *ret)
{
	snprintf(ret->version, sizeof(ret->version), "liblxc %s", lxc_get_version());
	if (geteuid() != 0)
		problem(ret, "the driver has to run as root");
	/* Arguments that mean nothing: only whether the call exists is of interest. */
	if (syscall(SYS_mount_setattr, -1, "", 0, NULL, 0) < 0 && errno == ENOSYS)
		problem(ret, "the kernel has no id-mapped mounts (Linux 5.12 has them)");
	if (lxc->groups.cgroups.count == 0)
		problem(ret, "no control groups are mounted below /sys/fs/cgroup");
	check_subids(lxc, "/etc/subuid", ret);
	check_subids(lxc, "/etc/subgid", ret);
	ret->usable = ret->problem[0] == '\0';
}
