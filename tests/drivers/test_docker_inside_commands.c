/* Commands inside real containers: their streams, terminals, users and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "docker_inside.h"
#include "docker_node.h"

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

int inside_commands_run(void)
{
	const struct CMUnitTest tests[] = {
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

	return cmocka_run_group_tests_name("commands", tests, begin_guest, NULL);
}
