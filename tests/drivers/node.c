/* A node of one's own. */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "conformance/program.h"

static char g_dir[] = "/tmp/corpus-test-node-XXXXXX";
static pid_t g_owner;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

const char *node_dir(void)
{
	return g_dir;
}

struct driver_config node_config(void)
{
	static char state[PATH_MAX], run[PATH_MAX], log[PATH_MAX];

	snprintf(state, sizeof(state), "%s/state", g_dir);
	snprintf(run, sizeof(run), "%s/run", g_dir);
	snprintf(log, sizeof(log), "%s/log", g_dir);
	return (struct driver_config){.state_dir = state, .run_dir = run, .log_dir = log};
}

/* Before Linux 6.3 a file system in memory cannot be mapped for a guest: then the tests have to run
 * where /tmp is on a disk. */
static bool is_on_disk(void)
{
	return getenv("CORPUS_TEST_ON_DISK") != NULL;
}

static void leave(void)
{
	if (getpid() != g_owner)
		return;
	umount2(g_dir, MNT_DETACH);
	if (is_on_disk())
		file_remove_tree(g_dir);
	rmdir(g_dir);
}

/* As on a host with control groups v2 only, as far as it goes: controllers that v1 has taken stay
 * there. */
static void mount_unified(void)
{
	if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 ||
		mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0)
		die("mounting /sys");
}

/* liblxc looks for the bridge in /sys, and for the control groups below it. */
static void mount_sys(void)
{
	char saved[PATH_MAX];

	snprintf(saved, sizeof(saved), "%s/cgroup", g_dir);
	if (mkdir(saved, 0755) < 0 ||
		mount("/sys/fs/cgroup", saved, NULL, MS_BIND | MS_REC, NULL) < 0 ||
		mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 ||
		mount(saved, "/sys/fs/cgroup", NULL, MS_BIND | MS_REC, NULL) < 0 ||
		umount2(saved, MNT_DETACH) < 0)
		die("mounting /sys");
}

void node_enter(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "this test needs root\n");
		exit(1);
	}
	if (!mkdtemp(g_dir))
		die(g_dir);
	g_owner = getpid();
	atexit(leave);
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		(!is_on_disk() && mount("tmpfs", g_dir, "tmpfs", 0, "mode=755") < 0) ||
		chmod(g_dir, 0755) < 0)
		die("namespaces");
	if (getenv("CORPUS_TEST_UNIFIED"))
		mount_unified();
	else if (!getenv("CORPUS_TEST_FOREIGN_SYS"))
		mount_sys();
	RUN("ip", "link", "set", "lo", "up");
	RUN("ip", "link", "add", NODE_BRIDGE, "type", "bridge");
	RUN("ip", "address", "add", "10.99.0.1/24", "dev", NODE_BRIDGE);
	RUN("ip", "link", "set", NODE_BRIDGE, "up");
}

/* --- Root trees --------------------------------------------------------------------------------
 */

static void put(const char *root, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (file_replace(path, text, mode, false) < 0)
		die(path);
}

static void make_tree(const char *root)
{
	static const char *const dirs[] = {
		"bin", "sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var"};
	static const char *const tools[] = {"sh", "cat", "echo", "sleep", "id", "pwd", "kill",
		"true", "ip", "ls", "trap", "head", "tr", "dd", "timeout", "poweroff", "reboot",
		"grep", "rm", "mount"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, dirs[i]);
		file_mkdirs(path, 0755);
	}
	snprintf(path, sizeof(path), "%s/bin/busybox", root);
	RUN("cp", "/bin/busybox", path);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		snprintf(path, sizeof(path), "%s/bin/%s", root, tools[i]);
		if (symlink("busybox", path) < 0)
			die(path);
	}
	put(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0644);
}

void node_make_rootfs(const char *root, const char *init)
{
	make_tree(root);
	if (init)
		put(root, "sbin/init", init, 0755);
}

const char *node_rootfs(enum rootfs_kind kind)
{
	/* An init that shuts down at once, unlike busybox's, which waits a second. */
	static const char *const inits[] = {
		[ROOTFS_PLAIN] = "#!/bin/sh\ntrap 'exit 0' PWR\n"
				 "while :; do sleep 1000 & wait $!; done\n",
		[ROOTFS_NO_INIT] = NULL,
		[ROOTFS_STUBBORN] = "#!/bin/sh\ntrap '' PWR TERM INT HUP\n"
				    "while :; do sleep 1000; done\n",
		[ROOTFS_SLOW] = "#!/bin/sh\nsleep 1\ntrap 'exit 0' PWR\n"
				"while :; do sleep 1000 & wait $!; done\n",
	};
	static char roots[ARRAY_SIZE(inits)][PATH_MAX];
	char *root = roots[kind];

	if (root[0])
		return root;
	/* As on a real node, nobody but root can pass to where guests' roots are. */
	snprintf(root, PATH_MAX, "%s/private", g_dir);
	if (mkdir(root, 0700) < 0 && errno != EEXIST)
		die(root);
	snprintf(root, PATH_MAX, "%s/private/rootfs-%d", g_dir, kind);
	node_make_rootfs(root, inits[kind]);
	return root;
}

/* --- Leftovers ---------------------------------------------------------------------------------
 */

/* A process other than ours whose command line names the guest: a monitor. */
static const char *find_process(const char *id, char *buf, size_t size)
{
	CLEANUP(closedirp) DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		AUTOFREE char *text = NULL;
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		if (file_read(path, 65536, &text, NULL) == 0 && strstr(text, "[lxc monitor]") &&
			strstr(text, id) && strstr(text, g_dir)) {
			snprintf(buf, size, "process %s", text);
			return buf;
		}
	}
	return NULL;
}

static const char *find_group(const char *id, char *buf, size_t size)
{
	CLEANUP(closedirp) DIR *dir = opendir("/sys/fs/cgroup");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		snprintf(buf, size, "/sys/fs/cgroup/%s/corpus/%s", e->d_name, id);
		if (access(buf, F_OK) == 0)
			return buf;
	}
	return NULL;
}

const char *node_leftovers(const char *id, bool defined)
{
	static char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "cvt%.8s", id + strlen(id) - 8);
	if (if_nametoindex(buf))
		return buf;
	if (find_process(id, buf, sizeof(buf)))
		return buf;
	(void)defined;
	return find_group(id, buf, sizeof(buf));
}
