/* The facts of this host. */
#include "doctor/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/process.h"
#include "doctor/checks.h"
#include "doctor/read.h"

#define TEXT_MAX   (16 << 20)
#define PROGRAM_MS 2000
#define KEEP_FREE  (UINT64_C(64) << 20) /* of what is only written to now and then */

/* --- Kernel ---------------------------------------------------------------------------------- */

/* Calls with arguments that mean nothing: only whether they exist is of interest. */
static bool exists(long result)
{
	if (result >= 0)
		close((int)result);
	return result >= 0 || errno != ENOSYS;
}

static void examine_kernel(struct report *report, const char *release)
{
	const struct kernel_facts facts = {
		.release = release,
		.idmapped_mounts = exists(syscall(SYS_mount_setattr, -1, "", 0, NULL, 0)),
		.pidfd = exists(syscall(SYS_pidfd_open, getpid(), 0)),
		.openat2 = exists(syscall(SYS_openat2, -1, "", NULL, 0)),
	};

	check_kernel(report, &facts);
}

static void examine_cgroups(struct report *report)
{
	AUTOFREE char *mountinfo = read_text("/proc/self/mountinfo");
	AUTOFREE char *top = read_text("/sys/fs/cgroup/cgroup.controllers");
	AUTOFREE char *hybrid = read_text("/sys/fs/cgroup/unified/cgroup.controllers");
	const struct cgroup_facts facts = {.mountinfo = mountinfo,
		.controllers = top ? top : hybrid,
		.delegated = getenv("CORPUS_CGROUP"),
		.systemd = access("/run/systemd/system", F_OK) == 0};

	check_cgroups(report, &facts);
}

static void examine_namespaces(struct report *report)
{
	AUTOFREE char *most = read_text("/proc/sys/user/max_user_namespaces");
	AUTOFREE char *apparmor =
		read_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");

	check_namespaces(report, &(struct namespace_facts){most, apparmor});
}

static void examine_ids(struct report *report, const struct config *config)
{
	static const char *const FILES[] = {"/etc/subuid", "/etc/subgid"};

	for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
		AUTOFREE char *text = read_text(FILES[i]);

		check_subids(report, FILES[i], text, config->idmap.base, config->idmap.count);
	}
}

/* --- Storage --------------------------------------------------------------------------------- */

static void examine_btrfs(struct report *report, const struct config *config, const char *release)
{
	AUTOFREE char *filesystems = read_text("/proc/filesystems");
	AUTOFREE char *modules = NULL;
	char path[PATH_MAX];

	if (file_path(path, sizeof(path), "/lib/modules/%s/modules.dep", release) == 0)
		modules = read_text(path);
	check_btrfs(report, &(struct btrfs_facts){.filesystems = filesystems,
				    .module = modules && strstr(modules, "/btrfs.ko"),
				    .mkfs = process_is_installed("mkfs.btrfs"),
				    .loop = config->storage.loop_file && *config->storage.loop_file,
				    .classic = config->storage.classic_quota,
				    .release = release});
}

/* Of the file system that a path is on, or will be once it is made. */
static int measure(const char *path, struct statvfs *ret)
{
	char above[PATH_MAX];

	if (file_path(above, sizeof(above), "%s", path) < 0)
		return -ENAMETOOLONG;
	while (statvfs(above, ret) < 0) {
		char *slash = strrchr(above, '/');

		if (errno != ENOENT || !slash || slash == above)
			return -errno;
		*slash = '\0';
	}
	return 0;
}

static void examine_place(
	struct report *report, const char *what, const char *path, uint64_t wanted)
{
	struct statvfs fs;

	if (measure(path, &fs) < 0) {
		report_add(report, "space", VERDICT_WARNING, "Look whether it is mounted.",
			"%s (%s) cannot be measured", what, path);
		return;
	}
	check_space(report, &(struct space_facts){.what = what,
				    .path = path,
				    .total = (uint64_t)fs.f_blocks * fs.f_frsize,
				    .free = (uint64_t)fs.f_bavail * fs.f_frsize,
				    .inodes = fs.f_files,
				    .inodes_free = fs.f_favail,
				    .wanted = wanted});
}

