/* The monitor. liblxc could make one itself (daemonize), but then nobody learns how init ended.
 *
 * Its life: it writes its pid into the file "starting" and waits for a word from the process that
 * made it, so that a start cut off at any point can be found and cleared; then liblxc takes over,
 * closes all descriptors it does not know (which tells the other process that liblxc now answers),
 * and returns at the guest's end. */
#include "drivers/lxc/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lxc/lxccontainer.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/inside/link.h"
#include "drivers/lxc/groups.h"
#include "drivers/watch/watch.h"

#define STATUS_FILE_MAX 64
#define END_MS		20000 /* of a guest: its link waits for others to go, then its groups */
#define SIGNALLED	0x7f  /* in liblxc's number: init was killed by the signal above */

/* What is started. */
struct launch {
	const struct lxc *lxc;
	const struct driver_guest *guest;
	const struct lxc_paths *paths;
};

/* --- What it leaves --------------------------------------------------------------------------- */

int monitor_wait_status(int error_num)
{
	int above = error_num >> 8 & 0xff;

	if ((error_num & 0x7f) != SIGNALLED)
		return above << 8;
	/* What the kernel does to an init that calls reboot(2) to halt or power off. */
	return above == SIGINT ? 0 : above;
}

int monitor_read_exit(const struct lxc_paths *paths)
{
	AUTOFREE char *text = NULL;
	int status;

	if (file_read(paths->exit, STATUS_FILE_MAX, &text, NULL) < 0 ||
		sscanf(text, "%d", &status) != 1)
		return -1;
	return status;
}

static void keep_exit(const struct lxc_paths *paths, int status)
{
	char text[STATUS_FILE_MAX];

	snprintf(text, sizeof(text), "%d\n", status);
	file_replace(paths->exit, text, 0600, false);
}

void monitor_read_starting(const struct lxc_paths *paths, struct lxc_process *ret)
{
	AUTOFREE char *text = NULL;
	struct lxc_process p;

	*ret = (struct lxc_process){0};
	if (file_read(paths->starting, STATUS_FILE_MAX, &text, NULL) == 0 &&
		sscanf(text, "%d %" SCNu64, &p.pid, &p.start) == 2)
		*ret = p;
}

static int keep_starting(const struct lxc_paths *paths)
{
	char text[STATUS_FILE_MAX];
	uint64_t start;

	if (process_start_time(getpid(), &start) < 0)
		return -ESRCH;
	snprintf(text, sizeof(text), "%d %" PRIu64 "\n", getpid(), start);
	return file_replace(paths->starting, text, 0600, false);
}

/* --- The monitor itself ----------------------------------------------------------------------- */

/* What ps shows: the form that liblxc gives its own monitors. */
static void set_title(const struct lxc *lxc, const char *id)
{
	char *title;
	int n = asprintf(&title, "[lxc monitor] %s %s", lxc->dirs.run, id);

	/* The heap lies below the stack: the beginning may pass the old end at no time. */
	if (n > 0 && prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0) == 0)
		prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + n + 1, 0, 0);
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (chdir("/") < 0 || setsid() < 0)
		return;
}

/* The groups above those of liblxc, and whatever still runs in them. */
static void clear_groups(const struct lxc *lxc, const char *id)
{
	if (groups_kill_all(&lxc->groups, id, END_MS) == 0)
		groups_remove(&lxc->groups, id);
}

static bool wait_for_word(int word)
{
	pid_t self = getpid();
	char go;

	return write(word, &self, sizeof(self)) == sizeof(self) && read(word, &go, 1) == 1;
}

/* Runs the guest until its end, over its reboots. liblxc would do these by itself, but 5.0 has
 * forgotten by then that an unprivileged guest's root is to be mapped, and gives up: it is begun
 * anew. That a start is under way, and the first one not done, is what the file "starting" says. */
