/* Inside real containers: commands, files, consoles, figures and limits, as the Docker driver does
 * them; and what becomes of them when somebody goes away in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "docker_guests.h"
#include "docker_inside.h"
#include "docker_node.h"
#include "drivers/docker/console.h"
#include "drivers/docker/docker.h"
#include "drivers/docker/file.h"

#define PATIENCE_MS 20000
#define IDLE	    "while :; do sleep 100; done"

#define ARGV(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void assert_gone(pid_t pid)
{
	AUTOCLOSE int pidfd = process_pidfd(pid);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("process %d goes on", pid);
}

/* --- Commands --------------------------------------------------------------------------------- */

static void outputs_come_apart_and_codes_of_shells_are_no_failures(void **state)
{
	struct run run = run_shell("cat; echo oops >&2; exit 127");

	(void)state;
	assert_int_equal(write(run.in, "hello\n", 6), 6);
	run.in = fd_close(run.in);
	assert_string_equal(read_until(run.out, NULL), "hello\n");
	assert_string_equal(read_until(run.errs, NULL), "oops\n");
	assert_int_equal(run_end(&run), W_EXITCODE(127, 0));
	run = run_shell("exit 126");
	assert_int_equal(run_end(&run), W_EXITCODE(126, 0));
	run = run_shell("kill -9 $$");
	assert_int_equal(run_end(&run), W_EXITCODE(0, SIGKILL));
}

static void assert_refused(struct driver_exec exec, enum err_code code, const char *field)
{
	struct run run = run_begin(exec);

	if (run.err.code != code || strcmp(run.err.field, field) != 0)
		fail_msg("%s: %s (%s): %s", exec.argv[0], err_code_to_string(run.err.code),
			run.err.field, run.err.message);
	assert_int_equal(run_end(&run), -1);
}

static void what_cannot_be_executed_names_the_field(void **state)
{
	struct driver_exec exec = {.argv = ARGV("no-such-command")};

	(void)state;
	assert_refused(exec, ERR_NOT_FOUND, "command");
	exec.argv = ARGV("/no/such/command");
	assert_refused(exec, ERR_NOT_FOUND, "command");
	exec.argv = ARGV("");
	assert_refused(exec, ERR_NOT_FOUND, "command");
	exec.argv = ARGV("/tmp");
	assert_refused(exec, ERR_INVALID, "command");
	exec.argv = ARGV("true");
	exec.cwd = "/not/there";
	assert_refused(exec, ERR_INVALID, "cwd");
	exec.cwd = "tmp";
	assert_refused(exec, ERR_INVALID, "cwd");
	exec.cwd = NULL;
	exec.user = "nobody-here";
	assert_refused(exec, ERR_INVALID, "user");
	exec.user = NULL;
	exec.env = ARGV("=x");
	assert_refused(exec, ERR_INVALID, "env");
	exec.env = ARGV("A=\xff");
	assert_refused(exec, ERR_INVALID, "env");
}

static void much_output_comes_whole_to_a_slow_reader(void **state)
{
	struct run slow = run_shell("head -c 3000000 /dev/zero; echo done >&2"), other;
	char buf[65536];
	size_t have = 0;
	ssize_t n;

	(void)state;
	/* Nobody else waits for it. */
	other = run_shell("echo quick");
	assert_string_equal(read_until(other.out, NULL), "quick\n");
	assert_int_equal(run_end(&other), 0);
	while ((n = read(slow.out, buf, sizeof(buf))) > 0)
		have += (size_t)n;
	assert_int_equal(have, 3000000);
	assert_string_equal(read_until(slow.errs, NULL), "done\n");
	assert_int_equal(run_end(&slow), 0);
}

static void who_writes_to_nobody_ends(void **state)
{
	struct run run = run_shell("read line; while :; do echo x; done");

	(void)state;
	run.out = fd_close(run.out);
	assert_int_equal(write(run.in, "\n", 1), 1);
	assert_int_equal(run_end(&run), W_EXITCODE(0, SIGPIPE));
	assert_gone(run.pid);
}

static void a_command_that_closes_its_outputs_is_waited_for(void **state)
{
	struct run run = run_shell("exec >&- 2>&-; read line; exit 6");

	(void)state;
	assert_int_equal(write(run.in, "\n", 1), 1);
	assert_int_equal(run_end(&run), W_EXITCODE(6, 0));
}