/* What the file of the pool can still grow by, as it is now. */
static uint64_t growth_to_come(const struct config *config)
{
	uint64_t most =
		config->storage.loop_max ? config->storage.loop_max : config->storage.loop_size;
	struct stat st;
	uint64_t has = stat(config->storage.loop_file, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;

	return most > has ? most - has : 0;
}

static void examine_space(struct report *report, const struct config *config)
{
	examine_place(report, "the pool", config->storage.path, 0);
	if (config->storage.loop_file && *config->storage.loop_file)
		examine_place(report, "beneath the pool", config->storage.loop_file,
			growth_to_come(config));
	examine_place(report, "what corpusd keeps", config->state_dir, KEEP_FREE);
	examine_place(report, "what runs", config->run_dir, KEEP_FREE / 8);
	examine_place(report, "logs", config->log_dir, KEEP_FREE);
}

/* --- Network --------------------------------------------------------------------------------- */

static void examine_forwarding(struct report *report, const char *bridge)
{
	AUTOFREE char *all = read_text("/proc/sys/net/ipv4/ip_forward");
	AUTOFREE char *own = NULL;
	char path[PATH_MAX];

	if (file_path(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", bridge) == 0)
		own = read_text(path);
	check_forwarding(report, all, bridge, own);
}

/* Whether links of guests are on the bridge. */
static bool has_guests(const char *bridge)
{
	char pattern[64];
	glob_t found = {0};
	bool any;

	snprintf(pattern, sizeof(pattern), "/sys/class/net/%s/brif/cg*", bridge);
	any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
	globfree(&found);
	return any;
}

static void examine_traffic(struct report *report, const struct config *config)
{
	static const char *const LIST[] = {"/proc/self/exe", "--list-ruleset", NULL};
	static const char *const LEGACY[] = {"iptables-legacy-save", "-t", "filter", NULL};
	const struct traffic_facts facts = {.bridge = config->net.bridge,
		.docker_user = config->net.docker_user,
		.guests = has_guests(config->net.bridge)};
	struct err err = {0};
	AUTOFREE char *tables = read_text("/proc/net/ip_tables_names");
	AUTOFREE char *text = NULL;
	AUTOFREE char *rules = NULL;
	json_auto_t *ruleset = NULL;

	if (process_read(LIST, PROGRAM_MS, TEXT_MAX, &text, &err) == 0)
		ruleset = json_loads(text, 0, NULL);

	check_ruleset(report, ruleset, *err.message ? err.message : "not understood", &facts);
	/* Asked only when there are such rules: asking would load the module. */
	if (tables && strstr(tables, "filter") &&
		process_read(LEGACY, PROGRAM_MS, TEXT_MAX, &rules, NULL) == 0)
		check_legacy(report, rules, &facts);
}

/* --- Time, limits ---------------------------------------------------------------------------- */

static void examine_time(struct report *report)
{
	struct timex timex = {0};
	time_t now = time(NULL);
	struct tm tm;
	int state = adjtimex(&timex);

	gmtime_r(&now, &tm);
	check_time(report, state >= 0 && !(timex.status & STA_UNSYNC), tm.tm_year + 1900);
}

/* A size of /proc/meminfo (proc(5)), in bytes. */
static uint64_t memory_figure(const char *meminfo, const char *name)
{
	const char *line = meminfo ? strstr(meminfo, name) : NULL;

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static void examine_limits(struct report *report)
{
	AUTOFREE char *meminfo = read_text("/proc/meminfo");
	struct rlimit files = {0};

	getrlimit(RLIMIT_NOFILE, &files);
	check_limits(
		report, &(struct limit_facts){.files = files.rlim_max,
				.inotify = read_number("/proc/sys/fs/inotify/max_user_instances"),
				.memory = memory_figure(meminfo, "MemTotal:"),
				.available = memory_figure(meminfo, "MemAvailable:")});
}

void examine_host(struct report *report, const struct config *config)
{
	struct utsname host = {0};

	uname(&host);
	examine_kernel(report, host.release);
	examine_cgroups(report);
	examine_namespaces(report);
	examine_ids(report, config);
	examine_btrfs(report, config, host.release);
	examine_forwarding(report, config->net.bridge);
	examine_traffic(report, config);
	examine_space(report, config);
	examine_time(report);
	examine_limits(report);
}
