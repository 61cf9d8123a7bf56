/* Confinement of other programs: the process that process_run made becomes the keeper of one that
 * has namespaces of its own, and whose user stands for nobody on the host. The keeper stays root,
 * outside, and only waits: with it ends the other's namespace of processes, and all in that.
 *
 * All of it happens between fork and exec: nothing here may take a lock, so nothing allocates. */
#include "storage/confined.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"

/* Users of these programs on the host: one for each process id, so that no two meet. The range lies
 * behind that of corpus-unpack, far from what distributions and containers give out. */
#define HOST_ID_BASE 0xf0100000U
#define HOST_ID_MASK 0x3fffffU

#define MEMORY_MAX  (2UL << 30)
#define CPU_SECONDS 3600
#define OPEN_MAX    64
#define TASKS_MAX   64
#define WORDS_MAX   (1U << 20) /* what it writes to its output is a file, too */

#define FILE_FLAGS                                                                                 \
	(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW)

/* What the keeper makes for it. */
struct world {
	uid_t owner; /* on the host */
	int user_namespace;
	int mounts[CONFINED_FILES];
};

/* --- What it sees ---------------------------------------------------------------------------- */

static int take_mount(int from, const char *path)
{
	int fd = (int)syscall(
		SYS_open_tree, from, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return fd < 0 ? -errno : fd;
}

static int put_mount(int fd, struct mount_attr attr, const char *to)
{
	attr.propagation = MS_PRIVATE;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
		syscall(SYS_move_mount, fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

static int mount_at(const char *path, uint64_t flags, const char *to)
{
	AUTOCLOSE int fd = take_mount(AT_FDCWD, path);

	return fd < 0 ? fd : put_mount(fd, (struct mount_attr){.attr_set = flags}, to);
}

static int make_file(const char *name, uid_t owner)
{
	AUTOCLOSE int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 || fchown(fd, owner, owner) < 0 ? -errno : 0;
}

static int show_programs(void)
{
	static const char *const links[] = {"bin", "sbin", "lib", "lib64"};

	if (mkdir("usr", 0755) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		char target[16];

		snprintf(target, sizeof(target), "usr/%s", links[i]);
		if (symlink(target, links[i]) < 0)
			return -errno;
	}
	return mount_at("/usr", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "usr");
}

/* What is mounted: nothing that e2fsprogs would have to care for. */
static int show_mounts(uid_t owner)
{
	return mkdir("etc", 0755) < 0 ? -errno : make_file("etc/mtab", owner);
}

static int show_devices(bool fuse)
{
	int r = mkdir("dev", 0755) < 0 ? -errno : make_file("dev/null", 0);

	if (r == 0)
		r = mount_at("/dev/null", MOUNT_ATTR_NOSUID, "dev/null");
	if (r == 0 && fuse)
		r = make_file("dev/fuse", 0);
	if (r == 0 && fuse)
		r = mount_at("/dev/fuse", MOUNT_ATTR_NOSUID, "dev/fuse");
	return r;
}

/* What is root's there is the program's here. */
static int show_file(const struct confined_file *file, int mount, const struct world *world)
{
	struct mount_attr attr = {.attr_set = FILE_FLAGS | MOUNT_ATTR_IDMAP |
					      (file->writable ? 0 : MOUNT_ATTR_RDONLY),
		.userns_fd = (uint64_t)world->user_namespace};
	int r = make_file(file->name, world->owner);

	return r < 0 ? r : put_mount(mount, attr, file->name);
}

/* /proc serves as a place to mount on that is always there, and becomes the root. */
static int make_root(const struct confined *c, const struct world *world)
{
	int r;

	if (mount("corpus", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") < 0 ||
		chdir("/proc") < 0)
		return -errno;
	r = show_programs();
	if (r == 0)
		r = show_mounts(world->owner);
	if (r == 0)
		r = show_devices(c->fuse);
	if (r == 0 && c->fuse)
		r = make_file("view", world->owner);
	for (size_t i = 0; r == 0 && i < c->files_count; i++)
		r = show_file(&c->files[i], world->mounts[i], world);
	if (r < 0)
		return r;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
		chdir("/") < 0 ||
		mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
			NULL) < 0)
		return -errno;
	return 0;
}

/* --- Who it is ------------------------------------------------------------------------------- */

static int set_limits(const struct confined *c)
{
	const struct process_limit limits[] = {
		{RLIMIT_AS, MEMORY_MAX},
		{RLIMIT_CPU, CPU_SECONDS},
		{RLIMIT_FSIZE, c->file_max > WORDS_MAX ? c->file_max : WORDS_MAX},
		{RLIMIT_NOFILE, OPEN_MAX},
		{RLIMIT_NPROC, TASKS_MAX},
		{RLIMIT_CORE, 0},
		{RLIMIT_MEMLOCK, 0},
	};

	return process_set_limits(limits, ARRAY_SIZE(limits));
}

/* Root of its own user namespace, which is needed to mount there, and of nothing else. What is not
 * in the bounding set, the program does not get. */
static int become_nobody(const struct confined *c)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -errno;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(c->fuse && cap == CAP_SYS_ADMIN) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return set_limits(c);
}

/* `go` ends with the keeper. */
static int enter_namespaces(const struct confined *c, int go)
{
	struct pollfd keeper = {.fd = go, .events = POLLIN};
	char byte = 0;
	int r;

	if (read(go, &byte, 1) != 1)
		return -EPIPE;
	if (unshare(CLONE_NEWNS) < 0 || chdir("/") < 0)
		return -errno;
	/* What it says from here on is its output. */
	if (c->stdout_fd < 0 && dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		return -errno;
	r = become_nobody(c);
	/* It may have ended before we asked to end with it. */
	if (r == 0 && (poll(&keeper, 1, 0) < 0 || keeper.revents))
		r = -EPIPE;
	return r;
}

/* --- Its keeper ------------------------------------------------------------------------------ */

static int write_map(int proc, pid_t pid, const char *which, uid_t owner)
{
	char path[64], text[64];
	AUTOCLOSE int fd = -1;
	int length = snprintf(text, sizeof(text), "0 %u 1\n", owner);

	snprintf(path, sizeof(path), "%d/%s", pid, which);
	fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, (size_t)length) != length ? -EPERM : 0;
}

static int map_user(int proc, pid_t pid, struct world *world)
{
	char path[64];
	int r = write_map(proc, pid, "uid_map", world->owner);

	if (r == 0)
		r = write_map(proc, pid, "gid_map", world->owner);
	snprintf(path, sizeof(path), "%d/ns/user", pid);
	world->user_namespace = r < 0 ? r : openat(proc, path, O_RDONLY | O_CLOEXEC);
	return world->user_namespace < 0 && r == 0 ? -errno : r;
}

/* Only in the namespace that a descriptor comes from a mount can be made of it. */
static int take_files(const struct confined *c, struct world *world)
{
	for (size_t i = 0; i < c->files_count; i++) {
		world->mounts[i] = take_mount(c->files[i].fd, "");
		if (world->mounts[i] < 0)
			return world->mounts[i];
	}
	return 0;
}

static _Noreturn void keep(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* The other waits, in its user namespace, until all is there. */
static int make_world(const struct confined *c, int proc, pid_t pid, struct world *world)
{
	int r = map_user(proc, pid, world);

	return r < 0 ? r : make_root(c, world);
}

/* Into a user namespace of its own right away, as only a process with one thread can change to one
 * later: a sanitizer gives each that is forked a second. */
static pid_t start(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Returns in the confined process. */
static int enter(void *data)
{
	const struct confined *c = *(struct confined *const *)data;
	struct world world = {.owner = HOST_ID_BASE + ((uid_t)getpid() & HOST_ID_MASK)};
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), go[2];
	int r = proc < 0 ? -errno : take_files(c, &world);
	pid_t pid;

	if (r < 0)
		return r;
	if (pipe2(go, O_CLOEXEC) < 0 ||
		unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID) <
			0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	pid = start();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(go[1]);
		return enter_namespaces(c, go[0]);
	}
	close(go[0]);
	r = make_world(c, proc, pid, &world);
	if (r == 0 && write(go[1], "", 1) != 1)
		r = -EPIPE;
	if (r == 0)
		keep(pid);
	/* Its end of the pipe is at its end, and so is it. */
	close(go[1]);
	waitpid(pid, NULL, 0);
	return r;
}

/* --- Its words ------------------------------------------------------------------------------- */

static int is_cancelled(void *data)
{
	const struct confined *c = *(struct confined *const *)data;

	return c->cancelled(c->data);
}

static void read_output(struct confined *c, int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > CONFINED_OUTPUT ? end - CONFINED_OUTPUT : 0;
	ssize_t n = pread(fd, c->output, CONFINED_OUTPUT, from);

	if (n < 0)
		n = 0;
	while (n > 0 && c->output[n - 1] == '\n')
		n--;
	c->output[n] = '\0';
	for (char *p = c->output; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = ' ';
}

int confined_run(struct confined *c, struct err *err)
{
	AUTOCLOSE int output = memfd_create("output", MFD_CLOEXEC);
	struct process_options options = {.argv = c->argv,
		.stdin_fd = -1,
		.stdout_fd = c->stdout_fd < 0 ? output : c->stdout_fd,
		.timeout_ms = c->timeout_ms,
		.enter = enter,
		.cancelled = c->cancelled ? is_cancelled : NULL,
		.data = &c,
		.ret_status = &c->status};
	int r;

	if (output < 0)
		return err_errno(err, errno, "cannot run %s", c->argv[0]);
	c->output[0] = '\0';
	r = process_run(&options, err);
	if (r == 0)
		read_output(c, output);
	return r;
}

int confined_want(const char *program, const char *package, struct err *err)
{
	static const char *const places[] = {"", "/usr/bin/", "/usr/sbin/"};

	for (size_t i = *program == '/' ? 0 : 1; i < ARRAY_SIZE(places); i++) {
		char path[64];

		if (file_path(path, sizeof(path), "%s%s", places[i], program) == 0 &&
			access(path, F_OK) == 0)
			return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, NULL, "there is no %s on this node: it comes with %s",
		program, package);
}
