/* Commands in machines: preparing them, and the carrier's life. */
#include "drivers/kvm/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "drivers/inside/command.h"
#include "drivers/kvm/carrier.h"

#define PREPARE_MS 6000
#define LINGER_MS  300 /* for the last words of a command whose machine has ended */

/* --- The user --------------------------------------------------------------------------------- */

/* The guest's tables, with a line between them that neither can hold. */
#define TABLES                                                                                     \
	"head -c 1000000 /etc/passwd 2>/dev/null; echo; echo ::; head -c 1000000 /etc/group "      \
	"2>/dev/null; exit 0\n"
#define BETWEEN "\n::\n"

static int write_tables(const char *root, char *text)
{
	char *group = strstr(text, BETWEEN);
	char path[PATH_MAX];
	int r = group ? file_path(path, sizeof(path), "%s/etc", root) : -EINVAL;

	if (r == 0)
		r = mkdir(path, 0700) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	*group = '\0';
	r = file_path(path, sizeof(path), "%s/etc/passwd", root);
	if (r == 0)
		r = file_replace(path, text, 0600, false);
	if (r == 0)
		r = file_path(path, sizeof(path), "%s/etc/group", root);
	return r < 0 ? r : file_replace(path, group + strlen(BETWEEN), 0600, false);
}

/* As in any guest: by its own tables, read as text. They are put where user_find looks for them. */
static int find_in(const char *dir, char *text, const char *who, struct user *ret, struct err *err)
{
	char root[PATH_MAX];
	AUTOCLOSE int fd = -1;
	int r = file_mkdirs(dir, 0711);

	if (r == 0)
		r = file_path(root, sizeof(root), "%s/users-XXXXXX", dir);
	if (r < 0)
		return err_errno(err, r, "cannot keep the guest's users");
	r = mkdtemp(root) ? write_tables(root, text) : -errno;
	if (r == 0)
		fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = r < 0 || fd < 0 ? err_errno(err, r < 0 ? r : errno, "cannot read the guest's users")
			    : user_find(fd, who, ret, err);
	file_remove_tree(root);
	return r;
}

static int find_user(struct carrier *c, struct user *ret, struct err *err)
{
	struct way_run run = {.script = TABLES, .timeout_ms = PREPARE_MS};
	CLEANUP(way_result_finish) struct way_result result = {0};
	int r = way_run(&c->way, &run, &result, err);

	return r < 0 ? r : find_in(c->guest.paths.run, result.output, c->exec.user, ret, err);
}

/* --- Preparing -------------------------------------------------------------------------------- */

/* A directory of root's own, with the script; for the agent with FIFOs as the streams. Something
 * has to have each of them open all the time, or what is in it would be gone whenever nobody else
 * has. */
#define PREPARE                                                                                    \
	"umask 077\n"                                                                              \
	"for d in /run/corpus-$1 /tmp/corpus-$1 ''; do\n"                                          \
	"mkdir \"$d\" 2>/dev/null && break\n"                                                      \
	"done\n"                                                                                   \
	"[ -n \"$d\" ] && cat >\"$d/launch\" || exit 1\n"                                          \
	"for f in $2; do\n"                                                                        \
	"mkfifo \"$d/$f\" || exit 1\n"                                                             \
	"sleep 2147483647 <>\"$d/$f\" >/dev/null 2>&1 &\n"                                         \
	"echo $! >\"$d/$f.pid\"\n"                                                                 \
	"done\n"                                                                                   \
	"printf %s \"$d\"\n"

/* What does not fit into the first piece. */
static int put_rest(struct carrier *c, const char *rest, struct err *err)
{
	size_t left = strlen(rest), max = way_input_max(&c->way);
	const char *args[] = {c->dir, NULL};
	int r = 0;

	while (r == 0 && left > 0) {
		CLEANUP(way_result_finish) struct way_result result = {0};
		struct way_run run = {.script = "cat >>\"$1/launch\"\n",
			.args = args,
			.input = rest,
			.input_size = left < max ? left : max,
			.timeout_ms = PREPARE_MS};

		r = way_run(&c->way, &run, &result, err);
		if (r == 0 && result.status != 0)
			r = err_set(err, ERR_DRIVER, NULL, "the guest has no room for a command");
		rest += run.input_size;
		left -= run.input_size;
	}
	return r;
}

static int put_script(struct carrier *c, const char *script, struct err *err)
{
	const char *args[] = {c->token, c->launch.fifos ? "in out err" : "", NULL};
	size_t size = strnlen(script, way_input_max(&c->way));
	struct way_run run = {.script = PREPARE,
		.args = args,
		.input = script,
		.input_size = size,
		.timeout_ms = PREPARE_MS};
	CLEANUP(way_result_finish) struct way_result result = {0};
	int r = way_run(&c->way, &run, &result, err);

	if (r < 0)
		return r;
	if (result.status != 0 || result.output_size == 0 || result.output_size >= sizeof(c->dir) ||
		result.output[0] != '/')
		return err_set(err, ERR_DRIVER, NULL,
			"the guest has neither in /run nor in /tmp what a command needs: room, and "
			"mkfifo");
	snprintf(c->dir, sizeof(c->dir), "%s", result.output);
	return put_rest(c, script + size, err);
}

