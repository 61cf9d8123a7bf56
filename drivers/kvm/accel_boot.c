/* One boot of something small under QEMU. All that it needs are descriptors: its firmware is a file
 * in memory, and so is what its serial port says. */
#include "drivers/kvm/accel_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"

#define FIRMWARE_SIZE 65536 /* the least that QEMU takes: pc_isa_bios_init wants multiples */
#define FIRMWARE_FD   3
#define GROUPS_MAX    64
#define EXIT_WORKS    3 /* isa-debug-exit makes 2 * n + 1 of n */
#define EXIT_NO_QEMU  127
#define GAVE_UP	      "KVM internal error" /* and then stands still, without ending */

/* What boot.S tells, in its order, and what it does before it tells it. */
static const struct {
	char letter;
	const char *doing;
} STAGES[] = {
	{'R', "beginning, in real mode"},
	{'P', "entering protected mode"},
	{'L', "entering long mode"},
	{'C', "reading what the processor is"},
	{'X', "using SSE and XSAVE"},
	{'F', "handling a page fault"},
	{'M', "reaching its interrupt controllers"},
	{'T', "waiting for interrupts of its timer"},
	{'I', "waiting for interrupts by the I/O APIC"},
	{'A', "waiting for interrupts of the local APIC"},
	{'N', "starting a second processor"},
	{'U', "running in user mode"},
	{'S', "counting at a processor's speed"},
	{'W', "ending"},
};

/* --- Who runs it ----------------------------------------------------------------------------- */

struct who {
	bool change; /* false: stays who we are */
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	int groups_count;
};

static bool take_user(struct who *who, const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (!user || user->pw_uid == 0)
		return false;
	who->uid = user->pw_uid;
	who->gid = user->pw_gid;
	who->groups_count = GROUPS_MAX;
	if (getgrouplist(name, user->pw_gid, who->groups, &who->groups_count) < 0)
		who->groups_count = 0;
	return true;
}

/* The user that libvirt runs QEMU as: by Debian's and by Fedora's name. Without libvirt nobody, in
 * the group that may use the device. */
static void find_user(const struct accel_host *host, struct who *who)
{
	static const char *const NAMES[] = {"libvirt-qemu", "qemu"};
	struct stat st;

	*who = (struct who){.change = geteuid() == 0};
	if (!who->change)
		return;
	if (host->user && take_user(who, host->user))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
		if (take_user(who, NAMES[i]))
			return;
	if (!take_user(who, "nobody"))
		who->change = false;
	if (stat(host->device, &st) == 0 && (st.st_mode & S_IRWXG)) {
		who->groups[0] = st.st_gid;
		who->groups_count = 1;
	}
}

static int become(const struct who *who)
{
	if (!who->change)
		return 0;
	if (setgroups((size_t)who->groups_count, who->groups) < 0 ||
		setresgid(who->gid, who->gid, who->gid) < 0 ||
		setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	return 0;
}

/* --- Running --------------------------------------------------------------------------------- */

struct boot {
	pid_t pid;
	int pidfd, serial, errors; /* errors: what QEMU says itself; a pipe */
	char said[1024];
	size_t said_length;
	bool gave_up, ended;
	int status;
};

static void boot_finish(struct boot *boot)
{
	if (boot->pid > 0 && !boot->ended) {
		(void)kill(boot->pid, SIGKILL);
		while (waitpid(boot->pid, &boot->status, 0) < 0 && errno == EINTR)
			;
	}
	fd_close(boot->pidfd);
	fd_close(boot->serial);
	fd_close(boot->errors);
}

static int make_firmware(const char *code, size_t size)
{
	AUTOCLOSE int fd = memfd_create("corpus-acceleration", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, FIRMWARE_SIZE) < 0)
		return -errno;
	if (pwrite(fd, code, size, (off_t)(FIRMWARE_SIZE - size)) != (ssize_t)size)
		return -EIO;
	return TAKE_FD(fd);
}

