/* The facts about machines: only looked for where a driver of them is configured. libvirt itself is
 * asked nothing but whether it takes connections: its library would make this program ten times
 * larger, and the driver asks it anyway. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "doctor/checks.h"
#include "doctor/examine.h"
#include "doctor/read.h"
#include "drivers/kvm/accel.h"

#define DRIVER	    "kvm"
#define DEFAULT_URI "qemu:///system"
#define KVM_DEVICE  makedev(10, 232) /* Documentation/admin-guide/devices.txt */

/* --- libvirtd -------------------------------------------------------------------------------- */

/* 0, or the errno of it. One that has no room for more connections is not waited for. */
static int try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno;
	return 0;
}

/* The process of a libvirt daemon, by its pid file; 0: none runs. */
static pid_t find_daemon(void)
{
	static const char *const NAMES[] = {"libvirtd", "virtqemud", "virtxend"};

	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
		char path[64], comm[64];
		pid_t pid;

		snprintf(path, sizeof(path), "/run/%s.pid", NAMES[i]);
		pid = (pid_t)read_number(path);
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
		AUTOFREE char *text = pid > 0 ? read_text(path) : NULL;

		snprintf(comm, sizeof(comm), "%s\n", NAMES[i]);
		if (text && strcmp(text, comm) == 0)
			return pid;
	}
	return 0;
}

/* Whether a process is in another network namespace than we are; false when that cannot be seen. */
static bool is_elsewhere(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return pid > 0 && stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino != theirs.st_ino;
}

static void examine_libvirtd(
	struct report *report, const char *uri, const char *bridge, pid_t daemon)
{
	char sockets[LIBVIRT_SOCKETS][108];
	struct libvirtd_facts facts = {
		.uri = uri, .bridge = bridge, .elsewhere = is_elsewhere(daemon)};

	libvirt_sockets(uri, sockets);
	for (size_t i = 0; i < LIBVIRT_SOCKETS && sockets[i][0]; i++) {
		int connected = try_connect(sockets[i]);

		if (facts.socket && connected)
			continue;
		facts.socket = sockets[i];
		facts.connected = connected;
		if (!connected)
			break;
	}
	check_libvirtd(report, &facts);
}

