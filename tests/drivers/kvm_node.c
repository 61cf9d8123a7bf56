/* A node with a libvirtd of its own. Machines are nobody's children, so a keeper stands by: when
 * this process is gone, whatever became of it, the keeper ends all that lives in the node's
 * network. */
#include "kvm_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"

#define ANSWER_MS 20000
#define PAUSE_US  20000

static pid_t g_owner, g_keeper, g_libvirtd;
static pid_t g_minders[64]; /* of all daemons there were; they end with what they mind */
static size_t g_minder_count;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- Its end -----------------------------------------------------------------------------------
 */

static bool is_kept(pid_t pid)
{
	for (size_t i = 0; i < g_minder_count; i++)
		if (g_minders[i] == pid)
			return true;
	return pid == getpid() || pid == g_owner;
}

/* Calls `act` for each process that lives in the node's network, but this one, the test's and
 * minders; returns how many there are. */
static int each_process(void (*act)(pid_t pid))
{
	CLEANUP(closedirp) DIR *proc = opendir("/proc");
	struct stat ours, theirs;
	struct dirent *e;
	int count = 0;

	if (!proc || stat("/proc/self/ns/net", &ours) < 0)
		return 0;
	while ((e = readdir(proc))) {
		char path[PATH_MAX];
		pid_t pid = atoi(e->d_name);

		snprintf(path, sizeof(path), "/proc/%s/ns/net", e->d_name);
		if (pid <= 0 || is_kept(pid) || stat(path, &theirs) < 0 ||
			theirs.st_ino != ours.st_ino)
			continue;
		act(pid);
		count++;
	}
	return count;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, WNOHANG); /* a child of the test's own */
}

static int remove_group(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)at;
	if (kind == FTW_DP)
		rmdir(path);
	return 0;
}

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
			nftw(found.gl_pathv[k], remove_group, 8, FTW_DEPTH | FTW_PHYS);
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

/* libvirtd first: it would see its machines end, and do something about it. */
static void end_all(void)
{
	if (g_libvirtd > 0)
		end_process(g_libvirtd);
	while (each_process(end_process) > 0)
		usleep(PAUSE_US);
	remove_all_groups();
}

static void leave(void)
{
	if (getpid() != g_owner)
		return;
	kill(g_keeper, SIGKILL);
	waitpid(g_keeper, NULL, 0);
	end_all();
}

static void keep(void)
{
	struct pollfd life = {.fd = process_pidfd(g_owner), .events = POLLIN};

	setsid();
	while (life.fd >= 0 && poll(&life, 1, -1) < 0 && errno == EINTR)
		;
	end_all();
	umount2(node_dir(), MNT_DETACH);
	rmdir(node_dir());
	_exit(0);
}

/* --- libvirtd ----------------------------------------------------------------------------------
 */

static void become(const char *program)
{
	char log[PATH_MAX];
	int fd;

	snprintf(log, sizeof(log), "%s/%s.log", node_dir(), program);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		die(log);
	execlp(program, program, NULL);
	die(program);
}

/* libvirtd waits for machines that it ends until somebody has reaped them, and not every init is
 * quick at it. */
static void mind(const char *program, int told)
{
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		become(program);
	if (write(told, &pid, sizeof(pid)) != sizeof(pid))
		die(program);
	close(told);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

static pid_t start_daemon(const char *program)
{
	int told[2];
	pid_t minder, pid;

	if (pipe2(told, O_CLOEXEC) < 0 || (minder = fork()) < 0)
		die(program);
	if (minder == 0)
		mind(program, told[1]);
	close(told[1]);
	if (read(told[0], &pid, sizeof(pid)) != sizeof(pid) || pid < 0)
		die(program);
	close(told[0]);
	if (g_minder_count < ARRAY_SIZE(g_minders))
		g_minders[g_minder_count++] = minder;
	return pid;
}

static bool answers(struct err *err)
{
	static const char *const argv[] = {
		"virsh", "--quiet", "--connect", KVM_NODE_URI, "version", NULL};
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = ANSWER_MS};

	*err = (struct err){0};
	return process_run(&options, err) == 0;
}

void kvm_node_start(void)
{
	struct err err;

	g_libvirtd = start_daemon("libvirtd");
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
	if (kill(g_libvirtd, signal) < 0)
		die("libvirtd");
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
	const char *argv[] = {"sh", TESTS "/harness/libvirt.sh", folder, NULL};
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = ANSWER_MS};
	struct err err = {0};

	snprintf(folder, sizeof(folder), "%s/libvirt", node_dir());
	if (process_run(&options, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

void kvm_node_enter(void)
{
	node_enter_in_turn("/tmp/corpus-test-kvm-groups.lock");
	lay_out();
	g_owner = getpid();
	g_keeper = fork();
	if (g_keeper < 0)
		die("the keeper");
	if (g_keeper == 0)
		keep();
	atexit(leave);
	start_daemon("virtlogd");
	start_daemon("virtlockd");
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
	each_process(find_guest);
	if (!g_found[0])
		nftw("/sys/fs/cgroup", find_group, 16, FTW_PHYS);
	return g_found[0] ? g_found : NULL;
}
