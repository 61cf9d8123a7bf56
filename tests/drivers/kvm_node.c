/* A node with a libvirtd of its own. */
#include "kvm_node.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/program.h"
#include "keeper.h"

#define ANSWER_MS 60000
#define PAUSE_US  20000

static pid_t g_libvirtd;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- Its end -----------------------------------------------------------------------------------
 */

/* The groups that libvirt made for a machine of that name, which a libvirtd that is killed leaves
 * behind. */
static void remove_groups(const char *machine)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/*"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char pattern[PATH_MAX];
		glob_t found;

		snprintf(pattern, sizeof(pattern), "%s/machine/qemu-*-%s.libvirt-qemu", places[i],
			machine);
		if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			keeper_remove_group(found.gl_pathv[k]);
		globfree(&found);
	}
}

/* Each machine that was ever started here has a log: NAME.log. */
static void remove_all_groups(void)
{
	CLEANUP(closedirp) DIR *logs = NULL;
	char path[PATH_MAX];
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/libvirt/log/qemu", node_dir());
	logs = opendir(path);
	while (logs && (e = readdir(logs))) {
		char *end = strrchr(e->d_name, '.');

		if (!end || strcmp(end, ".log") != 0)
			continue;
		*end = '\0';
		remove_groups(e->d_name);
	}
}

/* It would see its machines end, and do something about it. */
static int end_libvirtd(void)
{
	if (g_libvirtd > 0)
		kill(g_libvirtd, SIGKILL);
	g_libvirtd = 0;
	return 0;
}

/* --- libvirtd ----------------------------------------------------------------------------------
 */

static pid_t start(const char *program)
{
	return keeper_start((const char *const[]){program, NULL}, program);
}

static bool answers(struct err *err)
{
	static const char *const argv[] = {
		"virsh", "--quiet", "--connect", KVM_NODE_URI, "version", NULL};

	*err = (struct err){0};
	return program_try(argv, ANSWER_MS, err) == 0;
}

void kvm_node_start(void)
{
	struct err err;

	g_libvirtd = start("libvirtd");
	for (int tries = ANSWER_MS * 1000 / PAUSE_US; !answers(&err); tries--) {
		if (tries == 0) {
			fprintf(stderr, "libvirtd does not answer: %s\n", err.message);
			exit(1);
		}
		usleep(PAUSE_US);
	}
}

void kvm_node_signal(int signal)
{
	keeper_signal(g_libvirtd, signal);
	while (signal != SIGSTOP && signal != SIGCONT && kill(g_libvirtd, 0) == 0)
		usleep(PAUSE_US);
}

pid_t kvm_node_libvirtd(void)
{
	return g_libvirtd;
}

static void lay_out(void)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/libvirt", node_dir());
	RUN("sh", TESTS "/harness/libvirt.sh", folder);
}

void kvm_node_enter(void)
{
	static const struct keeper kept = {.first = end_libvirtd, .last = remove_all_groups};

	node_enter();
	lay_out();
	keeper_begin(&kept);
	start("virtlogd");
	start("virtlockd");
	kvm_node_start();
}

const char *kvm_node_image(void)
{
	static char path[PATH_MAX];
	FILE *said;

	if (path[0])
		return path;
	said = popen("PYTHONPATH=" TESTS " python3 -m harness.disks busybox-folder", "r");
	if (!said || !fgets(path, sizeof(path), said))
		die("the image of busybox");
	pclose(said);
	path[strcspn(path, "\n")] = '\0';
	return path;
}

/* --- Leftovers ---------------------------------------------------------------------------------
 */

static char
	g_domain[64]; /* as libvirt names it: other guests of the machine may have the id alone */
static char g_found[PATH_MAX];

static void find_guest(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];
	size_t length = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_read(path, 1 << 20, &text, &length) < 0 || !strstr(text, "qemu"))
		return;
	if (memmem(text, length, g_domain, strlen(g_domain)))
		snprintf(g_found, sizeof(g_found), "process %d", pid);
}

static int find_group(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	if (kind == FTW_D && strstr(path + at->base, g_domain))
		snprintf(g_found, sizeof(g_found), "%s", path);
	return g_found[0] != 0;
}

const char *kvm_node_leftovers(const char *id, bool defined)
{
	(void)defined;
	snprintf(g_domain, sizeof(g_domain), "corpus-%s", id);
	snprintf(g_found, sizeof(g_found), "cvt%.8s", id + strlen(id) - 8);
	if (if_nametoindex(g_found))
		return g_found;
	g_found[0] = 0;
	keeper_each(find_guest);
	if (!g_found[0])
		nftw("/sys/fs/cgroup", find_group, 16, FTW_PHYS);
	return g_found[0] ? g_found : NULL;
}
