/* Commands inside guests: what they get, what is told of their end, and that they and what waits
 * for them outlive the driver but not the guest. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "groups.h"
#include "guests.h"
#include "need.h"

#define SH(command)                                                                                \
	(const char *[])                                                                           \
	{                                                                                          \
		"sh", "-c", command, NULL                                                          \
	}

/* --- Words -------------------------------------------------------------------------------------
 */

/* A command under way; all its descriptors are ours. */
struct running {
	pid_t pid;
	int status_fd;
	int input; /* its standard input, where it was given none */
};

static struct outcome try_start(struct driver_exec exec, struct running *ret)
{
	int status[2], input[2];
	struct outcome o;

	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	exec.status_fd = status[1];
	if (!exec.terminal)
		exec.stdin_fd = input[0];
	exec.stdout_fd = exec.stdout_fd ? exec.stdout_fd : 2;
	exec.stderr_fd = exec.stderr_fd ? exec.stderr_fd : 2;
	o = call((struct driver_request){.call = DRIVER_CALL_EXEC, .id = GUEST_A, .exec = &exec});
	close(status[1]);
	close(input[0]);
	*ret = (struct running){.pid = o.pid, .status_fd = status[0], .input = input[1]};
	return o;
}

static struct running start(struct driver_exec exec)
{
	struct running run;
	struct outcome o = try_start(exec, &run);

	if (o.result < 0)
		fail_msg("exec: %s", o.error.message);
	return run;
}

static void finish(struct running *run, int status)
{
	close(run->input);
	assert_int_equal(wait_status_of(run->status_fd), status);
	close(run->status_fd);
}

static void assert_refused(struct driver_exec exec, enum err_code code, const char *field)
{
	struct running run;
	struct outcome o = try_start(exec, &run);

	assert_true(o.result < 0);
	if (o.error.code != code || strcmp(o.error.field, field) != 0)
		fail_msg("%s (%s): %s", err_code_to_string(o.error.code), o.error.field,
			o.error.message);
	/* Nothing was begun that somebody could wait for. */
	assert_int_equal(wait_status_of(run.status_fd), -1);
	close(run.status_fd);
	close(run.input);
}

/* What a command prints. */
static void assert_prints(struct driver_exec exec, const char *text)
{
	AUTOCLOSE int out = memory_file("");
	struct running run;

	exec.stdout_fd = out;
	run = start(exec);
	finish(&run, 0);
	assert_holds(out, text);
}

static pid_t parent_of(pid_t pid)
{
	AUTOFREE char *path = NULL, *text = NULL;
	int parent = 0;

	assert_true(asprintf(&path, "/proc/%d/stat", pid) > 0);
	assert_int_equal(file_read(path, 4096, &text, NULL), 0);
	assert_int_equal(sscanf(strrchr(text, ')') + 1, " %*c %d", &parent), 1);
	return parent;
}

/* --- Input, output, end ------------------------------------------------------------------------
 */

static void input_output_and_status_are_passed(void **state)
{
	(void)state;
	borrow_guest();
	assert_exec(
		SH("cat; echo err >&2; exit 7"), "hello\n", "hello\n", "err\n", W_EXITCODE(7, 0));
	assert_exec(SH("kill -9 $$"), "", "", "", W_EXITCODE(0, SIGKILL));
	assert_exec(SH("exit 0"), "", "", "", 0);
	return_guest();
}

static void much_output_comes_whole(void **state)
{
	struct driver_exec exec = {
		.argv = SH("i=0; while [ $i -lt 3000 ]; do "
			   "echo 0123456789012345678901234567890123456789"
			   "0123456789012345678901234567890123456789012345678901234567; "
			   "i=$((i+1)); done")};
	size_t have = 0;
	struct running run;
	char buf[65536];
	int out[2];
	ssize_t n;

	(void)state;
	borrow_guest();
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	exec.stdout_fd = out[1];
	run = start(exec);
	close(out[1]);
	/* Its end comes as the end of the pipe: nobody else holds it. */
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		have += (size_t)n;
	assert_int_equal(have, 3000 * 99);
	finish(&run, 0);
	close(out[0]);
	return_guest();
}

static void signals_are_as_a_program_expects_them(void **state)
{
	int out[2];

	(void)state;
	borrow_guest();
	/* A writer whose reader has gone dies of it, whatever the driver itself does. */
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	struct running run = start((struct driver_exec){
		.argv = SH("read line; while :; do echo x; done"), .stdout_fd = out[1]});

	close(out[0]);
	close(out[1]);
	assert_int_equal(file_write_all(run.input, "\n", 1), 0);
	finish(&run, W_EXITCODE(0, SIGPIPE));
	return_guest();
}