static void a_terminal_has_its_size_and_follows_changes(void **state)
{
	struct run run = run_begin((struct driver_exec){
		.argv = ARGV("sh", "-c",
			"trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done"),
		.terminal = true});

	(void)state;
	if (run.result < 0)
		fail_msg("%s", run.err.message);
	read_until(run.out, "30 100");
	assert_int_equal(
		ioctl(run.out, TIOCSWINSZ, &(struct winsize){.ws_row = 11, .ws_col = 22}), 0);
	read_until(run.out, "11 22");
	/* Control-C goes through it. */
	assert_int_equal(write(run.in, "\003", 1), 1);
	assert_int_equal(run_end(&run), W_EXITCODE(0, SIGINT));
}

static void no_key_is_kept_from_a_terminal(void **state)
{
	struct run run = run_begin((struct driver_exec){
		.argv = ARGV("sh", "-c", "stty raw -echo; echo ready; head -c 3 | od -An -tx1"),
		.terminal = true});

	(void)state;
	if (run.result < 0)
		fail_msg("%s", run.err.message);
	read_until(run.out, "ready");
	assert_int_equal(write(run.in, "\020\021z", 3), 3); /* by default: detach */
	read_until(run.out, "10 11 7a");
	assert_int_equal(run_end(&run), 0);
}

static void a_terminal_that_goes_hangs_its_command_up(void **state)
{
	struct run run = run_begin((struct driver_exec){
		.argv = ARGV("sh", "-c", "echo ready; sleep 1000"), .terminal = true});

	(void)state;
	read_until(run.out, "ready");
	run.in = run.out = fd_close(run.out);
	assert_gone(run.pid);
	assert_int_equal(run_end(&run), W_EXITCODE(0, SIGHUP));
}

static void environment_user_and_directory_are_as_asked_for(void **state)
{
	struct driver_exec exec = {
		.argv = ARGV("sh", "-c", "id -u; id -g; pwd; echo $HOME $A ${TERM:+term}")};
	struct run run = run_begin(exec);

	(void)state;
	assert_string_equal(read_until(run.out, NULL), "0\n0\n/root\n/root term\n");
	assert_int_equal(run_end(&run), 0);
	exec.user = "77";
	exec.cwd = "/tmp";
	exec.env = ARGV("HOME=/tmp", "A=good day");
	run = run_begin(exec);
	assert_string_equal(read_until(run.out, NULL), "77\n77\n/tmp\n/tmp good day term\n");
	assert_int_equal(run_end(&run), 0);
}

static void a_frozen_guest_takes_no_commands(void **state)
{
	(void)state;
	assert_non_null(DOCKER("pause", "inside-1"));
	assert_refused((struct driver_exec){.argv = ARGV("true")}, ERR_ILLEGAL_STATE, "");
	assert_non_null(DOCKER("unpause", "inside-1"));
}

/* Last: it ends the guest. */
static void a_command_ends_with_its_guest(void **state)
{
	struct run run = run_shell("trap '' TERM HUP; echo ready; while :; do sleep 1; done");
	int status;

	(void)state;
	read_until(run.out, "ready");
	assert_non_null(DOCKER("kill", "inside-1"));
	status = run_end(&run);
	assert_true(status == -1 || status == W_EXITCODE(0, SIGKILL));
	assert_gone(run.pid);
	inside_look();
	assert_refused((struct driver_exec){.argv = ARGV("true")}, ERR_ILLEGAL_STATE, "");
}

static int begin_guest(void **state)
{
	(void)state;
	inside_begin(OPTIONS(), IDLE);
	return 0;
}

/* --- Files ------------------------------------------------------------------------------------ */

static struct inside *g_guest;

static struct driver_file file_at(enum driver_file_op op, const char *path)
{
	return (struct driver_file){
		.op = op, .path = path, .fd = -1, .mode = -1, .uid = -1, .gid = -1};
}

static enum err_code do_file(struct driver_file file, struct driver_file_info *ret)
{
	struct err err = {0};

	if (docker_file(g_guest, &file, ret, &err) == 0)
		return ERR_OK;
	print_message("  %s\n", err.message);
	return err.code;
}

static void prepare(const char *script)
{
	struct run run = run_shell(script);

	assert_int_equal(run_end(&run), 0);
}

