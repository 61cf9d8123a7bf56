/* The keeper stands by as a process of its own. Each daemon has a minder, which reaps what becomes
 * an orphan: libvirtd waits for machines that it ends until somebody has, and not every init is
 * quick at it. */
#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/cgroup/cgroup.h"
#include "node.h"

#define PAUSE_US 20000
#define GROUP_US 10000000

static pid_t g_owner, g_keeper;
static struct keeper g_more;
static pid_t g_minders[64]; /* of all daemons there were; they end with what they mind */
static size_t g_minder_count;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static bool is_kept(pid_t pid)
{
	for (size_t i = 0; i < g_minder_count; i++)
		if (g_minders[i] == pid)
			return true;
	return pid == getpid() || pid == g_owner;
}

int keeper_each(void (*act)(pid_t pid))
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

void keeper_end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, WNOHANG);
}

/* Whether all its threads are: until then it may answer. */
static bool is_stopped(pid_t pid)
{
	char path[64];
	const struct dirent *task;
	bool stopped = true;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	CLEANUP(closedirp) DIR *tasks = opendir(path);

	while (stopped && tasks && (task = readdir(tasks))) {
		AUTOFREE char *text = NULL;
		const char *state;

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", pid, task->d_name);
		if (task->d_name[0] == '.' || file_read(path, 4096, &text, NULL) < 0)
			continue;
		state = strrchr(text, ')');
		stopped = state && state[2] == 'T';
	}
	return stopped;
}

void keeper_signal(pid_t pid, int signal)
{
	if (kill(pid, signal) < 0)
		die("a daemon");
	while (signal == SIGSTOP && !is_stopped(pid))
		usleep(PAUSE_US);
}

void keeper_stop(pid_t pid)
{
	while (kill(pid, SIGKILL) == 0)
		usleep(PAUSE_US);
}

/* What was in it may take a moment longer to leave it than to end. */
void keeper_remove_group(const char *path)
{
	for (int tries = GROUP_US / PAUSE_US; tries > 0 && access(path, F_OK) == 0; tries--) {
		cgroup_remove(path);
		if (access(path, F_OK) == 0)
			usleep(PAUSE_US);
	}
}

static void end_all(void)
{
	while ((g_more.first ? g_more.first() : 0) + keeper_each(keeper_end_process) > 0)
		usleep(PAUSE_US);
	if (g_more.last)
		g_more.last();
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

void keeper_begin(const struct keeper *keeper)
{
	g_more = *keeper;
	g_owner = getpid();
	g_keeper = fork();
	if (g_keeper < 0)
		die("the keeper");
	if (g_keeper == 0)
		keep();
	atexit(leave);
}

static void become(const char *const *argv, const char *name)
{
	char log[PATH_MAX];
	int fd;

	snprintf(log, sizeof(log), "%s/%s.log", node_dir(), name);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		die(log);
	execvp(argv[0], (char *const *)argv);
	die(argv[0]);
}

static void mind(const char *const *argv, const char *name, int told)
{
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		become(argv, name);
	if (write(told, &pid, sizeof(pid)) != sizeof(pid))
		die(name);
	close(told);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

pid_t keeper_start(const char *const *argv, const char *name)
{
	int told[2];
	pid_t minder, pid;

	if (pipe2(told, O_CLOEXEC) < 0 || (minder = fork()) < 0)
		die(name);
	if (minder == 0)
		mind(argv, name, told[1]);
	close(told[1]);
	if (read(told[0], &pid, sizeof(pid)) != sizeof(pid) || pid < 0)
		die(name);
	close(told[0]);
	if (g_minder_count < ARRAY_SIZE(g_minders))
		g_minders[g_minder_count++] = minder;
	return pid;
}