static bool run(struct lxc_container *c, const struct launch *l, int *ret_error_num)
{
	while (c) {
		bool ok = c->want_daemonize(c, false) && c->want_close_all_fds(c, true) &&
			  c->start(c, 0, NULL);

		*ret_error_num = c->error_num;
		if (ok || access(l->paths->starting, F_OK) == 0 || keep_starting(l->paths) < 0)
			return ok;
		/* Among what liblxc leaves then are the socket on which it answers, and the link.
		 */
		lxc_log_close();
		close_range(STDERR_FILENO + 1, ~0U, 0);
		unlink(l->paths->log);
		if (l->guest->net.bridge)
			link_remove(l->guest->net.link, NULL);
		c = lxc_container_new(l->guest->id, l->lxc->dirs.run);
	}
	return false;
}

static void be_monitor(struct lxc_container *c, const struct launch *l, int word)
{
	int error_num;

	leave_terminal();
	/* liblxc would, but reads the list of what is open anew for each: a quarter of a second
	 * with 500 guests. */
	watch_leave(l->lxc->watch);
	if (keep_starting(l->paths) < 0 || !wait_for_word(word))
		_exit(EXIT_FAILURE);
	set_title(l->lxc, l->guest->id);
	if (run(c, l, &error_num))
		keep_exit(l->paths, monitor_wait_status(error_num));
	clear_groups(l->lxc, l->guest->id);
	_exit(EXIT_SUCCESS);
}

/* --- The process that starts it --------------------------------------------------------------- */

/* Forks twice: the monitor is nobody's child but init's. */
static int fork_monitor(struct lxc_container *c, const struct launch *l, const int pair[static 2])
{
	pid_t middle = fork();

	if (middle < 0)
		return -errno;
	if (middle == 0) {
		close(pair[0]);
		if (fork() == 0)
			be_monitor(c, l, pair[1]);
		_exit(EXIT_SUCCESS);
	}
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* Lets the monitor go on and waits until liblxc in it answers, or it has ended. Returns a pidfd of
 * it, or -1 when it did not even begin. */
static int let_go(int word)
{
	AUTOCLOSE int monitor = -1;
	pid_t pid;
	char c;

	if (read(word, &pid, sizeof(pid)) != sizeof(pid))
		return -1;
	fault_point("driver.lxc.start.marked");
	monitor = process_pidfd(pid);
	if (monitor < 0 || send(word, "", 1, MSG_NOSIGNAL) != 1)
		return -1;
	while (read(word, &c, 1) < 0 && errno == EINTR)
		;
	return TAKE_FD(monitor);
}

static int start_and_ask(
	struct lxc_container *c, const struct launch *l, pid_t *ret_init, struct err *err)
{
	AUTOCLOSE int ours = -1;
	AUTOCLOSE int theirs = -1;
	AUTOCLOSE int monitor = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, "cannot make a pair of sockets");
	ours = pair[0];
	theirs = pair[1];
	r = fork_monitor(c, l, pair);
	theirs = fd_close(theirs);
	if (r < 0)
		return err_errno(err, r, "cannot fork a monitor");
	monitor = let_go(ours);
	if (monitor < 0)
		return -EIO;
	/* It answers when the guest runs, and hangs up when it does not start. */
	*ret_init = c->init_pid(c);
	fault_point("driver.lxc.start.started");
	if (*ret_init > 0)
		return 0;
	/* What it has to say is there when it has ended. */
	poll(&(struct pollfd){.fd = monitor, .events = POLLIN}, 1, END_MS);
	return -EIO;
}

int monitor_start(const struct lxc *lxc, const struct driver_guest *guest,
	const struct lxc_paths *paths, pid_t *ret_init, struct err *err)
{
	struct launch l = {.lxc = lxc, .guest = guest, .paths = paths};
	struct lxc_container *c = lxc_container_new(guest->id, lxc->dirs.run);
	int r = c ? start_and_ask(c, &l, ret_init, err) : -EIO;

	if (c)
		lxc_container_put(c);
	lxc_log_close();
	return r;
}
