/* Commands in real containers go through corpus-gate: what they may not, and that nothing else of
 * them is different for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "docker_inside.h"
#include "docker_node.h"
#include "drivers/docker/define.h"
#include "drivers/docker/gate/gate.h"

static struct inside *g_guest;

static void assert_prints(struct driver_exec exec, const char *text, int status)
{
	struct run run = run_begin(exec);

	if (run.result < 0)
		fail_msg("%s: %s", exec.argv[0], run.err.message);
	if (exec.terminal)
		read_until(run.out, text);
	else
		assert_string_equal(read_until(run.out, NULL), text);
	assert_int_equal(run_end(&run), status);
}

static void assert_refused(struct driver_exec exec, enum err_code code)
{
	struct run run = run_begin(exec);

	if (run.err.code != code || strcmp(run.err.field, "command") != 0)
		fail_msg("%s: %s (%s): %s", exec.argv[0], err_code_to_string(run.err.code),
			run.err.field, run.err.message);
	assert_int_equal(run_end(&run), -1);
}

static void commands_make_no_subvolumes_that_nobody_would_count(void **state)
{
	const char *const *const commands[] = {
		ARGV("/subvolume", "/srv"), ARGV("sh", "-c", "/subvolume /srv; exit")};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct driver_exec exec = {.argv = commands[i]};

		assert_prints(exec, "refused\n", 0);
		exec.user = "77:88";
		assert_prints(exec, "refused\n", 0);
		exec.terminal = true;
		assert_prints(exec, "refused", 0);
		exec.user = NULL;
		assert_prints(exec, "refused", 0);
	}
}

#define SAME "grep -E '^(CapEff|CapBnd|Sig(Blk|Ign|Cgt)|Groups|Umask|Seccomp:)' /proc/self/status"

static const char *by_docker(const char *script)
{
	const char *said = DOCKER("exec", g_guest->container, "sh", "-c", script);

	if (!said)
		fail_msg("%s: failed", script);
	return said;
}

static void nothing_else_of_them_is_different(void **state)
{
	static const char script[] = SAME "; ls /proc/self/fd | wc -l; echo $PATH; ulimit -a";
	char before[8192];

	(void)state;
	snprintf(before, sizeof(before), "%s\n", by_docker(script));
	assert_prints((struct driver_exec){.argv = ARGV("sh", "-c", script)}, before, 0);
}

static void they_are_looked_up_in_their_own_path(void **state)
{
	struct driver_exec exec = {.argv = ARGV("tool"), .env = ARGV("PATH=/none:/tools")};

	(void)state;
	by_docker("mkdir -p /tools /tmp/a; cd /tools; printf '#!/bin/sh\necho $0 $#' >tool;"
		  "chmod +x tool; cp tool /tmp/a/near; printf '#!/none\n' >no-shell; "
		  "printf '\177odd' >odd; : >plain; chmod +x no-shell odd");
	assert_prints(exec, "/tools/tool 0\n", 0);
	exec.argv = ARGV("tool", GATE_EXEC, "");
	assert_prints(exec, "/tools/tool 2\n", 0);
	exec.argv = ARGV("a/near");
	exec.cwd = "/tmp";
	assert_prints(exec, "a/near 0\n", 0);
	exec.argv = ARGV(GATE_EXEC, "tool");
	assert_refused(exec, ERR_NOT_FOUND);
	for (int terminal = 0; terminal < 2; terminal++) {
		exec.terminal = terminal;
		exec.argv = ARGV("sh");
		assert_refused(exec, ERR_NOT_FOUND);
		exec.argv = ARGV("no-shell");
		assert_refused(exec, ERR_NOT_FOUND);
		exec.argv = ARGV("odd");
		assert_refused(exec, ERR_INVALID);
		exec.argv = ARGV("plain");
		assert_refused(exec, ERR_INVALID);
	}
}

/* As soon as it runs, it is over: nobody may have seen it at work. */
static void what_says_the_gates_words_is_believed_to_have_said_them(void **state)
{
	struct driver_exec exec = {
		.argv = ARGV(
			"sh", "-c", "echo corpus-gate: exec: No such file or directory; exit 127")};

	(void)state;
	for (int terminal = 0; terminal < 2; terminal++) {
		exec.terminal = terminal;
		assert_prints(exec,
			terminal ? "directory" : "corpus-gate: exec: No such file or directory\n",
			W_EXITCODE(127, 0));
	}
}

/* One that has nothing to execute stays for a while; whoever could see its environment could also
 * have traced it before it had its filter. */
static void nobody_without_rights_can_trace_it(void **state)
{
	static const char script[] =
		"cat " GATE_PROGRAM "; until grep -lxF $(basename " GATE_PROGRAM
		") /proc/[0-9]*/comm >/tmp/found; do usleep 10000; done; "
		"cd $(dirname $(cat /tmp/found)); grep -h Uid status; cat environ";
	struct driver_exec exec = {.argv = ARGV("sh", "-c", script), .user = "77"};
	struct run run;

	(void)state;
	assert_non_null(DOCKER("exec", "--detach", "--user", "77", g_guest->container, GATE_PROGRAM,
		GATE_EXEC, "none"));
	run = run_begin(exec);
	assert_string_equal(read_until(run.out, NULL), "Uid:\t77\t77\t77\t77\n");
	assert_non_null(strstr(read_until(run.errs, NULL), "environ': Permission denied"));
	assert_true(run_end(&run) > 0);
}

static void write_note(const char *rest)
{
	char text[200];
	uint64_t start;

	assert_int_equal(process_start_time(g_guest->pid, &start), 0);
	snprintf(text, sizeof(text), "%d %" PRIu64 " %s -%s\n", g_guest->pid, start,
		g_guest->container, rest);
	assert_int_equal(file_replace(g_guest->paths->note, text, 0600, false), 0);
}

static void a_guest_that_runs_since_before_takes_commands_as_before(void **state)
{
	struct driver_exec none = {.argv = ARGV("none")};
	struct driver_exec count = {.argv = ARGV("sh", "-c", "/subvolume /srv | grep -c refused")};

	(void)state;
	write_note("");
	assert_prints(count, "0\n", W_EXITCODE(1, 0));
	assert_refused(none, ERR_NOT_FOUND);
	write_note(" 1");
	assert_prints(count, "1\n", 0);
}

/* It has the one that is no more on the node. */
static void commands_go_on_after_an_upgrade(void **state)
{
	struct driver_exec exec = {.argv = ARGV("none")};

	(void)state;
	inside_upgrade();
	assert_refused(exec, ERR_NOT_FOUND);
	exec.argv = ARGV("/subvolume", "/srv");
	assert_prints(exec, "refused\n", 0);
}

static int begin(void **state)
{
	(void)state;
	g_guest = inside_begin(OPTIONS("--volume", SUBVOLUME_PROGRAM ":/subvolume:ro",
				       "--security-opt", "no-new-privileges"),
		IDLE);
	return 0;
}

int inside_gate_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_make_no_subvolumes_that_nobody_would_count),
		cmocka_unit_test(nothing_else_of_them_is_different),
		cmocka_unit_test(they_are_looked_up_in_their_own_path),
		cmocka_unit_test(what_says_the_gates_words_is_believed_to_have_said_them),
		cmocka_unit_test(nobody_without_rights_can_trace_it),
		cmocka_unit_test(a_guest_that_runs_since_before_takes_commands_as_before),
		cmocka_unit_test(commands_go_on_after_an_upgrade),
	};

	return cmocka_run_group_tests_name("gate", tests, begin, NULL);
}