static int memory_file(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static enum err_code put(struct driver_file file, const char *text)
{
	AUTOCLOSE int fd = memory_file(text);

	file.op = DRIVER_FILE_WRITE;
	file.fd = fd;
	return do_file(file, NULL);
}

/* What comes from a file, or of a list. */
static const char *get(enum driver_file_op op, const char *path)
{
	static char buf[65536];
	AUTOCLOSE int fd = memory_file("");
	struct driver_file file = file_at(op, path);
	ssize_t n;

	file.fd = fd;
	assert_int_equal(do_file(file, NULL), ERR_OK);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	assert_true(n >= 0);
	buf[n] = '\0';
	return buf;
}

static void assert_attributes(const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct driver_file_info info;

	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, path), &info), ERR_OK);
	assert_int_equal(info.mode, mode);
	assert_int_equal(info.uid, uid);
	assert_int_equal(info.gid, gid);
}

static void put_look_and_list(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, "/files/a"), d;
	struct driver_file_info info;
	const char *list;

	assert_int_equal(put(f, "first"), ERR_OK);
	assert_attributes(f.path, 0644, 0, 0);
	f.mode = 04750;
	f.uid = 33;
	f.gid = 44;
	assert_int_equal(put(f, "second"), ERR_OK);
	assert_attributes(f.path, 04750, 33, 44);
	f.mode = f.uid = f.gid = -1;
	assert_int_equal(put(f, "third, longer"), ERR_OK);
	assert_attributes(f.path, 0750, 33, 44);
	assert_string_equal(get(DRIVER_FILE_READ, f.path), "third, longer");
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, f.path), &info), ERR_OK);
	assert_int_equal(info.size, 13);
	assert_true(info.mtime_ms > 1000000000000);
	d = file_at(DRIVER_FILE_MKDIR, "/files/d");
	d.uid = 1000;
	assert_int_equal(do_file(d, NULL), ERR_OK);
	d.uid = -1;
	assert_int_equal(do_file(d, NULL), ERR_OK);
	assert_attributes(d.path, 0755, 1000, 0);
	assert_int_equal(put(file_at(0, "/files/d/x"), "deep"), ERR_OK);
	list = get(DRIVER_FILE_LIST, "/files/dir");
	assert_non_null(strstr(list, "\"name\":\"link\",\"type\":\"link\""));
	assert_non_null(strstr(list, "\"target\":\"/etc/passwd\""));
	assert_non_null(strstr(list, "\"name\":\"hard\",\"type\":\"file\",\"mode\":420,"
				     "\"uid\":0,\"gid\":0,\"size\":6"));
	assert_non_null(strstr(list, "\"name\":\"soft\",\"type\":\"file\",\"mode\":420,"
				     "\"uid\":0,\"gid\":0,\"size\":6"));
	assert_non_null(strstr(list, "gr\u00fc\u00df\""));
	assert_non_null(strstr(list, "odd\""));
	assert_null(strstr(list, "deep"));
}

static void links_and_what_is_no_file(void)
{
	static const char *const bad[] = {"", "a", "/", "/..", "/files/.", "/files/a/b"};
	struct driver_file_info info;

	assert_int_equal(put(file_at(0, "/files/a"), "a"), ERR_OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(put(file_at(0, bad[i]), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/files/dir"), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/files/fifo"), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/not/there"), "x"), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_MKDIR, "/files/a"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_MKDIR, "/no/dir"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/fifo"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/files/none"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/"), &info), ERR_OK);
	assert_string_equal(info.type, "directory");
	/* Links lead where they would lead the guest. */
	assert_string_equal(get(DRIVER_FILE_READ, "/files/dir/up"), "a");
	assert_string_equal(get(DRIVER_FILE_READ, "/files/through/hard"), "linked");
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/out"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/out/x"), NULL), ERR_NOT_FOUND);
	assert_int_equal(put(file_at(0, "/files/out/x"), "x"), ERR_NOT_FOUND);
	assert_int_equal(put(file_at(0, "/files/out"), "mine"), ERR_OK);
	assert_string_equal(get(DRIVER_FILE_READ, "/files/out"), "mine");
}

static void cut_off(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, "/files/cut");
	int ends[2];

	assert_int_equal(put(f, "old"), ERR_OK);
	f.size = 100;
	assert_int_equal(put(f, "new"), ERR_INVALID);
	f.size = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	f.whole_fd = ends[0];
	assert_int_equal(put(f, "new"), ERR_CANCELLED);
	close(ends[0]);
	assert_string_equal(get(DRIVER_FILE_READ, f.path), "old");
	/* Nobody reads. */
	f = file_at(DRIVER_FILE_READ, "/files/big");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	f.fd = ends[1];
	assert_int_equal(do_file(f, NULL), ERR_CANCELLED);
	close(ends[1]);
}