static void examine_networks(struct report *report, const struct config *config)
{
	glob_t found = {0};

	if (glob("/etc/libvirt/qemu/networks/*.xml", 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++) {
			AUTOFREE char *xml = read_text(found.gl_pathv[i]);

			if (xml)
				check_libvirt_network(report, xml, config->net.bridge,
					config->net.gateway, config->net.prefix);
		}
	globfree(&found);
}

static void examine_apparmor(struct report *report, pid_t daemon)
{
	AUTOFREE char *enabled = read_text("/sys/module/apparmor/parameters/enabled");
	AUTOFREE char *confined = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/attr/current", (int)daemon);
	confined = daemon > 0 ? read_text(path) : NULL;
	check_apparmor(report,
		&(struct apparmor_facts){.enabled = enabled,
			.confined = confined,
			.template = access("/etc/apparmor.d/libvirt/TEMPLATE.qemu", R_OK) == 0,
			.parser = process_is_installed("apparmor_parser")});
}

/* --- QEMU ------------------------------------------------------------------------------------ */

static bool matches(const char *pattern)
{
	glob_t found = {0};
	bool any = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;

	globfree(&found);
	return any;
}

static void examine_qemu(struct report *report)
{
	check_qemu(report, &(struct qemu_facts){.qemu = process_is_installed("qemu-system-x86_64"),
				   .qemu_img = process_is_installed("qemu-img"),
				   .storage_daemon = process_is_installed("qemu-storage-daemon"),
				   .e2fsck = process_is_installed("e2fsck"),
				   .resize2fs = process_is_installed("resize2fs"),
				   .uefi = matches("/usr/share/OVMF/OVMF_CODE*.fd") ||
					   matches("/usr/share/edk2/*/OVMF_CODE*.fd")});
}

static const struct passwd *find_user(const char *name)
{
	return *name == '+' ? getpwuid((uid_t)strtoul(name + 1, NULL, 10)) : getpwnam(name);
}

/* In a process of its own: becomes the user, and exits with the number of the first directory of
 * the path, counted from 1, that it cannot pass. 0: it can pass all that are there. */
static void walk(const struct passwd *user, char *path)
{
	int depth = 0;

	if (initgroups(user->pw_name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
		setuid(user->pw_uid) < 0)
		_exit(0);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		depth++;
		*slash = '\0';
		if (access(path, X_OK) < 0 && errno == EACCES)
			_exit(depth);
		*slash = '/';
	}
	_exit(0);
}

/* Cuts a path behind so many of its directories. */
static void cut(char *path, int depth)
{
	char *at = path;

	while (depth-- > 0 && (at = strchr(at + 1, '/')))
		if (depth == 0)
			*at = '\0';
}

static void examine_reach(struct report *report, const struct config *config, const char *conf)
{
	const struct passwd *user;
	char name[64], path[PATH_MAX];
	int status = 0;
	pid_t pid;

	qemu_user(conf, name);
	user = find_user(name);
	if (!user || geteuid() != 0 ||
		file_path(path, sizeof(path), "%s/volumes/", config->storage.path) < 0)
		return;
	pid = fork();
	if (pid == 0)
		walk(user, path);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return;
	if (WEXITSTATUS(status))
		cut(path, WEXITSTATUS(status));
	check_reach(report, user->pw_name, config->storage.path, WEXITSTATUS(status) ? path : NULL);
}

/* --- Acceleration ---------------------------------------------------------------------------- */

/* libvirtd may be shown something else in the place of the device, which nobody can open. */
static bool is_hidden(pid_t daemon)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/root/dev/kvm", (int)daemon);
	return daemon > 0 && (stat(path, &st) == 0 ? st.st_rdev != KVM_DEVICE : errno == ENOENT);
}

static void examine_acceleration(struct report *report, const struct config *config, pid_t daemon)
{
	char dir[PATH_MAX], file[PATH_MAX + 16];
	struct accel_finding finding = {0};
	struct acceleration_facts facts = {.device = access(accel_this_host.device, F_OK) == 0,
		.now_ms = clock_realtime_ms(),
		.file = file};

	if (file_path(dir, sizeof(dir), "%s/drivers/" DRIVER, config->state_dir) < 0)
		return;
	snprintf(file, sizeof(file), "%s/acceleration", dir);
	facts.known = accel_look(&accel_this_host, &finding)
			      ? accel_recall(&accel_this_host, dir, &finding)
			      : true;
	facts.works = finding.works;
	facts.reason = finding.reason;
	facts.found_ms = finding.found_ms;
	facts.hidden = facts.device && is_hidden(daemon);
	check_acceleration(report, &facts);
}

/* --------------------------------------------------------------------------------------------- */

static const struct driver_settings *find_settings(const struct config *config)
{
	for (size_t i = 0; i < config->drivers_count; i++)
		if (strcmp(config->drivers[i].name, DRIVER) == 0)
			return &config->drivers[i];
	return NULL;
}

void examine_machines(struct report *report, const struct config *config)
{
	const struct driver_settings *settings = find_settings(config);
	AUTOFREE char *conf = NULL;
	const char *uri;
	pid_t daemon;

	if (!settings)
		return;
	uri = settings->endpoint && *settings->endpoint ? settings->endpoint : DEFAULT_URI;
	daemon = find_daemon();
	examine_libvirtd(report, uri, config->net.bridge, daemon);
	if (strncmp(uri, "qemu:///", 8) != 0)
		return;
	conf = read_text("/etc/libvirt/qemu.conf");
	check_virtlogd(report, conf, try_connect("/run/libvirt/virtlogd-sock"));
	examine_networks(report, config);
	examine_apparmor(report, daemon);
	examine_qemu(report);
	examine_reach(report, config, conf);
	examine_acceleration(report, config, daemon);
}