/* --- Who, where and with what ------------------------------------------------------------------
 */

static void environment_has_defaults_that_can_be_replaced(void **state)
{
	static const char *const env[] = {"HOME=/tmp", "GREETING=good day", NULL};
	const char *argv[] = {"sh", "-c", "echo $HOME,$GREETING,${TERM:+term},${PATH:+path}", NULL};

	(void)state;
	borrow_guest();
	assert_prints((struct driver_exec){.argv = argv}, "/root,,term,path\n");
	assert_prints((struct driver_exec){.argv = argv, .env = env}, "/tmp,good day,term,path\n");
	assert_refused((struct driver_exec){.argv = argv, .env = (const char *[]){"x", NULL}},
		ERR_INVALID, "env");
	return_guest();
}

static void users_are_those_of_the_guest(void **state)
{
	const char *argv[] = {"sh", "-c", "id -u; id -g; id -G", NULL};

	(void)state;
	need_root();
	borrow_guest();
	prepare_inside("mkdir -p $R/etc; printf '%%s\\n' root:x:0:0:root:/root:/bin/sh "
		       "guy:x:1234:2345::/tmp:/bin/sh >$R/etc/passwd; "
		       "printf '%%s\\n' root:x:0: crew:x:3456:guy,root more:x:4567:guy "
		       ">$R/etc/group");
	assert_prints(
		(struct driver_exec){.argv = argv, .user = "guy"}, "1234\n2345\n2345 3456 4567\n");
	assert_prints(
		(struct driver_exec){.argv = argv, .user = "1234"}, "1234\n2345\n2345 3456 4567\n");
	assert_prints((struct driver_exec){.argv = argv, .user = "guy:crew"}, "1234\n3456\n3456\n");
	assert_prints((struct driver_exec){.argv = argv, .user = "33:44"}, "33\n44\n44\n");
	assert_prints((struct driver_exec){.argv = argv, .user = "77"}, "77\n77\n77\n");
	assert_prints(
		(struct driver_exec){.argv = SH("echo $HOME; pwd"), .user = "guy"}, "/tmp\n/tmp\n");
	assert_refused(
		(struct driver_exec){.argv = argv, .user = "nobody-here"}, ERR_INVALID, "user");
	assert_refused(
		(struct driver_exec){.argv = argv, .user = "guy:nothing"}, ERR_INVALID, "user");
	return_guest();
}

static void a_directory_can_be_chosen(void **state)
{
	(void)state;
	borrow_guest();
	assert_prints((struct driver_exec){.argv = SH("pwd"), .cwd = "/tmp"}, "/tmp\n");
	assert_refused(
		(struct driver_exec){.argv = SH("pwd"), .cwd = "/not/there"}, ERR_INVALID, "cwd");
	return_guest();
}

static void what_cannot_be_executed_is_told(void **state)
{
	(void)state;
	borrow_guest();
	assert_refused((struct driver_exec){.argv = (const char *[]){"no-such-command", NULL}},
		ERR_NOT_FOUND, "command");
	assert_refused((struct driver_exec){.argv = (const char *[]){"/no/such/command", NULL}},
		ERR_NOT_FOUND, "command");
	assert_refused(
		(struct driver_exec){.argv = (const char *[]){"", NULL}}, ERR_NOT_FOUND, "command");
	assert_refused((struct driver_exec){.argv = (const char *[]){"/tmp", NULL}}, ERR_INVALID,
		"command");
	return_guest();
}

/* Adds what comes to the buffer until the text is in it. */
static void wait_for(int fd, const char *text, char *buf, size_t size)
{
	size_t have = strlen(buf);

	while (!strstr(buf, text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, 60000) == 1 ? read(fd, buf + have, size - 1 - have) : -1;

		if (n <= 0)
			fail_msg("\"%s\" does not come, only \"%s\"", text, buf);
		have += (size_t)n;
		buf[have] = '\0';
	}
}

static void a_terminal_controls_its_command(void **state)
{
	struct driver_exec exec = {.argv = SH("trap 'echo interrupted; exit 9' INT; "
					      "test -t 0 && test -c /dev/tty && : < /dev/tty && "
					      "echo yes; while :; do sleep 1; done"),
		.terminal = true};
	struct winsize size = {.ws_row = 30, .ws_col = 100};
	char buf[4096] = "";
	struct running run;
	int ours, theirs;

	(void)state;
	borrow_guest();
	assert_int_equal(openpty(&ours, &theirs, NULL, NULL, &size), 0);
	exec.stdin_fd = exec.stdout_fd = exec.stderr_fd = theirs;
	run = start(exec);
	close(theirs);
	wait_for(ours, "yes", buf, sizeof(buf));
	/* Control-C reaches it through the terminal alone. */
	assert_int_equal(write(ours, "\003", 1), 1);
	wait_for(ours, "interrupted", buf, sizeof(buf));
	finish(&run, W_EXITCODE(9, 0));
	close(ours);
	/* What is no terminal cannot be one. */
	exec.stdin_fd = memory_file("");
	exec.stdout_fd = exec.stderr_fd = 2;
	assert_refused(exec, ERR_INVALID, "terminal");
	close(exec.stdin_fd);
	return_guest();
}