static void big_files(void)
{
	struct driver_file f = file_at(DRIVER_FILE_READ, "/files/big");
	AUTOCLOSE int fd = memory_file("");
	struct driver_file_info info;
	struct stat st;

	f.fd = fd;
	assert_int_equal(do_file(f, &info), ERR_OK);
	assert_int_equal(info.size, 3000001);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3000001);
	f = file_at(DRIVER_FILE_WRITE, "/srv/big");
	f.fd = fd;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(do_file(f, NULL), ERR_OK);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/srv/big"), &info), ERR_OK);
	assert_int_equal(info.size, 3000001);
}

static void files_of_a_guest_that_runs(void **state)
{
	(void)state;
	put_look_and_list();
	links_and_what_is_no_file();
	cut_off();
	big_files();
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/a"), NULL), ERR_OK);
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/srv/big"), NULL), ERR_OK);
}

static void files_of_a_guest_that_does_not_run(void **state)
{
	(void)state;
	put_look_and_list();
	links_and_what_is_no_file();
	cut_off();
	big_files();
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/a"), NULL), ERR_ILLEGAL_STATE);
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/none"), NULL), ERR_OK);
}

/* With data on the node, as a guest's. */
#define FILES                                                                                      \
	"rm -rf /files; mkdir -p /files/dir/below/deep; cd /files; ln -s dir through; mkfifo "     \
	"fifo; "                                                                                   \
	"head -c 3000001 /dev/zero >big; ln -s ../../../../../var/tmp/out out; cd dir; "           \
	"ln -s /etc/passwd link; printf linked >hard; ln hard soft; ln -s ../a up; "               \
	": >$(printf 'gr\\303\\274\\303\\237'); : >\"$(printf '\\377\"odd')\""

static int begin_files(void **state)
{
	(void)state;
	g_guest = inside_begin(OPTIONS("--volume=data:/srv"), IDLE);
	prepare(FILES);
	return 0;
}

static int begin_files_stopped(void **state)
{
	begin_files(state);
	prepare("rm -rf /srv/big");
	assert_non_null(DOCKER("kill", g_guest->container));
	inside_look();
	return 0;
}

/* --- Consoles --------------------------------------------------------------------------------- */

static enum err_code try_console(struct driver_console wanted)
{
	struct err err = {0};

	return docker_console(g_guest, &wanted, &err) == 0 ? ERR_OK : err.code;
}

/* Our end of a console that is connected. */
static int connect_console(struct driver_console wanted)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wanted.fd = pair[1];
	assert_int_equal(try_console(wanted), ERR_OK);
	close(pair[1]);
	return pair[0];
}

static const char *history(uint64_t tail)
{
	static char buf[65536];
	AUTOCLOSE int fd = memory_file("");
	ssize_t n;

	assert_int_equal(try_console((struct driver_console){.fd = fd, .tail = tail}), ERR_OK);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* Until it is in the log, which takes it a moment later than who follows. */
static void await_history(const char *text)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (!strstr(history(60000), text))
		if (clock_monotonic_ns() > end)
			fail_msg("\"%s\" is not kept, only \"%s\"", text, history(60000));
}

static void without_a_terminal_both_outputs_are_the_console(void **state)
{
	int fd;

	(void)state;
	g_guest = inside_begin(
		OPTIONS("--interactive"), "echo out; echo err >&2; read line; echo got $line");
	await_history("out");
	await_history("err");
	assert_int_equal(strlen(history(3)), 3);
	fd = connect_console((struct driver_console){.input = true, .tail = 1000});
	read_until(fd, "err");
	assert_int_equal(write(fd, "this\n", 5), 5);
	read_until(fd, "got this");
	read_until(fd, NULL); /* it has ended */
	close(fd);
	inside_look();
	await_history("got this\n");
	assert_string_equal(history(5), "this\n");
	assert_int_equal(try_console((struct driver_console){.input = true}), ERR_ILLEGAL_STATE);
	fd = connect_console((struct driver_console){.follow = true, .tail = 5});
	assert_string_equal(read_until(fd, NULL), "this\n");
	close(fd);
}

