/* Confinement of the unpacker: what a flaw in the archive library would give an attacker.
 *
 * The archive is read by a process that is nobody on the host: its user namespace maps its ids to a
 * range that owns nothing, and the target is an id-mapped mount through which the files that it
 * makes are nevertheless stored with the plain ids 0-65535. The target is the only file system that
 * it sees, without devices, setuid, execution or the following of links; system calls are an
 * allow-list, and another one kills it. */
#include "storage/unpack/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "storage/unpack/extract.h"

/* Where the ids of the namespace lie on the host while it runs: near the end of their range, far
 * from what distributions, directories and containers give out. */
#define HOST_ID_BASE 0xf0000000U

#define MEMORY_MAX  (768UL << 20) /* for decompression with the largest usual window */
#define CPU_SECONDS 1800
#define OPEN_MAX    32

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* --- User namespace -------------------------------------------------------------------------- */

static int write_map(pid_t pid, const char *which)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, which);
	snprintf(text, sizeof(text), "0 %u %u\n", HOST_ID_BASE, UNPACK_IDS);
	return file_write(path, text);
}

/* The child lives only until the namespace is held by a descriptor. */
static void hold_namespace(int ready, int done)
{
	char byte = 0;

	if (unshare(CLONE_NEWUSER) == 0 && write(ready, &byte, 1) == 1 && read(done, &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

static int open_namespace(pid_t pid)
{
	char path[64];
	int r = write_map(pid, "uid_map"), fd;

	if (r == 0)
		r = write_map(pid, "gid_map");
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_user_namespace(void)
{
	int ready[2], done[2], fd;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(ready[0]);
		close(done[1]);
		hold_namespace(ready[1], done[0]);
	}
	close(ready[1]);
	fd = read(ready[0], &byte, 1) == 1 ? open_namespace(pid) : -EPERM;
	close(ready[0]);
	close(done[0]);
	close(done[1]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

/* --- Mounts ---------------------------------------------------------------------------------- */

static int clone_target(int target, int user_namespace)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID |
					      MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					      MOUNT_ATTR_NOSYMFOLLOW,
		/* Where mounts are shared (systemd makes them so) one that is cannot become the
		   root. */
		.propagation = MS_PRIVATE,
		.userns_fd = (uint64_t)user_namespace};
	AUTOCLOSE int fd = (int)syscall(
		SYS_open_tree, target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* /proc serves as a place to mount on that is always there; then the tree mounted on it becomes the
 * root, and all else goes. */
static int become_root(int tree)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		syscall(SYS_move_mount, tree, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
		chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/* --- Privileges ------------------------------------------------------------------------------ */

/* Become root of the namespace, which is nobody outside, then drop what it could do there. */
static int enter_user_namespace(int fd)
{
	if (setns(fd, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
		setresuid(0, 0, 0) < 0)
		return -errno;
	return 0;
}

static const cap_value_t g_kept[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP};

static bool is_kept(cap_value_t cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_kept); i++)
		if (g_kept[i] == cap)
			return true;
	return false;
}

static int drop_capabilities(void)
{
	cap_t caps;
	int r;

	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (!is_kept(cap) && cap_drop_bound(cap) < 0)
			return -errno;
	caps = cap_init();
	if (!caps)
		return -ENOMEM;
	r = cap_set_flag(caps, CAP_PERMITTED, ARRAY_SIZE(g_kept), g_kept, CAP_SET);
	if (r == 0)
		r = cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_SIZE(g_kept), g_kept, CAP_SET);
	if (r == 0)
		r = cap_set_proc(caps);
	r = r < 0 ? -errno : 0;
	cap_free(caps);
	return r;
}

static int set_limits(uint64_t max_size)
{
	const struct process_limit limits[] = {
		/* A sanitizer maps terabytes of shadow memory. */
		{RLIMIT_AS, SANITIZED ? RLIM_INFINITY : MEMORY_MAX},
		{RLIMIT_CPU, CPU_SECONDS},
		{RLIMIT_FSIZE, max_size},
		{RLIMIT_NOFILE, OPEN_MAX},
		{RLIMIT_CORE, 0},
		{RLIMIT_MEMLOCK, 0},
	};

	return process_set_limits(limits, ARRAY_SIZE(limits));
}

/* --- System calls ---------------------------------------------------------------------------- */

static const int g_calls[] = {
	/* the archive and the report */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(close),
	SCMP_SYS(exit_group),
	SCMP_SYS(exit),
	/* the tree */
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(mkdirat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(linkat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	SCMP_SYS(pwrite64),
	SCMP_SYS(ftruncate),
	SCMP_SYS(lseek),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(fchmod),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(utimensat),
	/* the C library */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
};

static int allow_calls(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(g_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, g_calls[i], 0);
	if (r == 0 && SANITIZED)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
	/* Memory, but none that can be executed. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return -ENOMEM;
	r = allow_calls(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int confine(int target, uint64_t max_size, struct err *err)
{
	AUTOCLOSE int user_namespace = -1;
	AUTOCLOSE int tree = -1;
	int r;

	syscall(SYS_close_range, (unsigned)target + 1, ~0U, 0U);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "cannot give up privileges");
	user_namespace = make_user_namespace();
	if (user_namespace < 0)
		return err_errno(err, user_namespace, "cannot make a user namespace");
	tree = clone_target(target, user_namespace);
	/* Through it one could walk up to what lies around the target. */
	fd_close(target);
	if (tree < 0)
		return err_errno(err, tree, "cannot map the ids of the target");
	r = become_root(tree);
	if (r < 0)
		return err_errno(err, r, "cannot enter the target");
	r = enter_user_namespace(user_namespace);
	if (r == 0)
		r = drop_capabilities();
	if (r == 0)
		r = set_limits(max_size);
	if (r < 0)
		return err_errno(err, r, "cannot give up privileges");
	tree = fd_close(tree);
	user_namespace = fd_close(user_namespace);
	r = filter_calls();
	return r < 0 ? err_errno(err, r, "cannot filter system calls") : 0;
}
