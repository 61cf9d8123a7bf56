/* Starting guests: what liblxc is told, and what is done around it. */
#include "drivers/lxc/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/cgroup/limits.h"
#include "drivers/lxc/config.h"
#include "drivers/lxc/monitor.h"
#include "drivers/lxc/raw.h"
#include "drivers/lxc/runtime.h"
#include "drivers/lxc/stop.h"

#define LOG_MAX (256 * 1024)

/* --- The guest's init --------------------------------------------------------------------------
 */

/* The guest's /sbin/init with all links followed as the guest would: none leads out of its root. */
static int open_init(const char *rootfs)
{
	AUTOCLOSE int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return root < 0 ? -1 : (int)syscall(SYS_openat2, root, "sbin/init", &how, sizeof(how));
}

int init_halt_signal(const char *rootfs, int *ret, struct err *err)
{
	AUTOCLOSE int fd = open_init(rootfs);
	char self[64], path[PATH_MAX];
	const char *name;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return err_set(
			err, ERR_DRIVER, NULL, "there is no /sbin/init to execute in %s", rootfs);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	name = strrchr(path, '/');
	*ret = name && strcmp(name, "/systemd") == 0   ? SIGRTMIN + 3
	       : name && strcmp(name, "/busybox") == 0 ? SIGUSR2
						       : SIGPWR;
	return 0;
}

/* --- Preparing ---------------------------------------------------------------------------------
 */

#define APPARMOR_ENABLED  "/sys/module/apparmor/parameters/enabled"
#define APPARMOR_PROFILES "/sys/kernel/security/apparmor/profiles"
#define APPARMOR_DEFAULT  "lxc-container-default-cgns (" /* of liblxc, with cgroup namespaces */
#define APPARMOR_MAX	  (1024 * 1024)

static bool lacks_apparmor_profile(void)
{
	AUTOFREE char *enabled = NULL;
	AUTOFREE char *profiles = NULL;

	if (file_read(APPARMOR_ENABLED, APPARMOR_MAX, &enabled, NULL) < 0 || enabled[0] != 'Y')
		return false;
	return file_read(APPARMOR_PROFILES, APPARMOR_MAX, &profiles, NULL) < 0 ||
	       !strstr(profiles, APPARMOR_DEFAULT);
}

static int write_config(const struct lxc *lxc, const struct definition *d,
	const struct lxc_paths *paths, struct err *err)
{
	AUTOFREE char *additions = NULL;
	struct lxc_config config = {.guest = &d->guest,
		.idmap_base = lxc->idmap_base,
		.idmap_count = lxc->idmap_count,
		.seccomp = lxc->seccomp,
		.log = paths->log,
		.console = paths->console,
		.cgroup_root = lxc->groups.root,
		.cgroup_v2 = lxc->groups.cgroups.unified,
		.apparmor_without_profile = lacks_apparmor_profile()};
	int r = init_halt_signal(d->guest.rootfs, &config.halt_signal, err);

	if (r < 0)
		return r;
	limits_host(&lxc->groups.cgroups, &config.limits);
	r = raw_read_additions(lxc->dirs.additions, d->guest.name, &additions, err);
	if (r < 0)
		return r;
	config.additions = additions;

	AUTOFREE char *text = lxc_config_render(&config);

	r = text ? file_replace(paths->config, text, 0600, false) : -ENOMEM;
	return r < 0 ? err_errno(err, r, "cannot write %s", paths->config) : 0;
}

/* liblxc looks for the bridge below /sys/class/net. In a network namespace entered without a /sys
 * of its own that shows another network's links: this process, and the monitor with it, then gets
 * one, with the control groups where they were. */