static void a_terminal_is_typed_into_by_one_at_a_time(void **state)
{
	int typist, follower, pair[2];

	(void)state;
	g_guest = inside_begin(OPTIONS("--interactive", "--tty"),
		"stty size; echo ready; while read line; do echo \"<$line>\"; done");
	await_history("ready");
	typist = connect_console((struct driver_console){.input = true});
	follower = connect_console((struct driver_console){.follow = true, .tail = 7});
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
		try_console((struct driver_console){.fd = pair[1], .input = true}), ERR_CONFLICT);
	assert_int_equal(write(typist, "hel", 3), 3);
	read_until(follower, "ready\r\nhel"); /* also what is no whole line yet */
	assert_int_equal(write(typist, "lo\n", 3), 3);
	read_until(typist, "<hello>");
	read_until(follower, "<hello>");
	close(typist);
	/* The one before takes a moment to notice. */
	while (try_console((struct driver_console){.fd = pair[1], .input = true}) == ERR_CONFLICT)
		poll(NULL, 0, 5);
	close(pair[1]);
	assert_int_equal(write(pair[0], "again\n", 6), 6);
	read_until(pair[0], "<again>");
	assert_non_null(DOCKER("kill", g_guest->container));
	read_until(pair[0], NULL);
	read_until(follower, NULL);
	close(pair[0]);
	close(follower);
}

/* History and what follows fit together: every number comes, and once. */
static void nothing_is_lost_between_history_and_what_follows(void **state)
{
	(void)state;
	g_guest = inside_begin(
		OPTIONS("--tty"), "i=1000; while :; do i=$((i+1)); echo $i; sleep 0.002; done");
	await_history("1010");
	for (int i = 0; i < 5; i++) {
		int fd = connect_console((struct driver_console){.follow = true, .tail = 60});
		char number[16];
		int next;

		/* The first may have been cut. */
		next = atoi(strchr(read_until(fd, "\n"), '\n') - 5) + 1;
		close(fd);
		fd = connect_console((struct driver_console){.follow = true, .tail = 60000});
		snprintf(number, sizeof(number), "%d\r\n", next + 30);

		const char *text = read_until(fd, number), *at = text;

		for (int n = 1001; n <= next + 30; n++, at += 6)
			if (atoi(at) != n)
				fail_msg("not %d: %.20s", n, at);
		close(fd);
	}
	assert_non_null(DOCKER("kill", g_guest->container));
}

static void who_does_not_read_holds_up_nobody(void **state)
{
	int deaf;

	(void)state;
	g_guest = inside_begin(OPTIONS("--tty"),
		"sleep 0.3; head -c 5000000 /dev/zero | tr '\\000' 'x'; echo the end; sleep 1000");
	deaf = connect_console((struct driver_console){.follow = true});
	await_history("the end");
	close(deaf);
	assert_non_null(DOCKER("kill", g_guest->container));
}

static void what_docker_does_not_keep_is_told(void **state)
{
	int fd;

	(void)state;
	g_guest = inside_begin(
		OPTIONS("--interactive", "--log-driver=none"), "read line; echo now; read line");
	assert_int_equal(
		try_console((struct driver_console){.fd = 1, .tail = 10}), ERR_UNSUPPORTED);
	fd = connect_console((struct driver_console){.input = true, .tail = 10});
	assert_int_equal(write(fd, "\n", 1), 1);
	read_until(fd, "now");
	assert_int_equal(write(fd, "\n", 1), 1);
	read_until(fd, NULL);
	close(fd);
}

/* --- Held still ------------------------------------------------------------------------------- */

#define HELD "00000000e1d0"

static struct driver_config g_config;
static struct driver *g_driver;

static enum err_code hold(enum driver_disk_op op)
{
	const struct driver_disk_work work = {.op = op};
	struct err err = {0};

	return docker_driver_ops.disk(g_driver, HELD, &work, NULL, &err) == 0 ? ERR_OK : err.code;
}

static enum guest_state state_of_held(void)
{
	struct driver_status status = {0};
	struct err err = {0};

	if (docker_driver_ops.status(g_driver, HELD, &status, &err) < 0)
		fail_msg("%s", err.message);
	return status.state;
}

static int begin_held(void **state)
{
	const struct driver_guest guest = {.id = HELD,
		.name = "held",
		.container = docker_guests_container(HELD, ROOTFS_PLAIN)};
	struct driver_status status;
	struct err err = {0};

	(void)state;
	if (docker_driver_ops.open(&g_config, &g_driver, &err) < 0 ||
		docker_driver_ops.create(g_driver, &guest, &err) < 0 ||
		docker_driver_ops.start(g_driver, HELD, &status, &err) < 0)
		fail_msg("%s", err.message);
	return 0;
}

