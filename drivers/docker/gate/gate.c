/* corpus-gate: what containers execute first, see gate.h. It is linked statically and uses
 * nothing of the container's files but its program; it may be any user, and may be without any
 * privilege. */
#include "drivers/docker/gate/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What runc gives to processes that have none. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written; /* nobody is left to be told */
}

/* --- Waiting --------------------------------------------------------------------------------- */

static void be_unattended(void)
{
	say("corpus-gate: nobody gives this container its network: it is started by corpus, not by "
	    "Docker's own command\n");
	_exit(GATE_EXIT_UNATTENDED);
}

static void on_signal(int signal)
{
	if (signal != SIGALRM)
		_exit(128 + signal);
	be_unattended();
}

/* The kernel spares the first process of a container all signals that it has no handler for. Those
 * that were ignored stay so: that is inherited. */
static void end_by_signals(void)
{
	static const int spared[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal}, before;

	for (int s = 1; s < NSIG; s++) {
		bool spare = false;

		for (size_t i = 0; i < sizeof(spared) / sizeof(spared[0]); i++)
			spare = spare || spared[i] == s;
		if (!spare && sigaction(s, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(s, &action, NULL);
	}
}

static int open_end(const char *path, int flags)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		be_unattended();
	return fd;
}

/* A driver that dies before it has said anything leaves an end behind: another one will come. */
static void wait_for_message(char message[static GATE_MESSAGE_MAX + 1])
{
	ssize_t n;

	do {
		int fd = open_end(GATE_DIR "/" GATE_GO, O_RDONLY);

		n = read(fd, message, GATE_MESSAGE_MAX);
		close(fd);
	} while (n <= 0);
	message[n] = '\0';
}

/* --- The program ----------------------------------------------------------------------------- */

static void replace_variable(char *line)
{
	size_t key = strcspn(line, "=") + 1;

	for (char **e = environ; *e; e++)
		if (strncmp(*e, line, key) == 0)
			*e = line;
}

static void replace_variables(char *message)
{
	for (char *line = message, *end; (end = strchr(line, '\n')) && end > line; line = end + 1) {
		*end = '\0';
		if (strchr(line, '='))
			replace_variable(line);
	}
}

/* The first that can be executed along PATH, as runc looks for it; returns what was in the way. */
static int execute_along_path(char **argv)
{
	const char *path = getenv("PATH");
	int worst = ENOENT;

	for (const char *dir = path ? path : PATH_DEFAULT, *next; dir; dir = next) {
		char full[PATH_MAX];
		int length = (int)strcspn(dir, ":"), n;

		next = dir[length] ? dir + length + 1 : NULL;
		n = snprintf(full, sizeof(full), "%.*s/%s", length ? length : 1, length ? dir : ".",
			argv[0]);
		if (n < 0 || n >= (int)sizeof(full))
			continue;
		execve(full, argv, environ);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
		if (errno == EACCES)
			worst = EACCES;
	}
	return worst;
}

static int execute(char **argv)
{
	if (!argv[0][0])
		return ENOENT;
	if (!strchr(argv[0], '/'))
		return execute_along_path(argv);
	execve(argv[0], argv, environ);
	return errno;
}

/* --- What it may not ------------------------------------------------------------------------- */

static int refuse(scmp_filter_ctx filter, unsigned long request)
{
	/* The kernel looks at the lower 32 bits alone. */
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, (scmp_datum_t)request));
}

/* New subvolumes of btrfs would not count against the size of the guest's data. Docker's own
 * profile, which stays as well, knows nothing of them. */
static int confine(void)
{
	/* What else the processor executes, up to 0; the rest is killed. */
	static const uint32_t others[] = {
#if defined(__x86_64__)
		SCMP_ARCH_X86,
		SCMP_ARCH_X32,
#elif defined(__aarch64__)
		SCMP_ARCH_ARM,
#elif defined(__s390x__)
		SCMP_ARCH_S390,
#endif
		0
	};
	static const unsigned long refused[] = {BTRFS_IOC_SUBVOL_CREATE, BTRFS_IOC_SUBVOL_CREATE_V2,
		BTRFS_IOC_SNAP_CREATE, BTRFS_IOC_SNAP_CREATE_V2};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && others[i]; i++)
		r = seccomp_arch_add(filter, others[i]);
	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = refuse(filter, refused[i]);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return -r;
}

/* --- Both ------------------------------------------------------------------------------------ */

static int status_of(int failed)
{
	return failed == ENOENT ? GATE_EXIT_ABSENT : GATE_EXIT_UNUSABLE;
}

static int be_program(char **argv)
{
	static char message[GATE_MESSAGE_MAX + 1];
	int done, failed;

	end_by_signals();
	alarm(GATE_PATIENCE_S);
	wait_for_message(message);
	done = open_end(GATE_DIR "/" GATE_DONE, O_WRONLY);
	alarm(0);
	replace_variables(message);
	failed = confine();
	if (failed == 0)
		failed = execute(argv);
	if (write(done, &failed, sizeof(failed)) != sizeof(failed))
		say("corpus-gate: cannot execute the container's program\n");
	return status_of(failed);
}

/* Said at once, so that it is not seen by halves. */
static int be_command(char **argv)
{
	int failed = confine();
	char words[200];

	if (failed != 0) {
		snprintf(words, sizeof(words), "corpus-gate: no filter: error %d\n", failed);
	} else {
		failed = execute(argv);
		snprintf(words, sizeof(words), "corpus-gate: exec: %s\n", strerror(failed));
	}
	say(words);
	sleep(GATE_EXEC_STAYS_S);
	return status_of(failed);
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], GATE_EXEC) == 0)
		return be_command(argv + 2);
	if (argc > 1)
		return be_program(argv + 1);
	say("corpus-gate: executes what corpus runs in containers: not to be run by hand\n");
	return 2;
}