/* The descriptors of the child: nothing to read, its serial port, its words, its firmware. */
static int place_descriptors(int firmware, int serial, int errors)
{
	int from[] = {open("/dev/null", O_RDONLY), serial, errors, firmware};

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		if (from[i] < 0 || (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16)) < 0)
			return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		if (dup2(from[i], (int)i) < 0)
			return -errno;
	return close_range(FIRMWARE_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

static void run_qemu(const struct accel_host *host)
{
	char firmware[32];
	const char *processor = strcmp(host->accelerator, "kvm") == 0 ? "host" : "max";
	const char *const argv[] = {host->qemu, "-name", "corpus-acceleration", "-nodefaults",
		"-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35", "-accel",
		host->accelerator, "-cpu", processor, "-smp", "2", "-m", "16", "-bios", firmware,
		"-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial", "-device",
		"isa-debug-exit,iobase=0xf4,iosize=1", NULL};

	snprintf(firmware, sizeof(firmware), "/proc/self/fd/%d", FIRMWARE_FD);
	execvp(host->qemu, (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", host->qemu, strerror(errno));
	_exit(EXIT_NO_QEMU);
}

/* Ends with whoever called us, takes no more time of a processor than it is given, and leaves no
 * image of its memory where it aborts. */
static void child(const struct accel_host *host, const struct who *who, pid_t parent)
{
	const rlim_t seconds = host->timeout_ms / 1000 + 1;
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds});
	if (chdir("/") < 0 || setsid() < 0 || become(who) < 0) {
		dprintf(STDERR_FILENO, "cannot become who QEMU runs as: %s\n", strerror(errno));
		_exit(EXIT_NO_QEMU);
	}
	/* Last: a change of the user takes it back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_NO_QEMU);
	run_qemu(host);
}

static int begin(const struct accel_host *host, int firmware, struct boot *boot)
{
	AUTOCLOSE int said = -1;
	struct who who;
	pid_t parent = getpid();
	int pipes[2];

	find_user(host, &who);
	boot->serial = memfd_create("corpus-acceleration-serial", MFD_CLOEXEC);
	if (boot->serial < 0 || pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	boot->errors = pipes[0];
	said = pipes[1];
	(void)fcntl(boot->errors, F_SETFL, O_NONBLOCK);
	boot->pid = fork();
	if (boot->pid < 0)
		return -errno;
	if (boot->pid == 0) {
		if (place_descriptors(firmware, boot->serial, said) == 0)
			child(host, &who, parent);
		_exit(EXIT_NO_QEMU);
	}
	boot->pidfd = process_pidfd(boot->pid);
	return boot->pidfd < 0 ? boot->pidfd : 0;
}

/* Takes what QEMU says, of which the beginning is of interest; false at its end. */
static bool listen(struct boot *boot)
{
	char chunk[512];
	ssize_t n = read(boot->errors, chunk, sizeof(chunk));
	size_t room = sizeof(boot->said) - 1 - boot->said_length;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(boot->said + boot->said_length, chunk, room);
	boot->said_length += room;
	boot->said[boot->said_length] = '\0';
	boot->gave_up = strstr(boot->said, GAVE_UP) != NULL;
	return true;
}

/* Until it ends, gives up or has taken too long. */
static void follow(struct boot *boot, unsigned timeout_ms)
{
	int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
	struct pollfd p[] = {
		{.fd = boot->errors, .events = POLLIN}, {.fd = boot->pidfd, .events = POLLIN}};

	while (!boot->ended && !boot->gave_up) {
		int64_t left = deadline - clock_monotonic_ns();

		if (left <= 0 ||
			(poll(p, ARRAY_SIZE(p), (int)(left / 1000000) + 1) < 0 && errno != EINTR))
			return;
		if (p[0].revents && !listen(boot))
			p[0].fd = -1;
		if (!p[0].revents && p[1].revents)
			boot->ended = waitpid(boot->pid, &boot->status, 0) == boot->pid;
	}
}

/* --- What came of it ------------------------------------------------------------------------- */

/* The stage that what was booted had not finished; NULL: it came to its end. */
static const char *stopped_at(const char *serial)
{
	for (size_t i = 0; i < ARRAY_SIZE(STAGES); i++)
		if (serial[i] != STAGES[i].letter)
			return STAGES[i].doing;
	return NULL;
}

/* The first line of what QEMU said that is no warning, without its own name. */
static const char *first_line(char *said)
{
	char *rest = said, *line;

	while ((line = strsep(&rest, "\n"))) {
		char *colon = strstr(line, ": ");

		if (!*line || strstr(line, "warning: "))
			continue;
		return colon && strstr(line, "qemu") == line ? colon + 2 : line;
	}
	return "nothing";
}

static void judge(struct boot *boot, const char *serial, struct accel_finding *ret)
{
	const char *doing = stopped_at(serial);
	const char *place = doing ? doing : "ending";
	bool exited = boot->ended && WIFEXITED(boot->status);

	ret->works = !doing && exited && WEXITSTATUS(boot->status) == EXIT_WORKS;
	ret->inconclusive = !boot->ended && !boot->gave_up;
	if (ret->works)
		ret->reason[0] = '\0';
	else if (boot->gave_up)
		snprintf(ret->reason, sizeof(ret->reason),
			"KVM gave up a small machine that was %s", place);
	else if (!boot->ended)
		snprintf(ret->reason, sizeof(ret->reason),
			"a small machine stood still while it was %s", place);
	else if (!exited)
		snprintf(ret->reason, sizeof(ret->reason),
			"QEMU was ended by signal %d (%s) while a small machine was %s",
			WTERMSIG(boot->status), strsignal(WTERMSIG(boot->status)), place);
	else if (serial[0] == '\0' && boot->said_length > 0)
		snprintf(ret->reason, sizeof(ret->reason), "QEMU ended at once, and said: %s",
			first_line(boot->said));
	else
		snprintf(ret->reason, sizeof(ret->reason), "a small machine failed while it was %s",
			place);
}

static void cannot(struct accel_finding *ret, int errnum)
{
	*ret = (struct accel_finding){.inconclusive = true};
	snprintf(ret->reason, sizeof(ret->reason), "nothing could be booted to try it: %s",
		strerror(-errnum));
}

void accel_boot(
	const struct accel_host *host, const char *code, size_t size, struct accel_finding *ret)
{
	CLEANUP(boot_finish) struct boot boot = {.pidfd = -1, .serial = -1, .errors = -1};
	AUTOCLOSE int firmware = make_firmware(code, size);
	char serial[ARRAY_SIZE(STAGES) + 1] = {0};
	int r = firmware < 0 ? firmware : begin(host, firmware, &boot);

	if (r < 0) {
		cannot(ret, r);
		return;
	}
	follow(&boot, host->timeout_ms);
	if (pread(boot.serial, serial, sizeof(serial) - 1, 0) < 0)
		serial[0] = '\0';
	judge(&boot, serial, ret);
}
