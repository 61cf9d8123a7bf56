/* Other programs: their end, their words, their time, and what they leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"

#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})
#define DEADLINE_MS   60000

static int run_with(const char *script, int in, int out, uint64_t timeout_ms, struct err *err)
{
	const struct process_options options = {
		.argv = SHELL(script), .stdin_fd = in, .stdout_fd = out, .timeout_ms = timeout_ms};

	return process_run(&options, err);
}

static int run(const char *script, struct err *err)
{
	return run_with(script, -1, -1, DEADLINE_MS, err);
}

/* Whether the process ends before the deadline. */
static bool ends(pid_t pid)
{
	AUTOCLOSE int pidfd = process_pidfd(pid);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd == -ESRCH || poll(&p, 1, DEADLINE_MS) == 1;
}

/* Reads until the end of file; the text is NUL-terminated. */
static size_t read_all(int fd, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used + 1 < size && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	return used;
}

static void success_is_zero(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(run("echo noise >&2; exit 0", &err), 0);
}

static void failure_names_program_status_and_last_words(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(run("echo first >&2; echo last words >&2; exit 3", &err), -EIO);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_string_equal(err.message, "sh exited with status 3: first last words");
}

static void only_the_end_of_much_stderr_is_kept(void **state)
{
	struct err err;

	(void)state;
	assert_true(run("i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1",
			    &err) < 0);
	assert_non_null(strstr(err.message, "line 4999"));
	assert_null(strstr(err.message, "line 1 "));
}

static void death_by_signal_is_named(void **state)
{
	struct err err;

	(void)state;
	assert_true(run("kill -TERM $$", &err) < 0);
	assert_string_equal(err.message, "sh was killed by signal 15: ");
}

static void a_program_that_is_not_there_is_named(void **state)
{
	const struct process_options options = {
		.argv = (const char *const[]){"corpus-no-such-program", NULL},
		.stdin_fd = -1,
		.stdout_fd = -1,
	};
	struct err err;

	(void)state;
	assert_true(process_run(&options, &err) < 0);
	assert_non_null(strstr(err.message, "corpus-no-such-program: No such file or directory"));
	assert_int_equal(process_start_detached(&options, &err), -ENOENT);
	assert_non_null(strstr(err.message, "corpus-no-such-program: No such file or directory"));
}

static void the_deadline_kills_the_program_and_its_children(void **state)
{
	int fds[2];
	char buf[64];
	struct err err;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(
		run_with("echo stuck >&2; sleep 1000 & wait", -1, fds[1], 2000, &err), -ETIMEDOUT);
	close(fds[1]);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_string_equal(err.message, "sh did not end within 2000 ms: stuck");
	/* The end of file comes when the last process that holds the pipe is gone. */
	assert_int_equal(read_all(fds[0], buf, sizeof(buf)), 0);
	close(fds[0]);
}

static void the_deadline_holds_when_stderr_is_closed(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(run_with("exec 2>&-; sleep 1000", -1, -1, 200, &err), -ETIMEDOUT);
}

static void a_daemon_left_behind_is_not_waited_for(void **state)
{
	AUTOCLOSE int out = -1;
	int fds[2];
	char buf[64];
	struct err err;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	/* It keeps stderr open. Its stdout tells the pid. */
	assert_int_equal(run_with("setsid sh -c 'echo $$; exec >&-; exec sleep 1000' &"
				  "exit 0",
				 -1, fds[1], DEADLINE_MS, &err),
		0);
	close(fds[1]);
	assert_true(read_all(out, buf, sizeof(buf)) > 0);
	pid = atoi(buf);
	assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	assert_true(ends(pid));
}

static void stdin_and_stdout_are_as_told(void **state)
{
	char buf[64];
	int in[2], out[2];
	struct err err;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(file_write_all(in[1], "hello", 5), 0);
	close(in[1]);
	assert_int_equal(run_with("cat; echo; cat <&0", in[0], out[1], DEADLINE_MS, &err), 0);
	close(in[0]);
	close(out[1]);
	assert_int_equal(read_all(out[0], buf, sizeof(buf)), 6);
	assert_string_equal(buf, "hello\n");
	close(out[0]);
}

static void what_a_program_says_is_read_whole_or_not_at_all(void **state)
{
	AUTOFREE char *text = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(process_read(SHELL("echo one; echo two"), DEADLINE_MS, 8, &text, &err), 0);
	assert_string_equal(text, "one\ntwo\n");
	assert_true(process_read(SHELL("echo one; echo two"), DEADLINE_MS, 7, &text, &err) < 0);
	assert_non_null(strstr(err.message, "cannot read what sh says"));
	assert_true(process_read(SHELL("echo no >&2; exit 3"), DEADLINE_MS, 8, &text, &err) < 0);
	assert_string_equal(err.message, "sh exited with status 3: no");
	assert_string_equal(text, "one\ntwo\n");
}