/* --- Lives -------------------------------------------------------------------------------------
 */

static void a_frozen_guest_takes_no_commands(void **state)
{
	struct driver_request freeze = {.call = DRIVER_CALL_FREEZE, .id = GUEST_A, .frozen = true};

	(void)state;
	borrow_guest();
	call_ok(freeze);
	assert_refused((struct driver_exec){.argv = SH("exit 0")}, ERR_ILLEGAL_STATE, "");
	freeze.frozen = false;
	call_ok(freeze);
	return_guest();
}

static void guests_that_do_not_run_are_refused(void **state)
{
	struct driver_exec exec = {.argv = SH("exit 0")};

	(void)state;
	destroy_guest(GUEST_A);
	assert_refused(exec, ERR_NOT_FOUND, "");
	define_guest(GUEST_A, ROOTFS_PLAIN);
	assert_refused(exec, ERR_ILLEGAL_STATE, "");
	destroy_guest(GUEST_A);
}

static void a_command_outlives_the_driver(void **state)
{
	struct running run;
	pid_t waiter;

	(void)state;
	borrow_guest();
	run = start((struct driver_exec){.argv = SH("read line; exit 5")});
	waiter = is_machine() ? 0 : parent_of(run.pid);
	subject_crash(subject());
	assert_int_equal(kill(run.pid, 0), 0);
	assert_true(is_machine() || parent_of(run.pid) == waiter);
	assert_int_equal(file_write_all(run.input, "\n", 1), 0);
	finish(&run, W_EXITCODE(5, 0));
	return_guest();
}

static void ends_with_the_guest(enum driver_call how)
{
	struct running run;
	pid_t waiter;
	int status;

	borrow_guest();
	run = start(
		(struct driver_exec){.argv = SH("trap '' TERM HUP; while :; do sleep 1; done")});
	waiter = is_machine() ? run.pid : parent_of(run.pid);
	call_ok((struct driver_request){.call = how, .id = GUEST_A, .timeout_ms = 500});
	if (!is_machine())
		assert_process_gone(run.pid);
	assert_process_goes(waiter);
	/* Its end may not have been seen any more. */
	status = wait_status_of(run.status_fd);
	assert_true(status == -1 || status == W_EXITCODE(0, SIGKILL));
	close(run.status_fd);
	close(run.input);
}

static void a_command_ends_with_the_guest_and_nothing_waits_on(void **state)
{
	(void)state;
	ends_with_the_guest(DRIVER_CALL_STOP);
	assert_nothing_left(GUEST_A, true);
	if (environment()->shared_guest) /* what ends it is the same, and starting it takes long */
		return;
	ends_with_the_guest(DRIVER_CALL_KILL);
	assert_nothing_left(GUEST_A, true);
	ends_with_the_guest(DRIVER_CALL_DESTROY);
	assert_nothing_left(GUEST_A, false);
}

static void commands_run_side_by_side(void **state)
{
	struct running run[8];

	(void)state;
	borrow_guest();
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		run[i] = start((struct driver_exec){.argv = SH("read line; exit $line")});
	for (size_t i = ARRAY_SIZE(run); i-- > 0;) {
		char line[24];

		snprintf(line, sizeof(line), "%zu\n", i);
		assert_int_equal(file_write_all(run[i].input, line, strlen(line)), 0);
		finish(&run[i], W_EXITCODE((int)i, 0));
	}
	return_guest();
}

int commands_run(const char *name)
{
	const struct CMUnitTest tests[] = {
		guest_test(input_output_and_status_are_passed),
		guest_test(much_output_comes_whole),
		guest_test(signals_are_as_a_program_expects_them),
		guest_test(environment_has_defaults_that_can_be_replaced),
		guest_test(users_are_those_of_the_guest),
		guest_test(a_directory_can_be_chosen),
		guest_test(what_cannot_be_executed_is_told),
		guest_test(a_terminal_controls_its_command),
		guest_test(a_command_outlives_the_driver),
		guest_test(commands_run_side_by_side),
		guest_test_if(can(DRIVER_CAN_FREEZE), a_frozen_guest_takes_no_commands),
		guest_test(a_command_ends_with_the_guest_and_nothing_waits_on),
		guest_test(guests_that_do_not_run_are_refused),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