static int end_held(void **state)
{
	struct err err = {0};

	(void)state;
	docker_driver_ops.destroy(g_driver, HELD, &err);
	docker_driver_ops.close(g_driver);
	return 0;
}

static void a_held_guest_stands_still_until_it_is_released(void **state)
{
	(void)state;
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK); /* by one who knows of none before */
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_RUNNING);
	assert_int_equal(hold(DRIVER_DISK_DISCARD), ERR_UNSUPPORTED);
}

/* The third, see main. */
static void one_that_nobody_releases_goes_on_by_itself(void **state)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	(void)state;
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	while (state_of_held() == GUEST_FROZEN && clock_monotonic_ns() < end)
		poll(NULL, 0, 20);
	assert_int_equal(state_of_held(), GUEST_RUNNING);
}

static void what_was_frozen_before_stays_so(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, true, &err), 0);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, false, &err), 0);
}

static void one_that_does_not_run_is_not_held(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(docker_driver_ops.kill(g_driver, HELD, &err), 0);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_ILLEGAL_STATE);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
}

/* --- dockerd goes ----------------------------------------------------------------------------- */

static void dockerd_killed_in_the_middle_ends_commands_without_a_status(void **state)
{
	struct run run;

	(void)state;
	inside_begin(OPTIONS(), IDLE);
	run = run_shell("echo ready; while :; do sleep 1; done");
	read_until(run.out, "ready");
	docker_node_signal(SIGKILL);
	assert_int_equal(run_end(&run), -1);
	assert_gone(run.pid);
	run = run_begin((struct driver_exec){.argv = ARGV("true")});
	assert_int_equal(run.err.code, ERR_UNAVAILABLE);
	assert_int_equal(run_end(&run), -1);
	docker_node_start();
}

int main(void)
{
	const struct CMUnitTest commands[] = {
		cmocka_unit_test(outputs_come_apart_and_codes_of_shells_are_no_failures),
		cmocka_unit_test(what_cannot_be_executed_names_the_field),
		cmocka_unit_test(much_output_comes_whole_to_a_slow_reader),
		cmocka_unit_test(who_writes_to_nobody_ends),
		cmocka_unit_test(a_command_that_closes_its_outputs_is_waited_for),
		cmocka_unit_test(a_terminal_has_its_size_and_follows_changes),
		cmocka_unit_test(no_key_is_kept_from_a_terminal),
		cmocka_unit_test(a_terminal_that_goes_hangs_its_command_up),
		cmocka_unit_test(environment_user_and_directory_are_as_asked_for),
		cmocka_unit_test(a_frozen_guest_takes_no_commands),
		cmocka_unit_test(a_command_ends_with_its_guest),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(dockerd_killed_in_the_middle_ends_commands_without_a_status),
	};
	const struct CMUnitTest files[] = {
		cmocka_unit_test_setup(files_of_a_guest_that_runs, begin_files),
		cmocka_unit_test_setup(files_of_a_guest_that_does_not_run, begin_files_stopped),
	};
	const struct CMUnitTest consoles[] = {
		cmocka_unit_test(without_a_terminal_both_outputs_are_the_console),
		cmocka_unit_test(a_terminal_is_typed_into_by_one_at_a_time),
		cmocka_unit_test(nothing_is_lost_between_history_and_what_follows),
		cmocka_unit_test(who_does_not_read_holds_up_nobody),
		cmocka_unit_test(what_docker_does_not_keep_is_told),
	};
	const struct CMUnitTest holds[] = {
		cmocka_unit_test(a_held_guest_stands_still_until_it_is_released),
		cmocka_unit_test(one_that_nobody_releases_goes_on_by_itself),
		cmocka_unit_test(what_was_frozen_before_stays_so),
		cmocka_unit_test(one_that_does_not_run_is_not_held),
	};
	int failed;

	/* Read once: the third hold of them all is short. */
	setenv("CORPUS_FAULT", "driver.docker.hold.short=fail@3", 1);
	docker_guests_enter(&(struct docker_node){.live_restore = true}, &g_config);
	failed = cmocka_run_group_tests_name("commands", commands, begin_guest, NULL);
	failed += cmocka_run_group_tests_name("files", files, NULL, NULL);
	failed += cmocka_run_group_tests_name("consoles", consoles, NULL, NULL);
	failed += cmocka_run_group_tests_name("held", holds, begin_held, end_held);
	failed += cmocka_run_group_tests_name("faults", faults, NULL, NULL);
	return failed;
}