static int prepare(struct carrier *c, struct err *err)
{
	AUTOFREE char *script = NULL;
	char note[LAUNCH_TOKEN_DIGITS + 16];
	struct user user;
	int r = 0;

	random_hex(c->token, LAUNCH_TOKEN_DIGITS);
	c->launch = (struct launch){
		.exec = &c->exec, .token = c->token, .fifos = c->way.kind == WAY_AGENT};
	if (!launch_is_root(c->exec.user)) {
		r = find_user(c, &user, err);
		c->launch.user = &user;
	}
	if (r == 0)
		r = launch_render(&c->launch, &script, err);
	c->launch.user = NULL;
	if (r < 0 || !script)
		return r;
	snprintf(note, sizeof(note), "command %s", c->token);
	r = ledger_note(&c->guest.paths, note, &c->note, err);
	fault_point("driver.kvm.exec.noted");
	if (r == 0)
		r = put_script(c, script, err);
	fault_point("driver.kvm.exec.prepared");
	return r;
}

/* --- The carrier ------------------------------------------------------------------------------ */

/* Ends it with its machine, whatever it waits for then: libvirt, ssh, or somebody who reads. */
static void *watch_machine(void *data)
{
	int *pidfd = data;
	struct pollfd p = {.fd = *pidfd, .events = POLLIN};

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	poll(NULL, 0, LINGER_MS);
	_exit(1);
}

static void end_with_machine(const char *id)
{
	static int pidfd;
	pid_t pid = guest_pid(id);
	pthread_t thread;

	if (pid <= 0)
		return; /* on another node: its end is the connection's */
	pidfd = process_pidfd(pid);
	if (pidfd == -ESRCH)
		_exit(1);
	if (pidfd >= 0 && pthread_create(&thread, NULL, watch_machine, &pidfd) == 0)
		pthread_detach(thread);
}

static int open_way(struct carrier *c, struct driver *driver, const char *id, struct err *err)
{
	int r;

	if (c->exec.terminal && !isatty(c->exec.stdin_fd))
		return err_set(err, ERR_INVALID, "terminal",
			"standard input cannot be its terminal: it is none");
	r = guest_running(driver, id, &c->guest, err);
	if (r < 0)
		return r;
	end_with_machine(id);
	return way_open(&c->guest, c->exec.terminal, &c->way, err);
}

static void carry(struct carrier *c, struct driver *driver, const char *id)
{
	struct err err = {0};
	int status = 0, r = open_way(c, driver, id, &err);
	bool seen = false;

	if (r == 0)
		r = prepare(c, &err);
	if (r == 0)
		seen = c->way.kind == WAY_AGENT ? exec_by_agent(c, &status, &err)
						: exec_by_ssh(c, &status, &err);
	if (err.code == ERR_OK)
		err_set(&err, ERR_DRIVER, NULL, "the command ended before it began");
	carrier_fail(c, &err);
	if (seen && write(c->exec.status_fd, &status, sizeof(status)) != sizeof(status))
		seen = false;
	/* Whoever waits for the end of its streams need not wait for what is cleaned up. */
	for (int i = 0; i < CARRIER_OUTPUTS; i++)
		fd_close(c->outputs[i].bytes.fd);
	fd_close(c->exec.stdin_fd);
	fd_close(c->exec.status_fd);
}

/* Takes its directory out of the guest again; where that cannot be done the note stays. */
static void clean_up(struct carrier *c)
{
	static const char script[] = "for f in \"$1\"/*.pid; do\n"
				     "read -r p 2>/dev/null <\"$f\" && kill \"$p\" 2>/dev/null\n"
				     "done\n"
				     "rm -rf \"$1\"\n";
	const char *args[] = {c->dir, NULL};
	struct way_run run = {.script = script, .args = args, .timeout_ms = PREPARE_MS};
	CLEANUP(way_result_finish) struct way_result result = {0};

	if (c->note.fd < 0)
		return;
	if (c->dir[0] && way_run(&c->way, &run, &result, NULL) == 0 && result.status == 0)
		ledger_strike(&c->note);
	ledger_leave(&c->note);
}

/* What was asked for. */
struct asked {
	struct driver *driver;
	const char *id;
	const struct driver_exec *exec;
};

static void be_carrier(void *data, int call)
{
	const struct asked *asked = data;
	struct carrier c = {.exec = *asked->exec, .note = {.fd = -1}, .call = call};
	int *const fds[] = {
		&c.exec.stdin_fd, &c.exec.stdout_fd, &c.exec.stderr_fd, &c.exec.status_fd, &c.call};

	carry_begin(fds, ARRAY_SIZE(fds));
	c.outputs[CARRIER_OUT] =
		(struct carrier_stream){.bytes.fd = c.exec.stdout_fd, .head = c.exec.terminal};
	c.outputs[CARRIER_ERR] =
		(struct carrier_stream){.bytes.fd = c.exec.stderr_fd, .head = !c.exec.terminal};
	carry(&c, asked->driver, asked->id);
	clean_up(&c);
	_exit(0);
}

int kvm_exec(struct driver *driver, const char *id, const struct driver_exec *exec, pid_t *ret_pid,
	struct err *err)
{
	struct asked asked = {driver, id, exec};

	return command_start(be_carrier, &asked, ret_pid, err);
}