static void without_them_there_is_dev_null(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(run("[ \"$(readlink /proc/self/fd/0)\" = /dev/null ] && "
			     "[ \"$(readlink /proc/$$/fd/1)\" = /dev/null ]",
				 &err),
		0);
}

static void no_other_descriptor_is_inherited(void **state)
{
	int leak = open("/dev/zero", O_RDONLY);
	struct err err;

	(void)state;
	assert_true(leak > 2);
	assert_int_equal(run("! ls -l /proc/$$/fd | grep -q zero", &err), 0);
	close(leak);
}

static void signals_are_not_blocked_in_it(void **state)
{
	sigset_t set, old;
	struct err err;
	int r;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	r = run("kill -TERM $$; exit 0", &err);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_true(r < 0);
}

/* A program must not go on when whoever waits for it was killed: what it did is begun again. */
static void a_program_ends_with_its_caller(void **state)
{
	AUTOCLOSE int out = -1;
	int fds[2];
	char buf[64];
	pid_t caller;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	caller = fork();
	if (caller == 0) {
		run_with("echo up; exec sleep 1000", -1, fds[1], 0, NULL);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(out, buf, 3), 3);
	kill(caller, SIGKILL);
	waitpid(caller, NULL, 0);
	assert_int_equal(read_all(out, buf, sizeof(buf)), 0);
}

static void a_detached_program_outlives_its_caller(void **state)
{
	AUTOCLOSE int out = -1;
	int fds[2], pids[2];
	pid_t caller, pid;
	uint64_t started;
	char stat[64];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pids, O_CLOEXEC), 0);
	out = fds[0];
	caller = fork();
	if (caller == 0) {
		const struct process_options options = {
			.argv = SHELL("echo up; read line"), .stdin_fd = -1, .stdout_fd = fds[1]};

		pid = process_start_detached(&options, NULL);
		_exit(write(pids[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	close(fds[1]);
	close(pids[1]);
	assert_int_equal(waitpid(caller, NULL, 0), caller);
	assert_int_equal(read(pids[0], &pid, sizeof(pid)), sizeof(pid));
	close(pids[0]);
	assert_true(pid > 0);
	/* It ran, after the caller's end or before; then it ends by itself (stdin is empty). */
	assert_int_equal(read_all(out, stat, sizeof(stat)), 3);
	assert_true(ends(pid));
	assert_true(process_start_time(getpid(), &started) == 0);
}

static void a_detached_program_leaves_no_zombie(void **state)
{
	const struct process_options options = {
		.argv = SHELL("exit 0"), .stdin_fd = -1, .stdout_fd = -1};
	pid_t pid = process_start_detached(&options, NULL);

	(void)state;
	assert_true(pid > 0);
	assert_true(ends(pid));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void a_process_is_named_by_pid_and_start_time(void **state)
{
	uint64_t first = 0, again = 0;
	pid_t gone = fork();

	(void)state;
	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	assert_int_equal(process_start_time(getpid(), &first), 0);
	assert_int_equal(process_start_time(getpid(), &again), 0);
	assert_true(first > 0 && first == again);
	assert_int_equal(process_start_time(gone, &again), -ESRCH);
	assert_int_equal(process_pidfd(gone), -ESRCH);
}

static void descriptors_are_raised_to_the_most_there_may_be(void **state)
{
	struct rlimit before, after;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	before.rlim_cur = 256;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	process_raise_files();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_true(after.rlim_cur == before.rlim_max && after.rlim_max == before.rlim_max);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_is_zero),
		cmocka_unit_test(failure_names_program_status_and_last_words),
		cmocka_unit_test(only_the_end_of_much_stderr_is_kept),
		cmocka_unit_test(death_by_signal_is_named),
		cmocka_unit_test(a_program_that_is_not_there_is_named),
		cmocka_unit_test(the_deadline_kills_the_program_and_its_children),
		cmocka_unit_test(the_deadline_holds_when_stderr_is_closed),
		cmocka_unit_test(a_daemon_left_behind_is_not_waited_for),
		cmocka_unit_test(stdin_and_stdout_are_as_told),
		cmocka_unit_test(what_a_program_says_is_read_whole_or_not_at_all),
		cmocka_unit_test(without_them_there_is_dev_null),
		cmocka_unit_test(no_other_descriptor_is_inherited),
		cmocka_unit_test(signals_are_not_blocked_in_it),
		cmocka_unit_test(a_program_ends_with_its_caller),
		cmocka_unit_test(a_detached_program_outlives_its_caller),
		cmocka_unit_test(a_detached_program_leaves_no_zombie),
		cmocka_unit_test(a_process_is_named_by_pid_and_start_time),
		cmocka_unit_test(descriptors_are_raised_to_the_most_there_may_be),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