static int see_own_links(const char *bridge, struct err *err)
{
	char path[64], saved[] = "/run/corpus-cgroup-XXXXXX";
	bool ok;

	snprintf(path, sizeof(path), "/sys/class/net/%s", bridge);
	if (access(path, F_OK) == 0)
		return 0;
	if (if_nametoindex(bridge) == 0)
		return err_set(err, ERR_DRIVER, "net.bridge", "there is no bridge %s", bridge);
	if (!mkdtemp(saved))
		return err_errno(err, errno, "cannot make %s", saved);
	ok = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
	     mount("/sys/fs/cgroup", saved, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	     mount("sysfs", "/sys", "sysfs", 0, NULL) == 0 &&
	     mount(saved, "/sys/fs/cgroup", NULL, MS_BIND | MS_REC, NULL) == 0;
	if (!ok)
		err_errno(err, errno, "cannot show liblxc the links of this network namespace");
	umount2(saved, MNT_DETACH);
	rmdir(saved);
	return ok ? 0 : -EIO;
}

/* --- Failing -----------------------------------------------------------------------------------
 */

/* The first error in liblxc's log is the cause, the others follow from it. A line is
 * "lxc ID TIME ERROR    part - file.c:function:123 - text". */
static bool first_error(const char *path, char *buf, size_t size)
{
	AUTOFREE char *text = NULL;
	const char *line, *p;

	if (file_read(path, LOG_MAX, &text, NULL) < 0 || !(line = strstr(text, " ERROR ")))
		return false;
	for (int i = 0; i < 2 && line; i++) {
		p = strstr(line, " - ");
		line = p ? p + 3 : NULL;
	}
	if (!line)
		return false;
	snprintf(buf, size, "%.*s", (int)strcspn(line, "\n"), line);
	return buf[0] != '\0';
}

static int fail(const struct lxc_paths *paths, struct err *err)
{
	int status = monitor_read_exit(paths);
	char cause[300];

	if (status >= 0 && WIFEXITED(status))
		return err_set(err, ERR_DRIVER, NULL,
			"the guest's init ended at once, with status %d", WEXITSTATUS(status));
	if (status >= 0)
		return err_set(err, ERR_DRIVER, NULL,
			"the guest's init ended at once, by signal %d", WTERMSIG(status));
	if (first_error(paths->log, cause, sizeof(cause)))
		return err_set(err, ERR_DRIVER, NULL, "the guest does not start: %s", cause);
	return err_set(
		err, ERR_DRIVER, NULL, "the guest does not start; %s may say why", paths->log);
}

/* --- Starting ----------------------------------------------------------------------------------
 */

/* liblxc runs newuidmap and newgidmap, by shells, when it finds them in PATH: four processes for
 * two writes that root may do itself. */
static int start_without_path(const struct lxc *lxc, const struct driver_guest *guest,
	const struct lxc_paths *paths, pid_t *ret_init, struct err *err)
{
	const char *found = getenv("PATH");
	AUTOFREE char *path = found ? strdup(found) : NULL;
	int r;

	setenv("PATH", "/nonexistent", 1);
	r = monitor_start(lxc, guest, paths, ret_init, err);
	if (path)
		setenv("PATH", path, 1);
	else
		unsetenv("PATH");
	return r;
}

static int mark_starting(const struct lxc_paths *paths, struct err *err)
{
	int r = file_replace(paths->starting, "", 0600, false);

	unlink(paths->log);
	return r < 0 ? err_errno(err, r, "cannot write %s", paths->starting) : 0;
}

/* Those that the configuration does not have. */
static int apply_later_limits(
	const struct lxc *lxc, const struct driver_guest *guest, struct err *err)
{
	struct cgroup group;
	int r = groups_of(&lxc->groups, guest->id, &group);

	if (r < 0)
		return err_errno(err, r, "cannot find the control groups of guest %s", guest->id);
	return limits_apply_later(&group, &guest->limits, guest->block_device, err);
}

static int start(const struct lxc *lxc, const struct definition *d, const struct lxc_paths *paths,
	struct err *err)
{
	pid_t init = 0;
	int r;

	r = file_mkdirs(paths->run, 0700);
	if (r < 0)
		return err_errno(err, r, "cannot make %s", paths->run);
	r = write_config(lxc, d, paths, err);
	if (r == 0 && d->guest.net.bridge)
		r = see_own_links(d->guest.net.bridge, err);
	if (r == 0)
		r = mark_starting(paths, err);
	if (r < 0)
		return r;
	r = start_without_path(lxc, &d->guest, paths, &init, err);
	if (r == -EIO)
		return fail(paths, err);
	if (r == 0)
		r = runtime_save(paths, init, d->guest.block_device, err);
	fault_point("driver.lxc.start.saved");
	if (r == 0)
		r = apply_later_limits(lxc, &d->guest, err);
	if (r == 0)
		unlink(paths->starting);
	return r;
}

int lxc_guest_start(const struct lxc *lxc, const struct definition *d,
	const struct lxc_paths *paths, struct err *err)
{
	int r = lxc_guest_clear(lxc, d, paths, err);

	if (r < 0)
		return r;
	r = start(lxc, d, paths, err);
	if (r < 0)
		lxc_guest_end(lxc, d, paths, SIGKILL, 0, NULL);
	return r;
}
